"""What the cost of layers depends on: their sizes, which feed which, and who reads and writes what channels.

Where one layer hands another its output, two formats can meet, and a conversion can cost time. Where a group of
channels is narrowed, the layers that write it and those that read it shrink together. It is found once in the network
(`search.layers.neighbours`) and recorded in the study: a worker with nothing but the storage knows it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from compress.layers import Layer
from search.errors import SearchError

if TYPE_CHECKING:
    import optuna

LAYER_GRAPH = "layer_graph"
"""User attribute of the study: `format_version`, `macs` (layer to count) and `neighbours` (pairs of layers); from
version 2 also `layers` (layer to its shape), `channels` (as `SharedChannels`), `channel_multiple` and `meetings`."""

FORMAT_VERSION = 2


@dataclass(frozen=True, kw_only=True)
class SharedChannels:
    """Channels that go together, as far as the sizes of layers depend on them.

    Attributes:
        owner: The first layer that writes them: the knob `sparsity/OWNER` narrows them.
        units: How many there are.
        kept: Units that stay, by sparsity ratio.
        writers: Layer name to how many of its output channels they are.
        readers: Layer name to how many of its input channels they are.
        vanishing: Readers that turn into constants when no unit is left.
    """

    owner: str
    units: int
    kept: Mapping[float, int]
    writers: Mapping[str, int]
    readers: Mapping[str, int]
    vanishing: tuple[str, ...] = ()

    def share_kept(self, ratio: float) -> float:
        """The share of the channels that a sparsity ratio leaves."""
        return self.kept.get(ratio, self.units) / self.units


@dataclass(frozen=True, kw_only=True)
class LayerGraph:
    """The layers of a network as a graph.

    Attributes:
        macs: Multiply-adds per sample, by layer, in topological order.
        neighbours: Pairs of layers of which the first hands its output to the second, residual skips included.
        layers: Each layer's shape; empty in studies from before it was recorded.
        channels: The groups of channels that a policy can narrow; empty there too.
        channel_multiple: Widths and ranks are multiples of it.
        meetings: Pairs of layers whose outputs are combined by an operator without weights, such as the addition that
            ends a residual branch; of a stream that many have written, the last of them.

    Raises:
        ValueError: A neighbour is no layer.
    """

    macs: Mapping[str, int]
    neighbours: tuple[tuple[str, str], ...]
    layers: Mapping[str, Layer] = field(default_factory=dict)
    channels: tuple[SharedChannels, ...] = ()
    channel_multiple: int = 1
    meetings: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "macs", MappingProxyType(dict(self.macs)))
        object.__setattr__(self, "layers", MappingProxyType(dict(self.layers)))
        members = {name for group in self.channels for name in (*group.writers, *group.readers)}
        pairs = {"neighbours": self.neighbours, "meetings": self.meetings}
        named_in = {what: {name for pair in found for name in pair} for what, found in pairs.items()}
        for what, named in {**named_in, "members": members}.items():
            strangers = named - set(self.macs)
            if strangers:
                raise ValueError(f"{what} must be layers, got {sorted(strangers)[0]!r}; layers are {list(self.macs)}")

    def share(self, layer: str) -> float:
        """The layer's multiply-adds over the network's; equal shares where none could be counted."""
        total = sum(self.macs.values())
        return self.macs[layer] / total if total else 1.0 / len(self.macs)


def record_layer_graph(study: "optuna.Study", graph: LayerGraph) -> None:
    """Write `graph` into a study that has none; one that has it keeps it, since it is the same network's."""
    if LAYER_GRAPH not in study.user_attrs:
        record = {
            "format_version": FORMAT_VERSION,
            "macs": dict(graph.macs),
            "neighbours": [list(pair) for pair in graph.neighbours],
            "layers": {name: asdict(layer) for name, layer in graph.layers.items()},
            "channels": [{**asdict(group), "kept": list(group.kept.items())} for group in graph.channels],
            "channel_multiple": graph.channel_multiple,
            "meetings": [list(pair) for pair in graph.meetings],
        }
        study.set_user_attr(LAYER_GRAPH, record)


def recorded_layer_graph(study: "optuna.Study") -> LayerGraph:
    """The graph that `record_layer_graph` wrote; version 1 says nothing of shapes and channels.

    Raises:
        SearchError: There is none, or a newer paretune wrote it.
    """
    record = study.user_attrs.get(LAYER_GRAPH)
    if record is None:
        raise SearchError(
            f"the study {study.study_name!r} is not the frontier sampler's: it does not say how its network's layers "
            "are connected; begin it with `paretune search`, or choose another sampler"
        )
    if record.get("format_version") not in (1, FORMAT_VERSION):
        raise SearchError(
            f"the layer graph of the study {study.study_name!r} has format_version {record.get('format_version')}, "
            f"this paretune reads up to {FORMAT_VERSION}; upgrade paretune or choose another sampler"
        )
    return LayerGraph(
        macs=record["macs"],
        neighbours=_pairs(record["neighbours"]),
        layers={name: _layer(layer) for name, layer in record.get("layers", {}).items()},
        channels=tuple(_channels(group) for group in record.get("channels", ())),
        channel_multiple=record.get("channel_multiple", 1),
        meetings=_pairs(record.get("meetings", ())),
    )


def _pairs(record: Iterable[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((str(source), str(target)) for source, target in record)


def _layer(record: Mapping[str, Any]) -> Layer:
    return Layer(**{**record, "weight_shape": tuple(record["weight_shape"])})


def _channels(record: Mapping[str, Any]) -> SharedChannels:
    kept = {float(ratio): int(units) for ratio, units in record["kept"]}
    return SharedChannels(**{**record, "kept": kept, "vanishing": tuple(record["vanishing"])})
