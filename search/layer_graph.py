"""Which layers hand each other their outputs: where two formats can meet, and so where a conversion can cost time.

It is found once in the network and recorded in the study, so that a sampler needs nothing but the study.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from search.errors import SearchError

if TYPE_CHECKING:
    import onnx_ir as ir
    import optuna

    from compress.network import Network

LAYER_GRAPH = "layer_graph"
"""User attribute of the study: `{"format_version": 1, "macs": {layer: count}, "neighbours": [[layer, layer], ...]}`."""

FORMAT_VERSION = 1

# A residual stream is read by every layer behind: its writer, its own addition and the next block's are what stands
# between a layer and the one behind the block that is skipped. Pairs further apart would make of a stage of n blocks a
# clique of n layers, for a conversion that the runtime does once, at the nearest of them.
_MERGES = 2


@dataclass(frozen=True, kw_only=True)
class LayerGraph:
    """The layers of a network as a graph.

    Attributes:
        macs: Multiply-adds per sample, by layer, in topological order.
        neighbours: Pairs of layers of which the first hands its output to the second, residual skips included.

    Raises:
        ValueError: A neighbour is no layer.
    """

    macs: Mapping[str, int]
    neighbours: tuple[tuple[str, str], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "macs", MappingProxyType(dict(self.macs)))
        strangers = {name for pair in self.neighbours for name in pair} - set(self.macs)
        if strangers:
            raise ValueError(f"neighbours must be layers, got {sorted(strangers)[0]!r}; layers are {list(self.macs)}")

    def share(self, layer: str) -> float:
        """The layer's multiply-adds over the network's; equal shares where none could be counted."""
        total = sum(self.macs.values())
        return self.macs[layer] / total if total else 1.0 / len(self.macs)


def find_layer_graph(network: "Network") -> LayerGraph:
    """The layers between which data flows without another layer in between, past at most one skipped block."""
    by_node = {layer.node_name: layer.name for layer in network.layers}
    found: dict[tuple[str, str], None] = {}
    for node in network.model.graph:
        if node.name in by_node:
            source = by_node[node.name]
            found |= dict.fromkeys((source, target) for target in _readers(node, by_node))
    return LayerGraph(macs={layer.name: layer.macs for layer in network.layers}, neighbours=tuple(found))


def _readers(node: "ir.Node", by_node: Mapping[str, str]) -> list[str]:
    """Names of the layers that read what `node` wrote, in the order in which they are met."""
    readers: dict[str, None] = {}
    fewest: dict[ir.Node, int] = {}
    waiting = [(node, 0)]
    for current, merges in waiting:  # grows while it is read: breadth first
        for output in current.outputs:
            for user, _ in output.uses():
                name = by_node.get(user.name or "")
                if name is not None:
                    readers.setdefault(name)
                    continue
                passed = merges + _is_merge(user)
                if passed <= _MERGES and passed < fewest.get(user, _MERGES + 1):
                    fewest[user] = passed
                    waiting.append((user, passed))
    return list(readers)


def _is_merge(node: "ir.Node") -> bool:
    """Whether it joins two tensors that the network computes."""
    computed = {value for value in node.inputs if value is not None and value.producer() is not None}
    return len(computed) > 1


def record_layer_graph(study: "optuna.Study", graph: LayerGraph) -> None:
    """Write `graph` into a study that has none; one that has it keeps it, since it is the same network's."""
    if LAYER_GRAPH not in study.user_attrs:
        record = {
            "format_version": FORMAT_VERSION,
            "macs": dict(graph.macs),
            "neighbours": [list(pair) for pair in graph.neighbours],
        }
        study.set_user_attr(LAYER_GRAPH, record)


def recorded_layer_graph(study: "optuna.Study") -> LayerGraph:
    """The graph that `record_layer_graph` wrote.

    Raises:
        SearchError: There is none, or a newer paretune wrote it.
    """
    record = study.user_attrs.get(LAYER_GRAPH)
    if record is None:
        raise SearchError(
            f"the study {study.study_name!r} is not the frontier sampler's: it does not say how its network's layers "
            "are connected; begin it with `paretune search`, or choose another sampler"
        )
    if record.get("format_version") != FORMAT_VERSION:
        raise SearchError(
            f"the layer graph of the study {study.study_name!r} has format_version {record.get('format_version')}, "
            f"this paretune reads {FORMAT_VERSION}; upgrade paretune or choose another sampler"
        )
    pairs = tuple((str(source), str(target)) for source, target in record["neighbours"])
    return LayerGraph(macs=record["macs"], neighbours=pairs)
