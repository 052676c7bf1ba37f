"""From a policy to what each layer must become: the widths of its neighbours' groups resolved, every claim checked."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.channels.groups import ChannelGroup, ChannelGroups
from compress.channels.widths import units_kept
from compress.errors import PolicyError
from compress.layers import Layer
from compress.network import Network
from compress.policy import FORMATS, LayerPolicy, Policy
from compress.ranks import rank_of
from compress.weight_rows import inputs_per_group
from compress.weights.mask_layer import RUN, takes_runs

Widths = tuple[tuple[str, int], ...]
"""Group name and units kept, for every narrowed group that a layer reads or writes."""

_MASKS = ("2:4", "unstructured")


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerPlan:
    """What one layer must become.

    Attributes:
        layer: The layer in FP32.
        kept_inputs: Input channels that stay; None for all.
        read: The narrowed groups among its inputs.
        kept_outputs: Output channels that stay; None for all.
        written: The narrowed groups among its outputs.
        mask: `2:4` or `unstructured`; None for no mask.
        mask_ratio: Share of the remaining weights that the mask removes.
        rank: Fraction of the break-even rank; 1 for a whole layer.
        format: A name in `FORMATS`.
    """

    layer: Layer
    kept_inputs: NDArray[np.int64] | None
    read: Widths
    kept_outputs: NDArray[np.int64] | None
    written: Widths
    mask: str | None
    mask_ratio: float
    rank: float
    format: str

    @property
    def is_gone(self) -> bool:
        """Whether nothing of the layer is left."""
        return self.kept_outputs is not None and not len(self.kept_outputs)

    @property
    def is_ended(self) -> bool:
        """Whether only the layer's bias is left: all its inputs are gone."""
        return self.kept_inputs is not None and not len(self.kept_inputs)

    @property
    def is_identity(self) -> bool:
        """Whether the layer stays as it is."""
        return not (self.read or self.written or self.mask) and self.rank == 1.0 and self.format == "fp32"


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """A policy resolved for one network.

    Attributes:
        layers: One entry per layer, in the network's order.
        kept: Units that stay by group name, for narrowed groups.
    """

    layers: tuple[LayerPlan, ...]
    kept: Mapping[str, NDArray[np.int64]]


class Planner:
    """Resolves policies.

    Args:
        network: The network.
        groups: All channel groups.
        offered: The groups that policies may narrow, by name.
        removal_order: The units of a group by name, the one that goes first first.
        formats: Names of the formats that can be built for the target.
        channel_multiple: Widths and ranks are rounded to this many channels.
    """

    def __init__(
        self,
        network: Network,
        groups: ChannelGroups,
        offered: Mapping[str, ChannelGroup],
        removal_order: Callable[[str], NDArray[np.int64]],
        *,
        formats: frozenset[str],
        channel_multiple: int,
    ) -> None:
        self._network = network
        self._groups = groups
        self._offered = offered
        self._removal_order = removal_order
        self._formats = formats
        self._multiple = channel_multiple
        self._group_of = {member.layer: group for group in offered.values() for member in group.producers}

    def resolve(self, policy: Policy) -> Plan:
        """What each layer must become.

        Raises:
            PolicyError: The policy does not fit the network or the target.
        """
        self._check_names(policy)
        for layer in self._network.layers:
            self._check_layer(layer, policy[layer.name])
        kept = self._kept_units(policy)
        mask = self._groups.mask(kept)
        return Plan(
            layers=tuple(self._plan(layer, policy[layer.name], kept, mask) for layer in self._network.layers), kept=kept
        )

    def _plan(
        self, layer: Layer, choice: LayerPolicy, kept: Mapping[str, NDArray[np.int64]], mask: NDArray[np.bool_]
    ) -> LayerPlan:
        masked = choice.sparsity_pattern in _MASKS
        read, written = (self._narrowed(layer.name, side, kept) for side in ("consumers", "producers"))
        kept_inputs = np.flatnonzero(mask[self._groups.inputs[layer.name]]) if read else None
        if masked:
            _check_mask(layer, choice, inputs_per_group(layer) if kept_inputs is None else len(kept_inputs))
        return LayerPlan(
            layer=layer,
            kept_inputs=kept_inputs,
            read=read,
            kept_outputs=np.flatnonzero(mask[self._groups.outputs[layer.name]]) if written else None,
            written=written,
            mask=choice.sparsity_pattern if masked else None,
            mask_ratio=choice.sparsity if masked else 0.0,
            rank=choice.rank,
            format=choice.format,
        )

    def _narrowed(self, layer: str, side: str, kept: Mapping[str, NDArray[np.int64]]) -> Widths:
        """The narrowed groups that the layer reads or writes."""
        return tuple(
            (name, len(units))
            for name, units in kept.items()
            if any(member.layer == layer for member in getattr(self._offered[name], side))
        )

    def _kept_units(self, policy: Policy) -> dict[str, NDArray[np.int64]]:
        kept = {}
        for name, group in self._offered.items():
            ratios = {member.layer: self._channel_sparsity(policy[member.layer]) for member in group.producers}
            if len(set(ratios.values())) > 1:
                (first, ratio), (second, other) = _two_that_differ(ratios)
                raise PolicyError(
                    f"layers {first!r} and {second!r} write the same channels and must lose the same share of them, "
                    f"got {ratio} and {other}"
                )
            ratio = next(iter(ratios.values()))
            if not ratio:
                continue
            count = units_kept(group, ratio, self._multiple)
            if count is None:
                raise PolicyError(
                    f"layer {group.producers[0].layer!r}: sparsity {ratio} of its {group.unit_count} channel units "
                    f"removes nothing that can go (widths are multiples of {self._multiple} channels); use 0"
                )
            order = self._removal_order(name)
            kept[name] = np.sort(order[len(order) - count :])
        return kept

    @staticmethod
    def _channel_sparsity(choice: LayerPolicy) -> float:
        return choice.sparsity if choice.sparsity_pattern == "channels" else 0.0

    def _check_names(self, policy: Policy) -> None:
        names = {layer.name for layer in self._network.layers}
        for problem, found in (
            ("names a layer that the network has not", set(policy.layers) - names),
            ("lacks a layer of the network", names - set(policy.layers)),
        ):
            if found:
                raise PolicyError(f"the policy {problem}: {min(found)!r}")

    def _check_layer(self, layer: Layer, choice: LayerPolicy) -> None:
        if choice.format not in FORMATS:
            raise PolicyError(
                f"layer {layer.name!r}: weights of {choice.weight_bits} bits with {choice.activation_mode} activations "
                f"of {choice.activation_bits} bits are not built; use one of {', '.join(FORMATS)}"
            )
        if choice.format not in self._formats:
            raise PolicyError(f"layer {layer.name!r}: the target has no {choice.format}; use fp32")
        if layer.op_type == "Conv" and choice.format not in ("fp32", "fp16", "int8"):
            raise PolicyError(f"layer {layer.name!r}: a convolution has no {choice.format}; use int8")
        if choice.sparsity_pattern == "channels" and layer.name not in self._group_of:
            raise PolicyError(f"layer {layer.name!r}: its channels cannot be removed; use sparsity 0")
        if choice.rank < 1.0 and rank_of(layer, choice.rank, self._multiple) is None:
            raise PolicyError(
                f"layer {layer.name!r}: rank {choice.rank} saves nothing here "
                f"(ranks are multiples of {self._multiple}); use 1.0"
            )


def _check_mask(layer: Layer, choice: LayerPolicy, inputs: int) -> None:
    """Refuse masks that do not fit a layer of so many input channels per group."""
    if choice.sparsity_pattern == "unstructured" and choice.sparsity == 1.0:
        raise PolicyError(
            f"layer {layer.name!r}: a mask must leave some weights, got unstructured sparsity 1.0; use less"
        )
    if choice.sparsity_pattern != "2:4":
        return
    if choice.sparsity != 0.5:
        raise PolicyError(f"layer {layer.name!r}: the 2:4 pattern has sparsity 0.5, got {choice.sparsity}")
    if not takes_runs(inputs):
        raise PolicyError(
            f"layer {layer.name!r}: the 2:4 pattern takes input channels in runs of {RUN}, got {inputs} channels; "
            "use sparsity 0"
        )


def _two_that_differ(ratios: Mapping[str, float]) -> list[tuple[str, float]]:
    by_ratio = {ratio: (layer, ratio) for layer, ratio in ratios.items()}
    return list(by_ratio.values())[:2]
