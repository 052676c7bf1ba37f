"""Groups of channels that can only be removed together, as values: what a search chooses from and a pass removes."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from compress.channels.edits import Edit, Mask, Units
from compress.errors import PolicyError
from compress.layers import Layer


@dataclass(frozen=True, kw_only=True, eq=False)
class Member:
    """A layer that takes part in a group.

    Attributes:
        layer: Its name.
        unit_of_channel: By output channel of a producer or input channel of a consumer, the unit that it belongs to;
            -1 where it is not in this group.
    """

    layer: str
    unit_of_channel: NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroup:
    """Units that the same layers produce and consume.

    Attributes:
        name: The name of the first layer that produces it, numbered where one layer produces several.
        unit_count: Units, in the order of the first producer's channels.
        producers: Layers whose outputs go with the units: those of grouped convolutions too, whose inputs go as well.
        consumers: Layers whose inputs go with the units, and whose weights can be refitted. There are none where
            nothing reads the channels.
        vanishing: Consumers that turn into constants when all units go; empty where some must stay.
    """

    name: str
    unit_count: int
    producers: tuple[Member, ...]
    consumers: tuple[Member, ...]
    vanishing: tuple[str, ...] = ()

    @property
    def may_vanish(self) -> bool:
        """Whether all units may go: the branch that they make up is added to another."""
        return bool(self.vanishing)


@dataclass(frozen=True, kw_only=True, eq=False)
class AxisUnits:
    """An axis of a tensor between layers.

    Attributes:
        value: The tensor's name.
        axis: Which axis.
        units: By element; of what is known where the axis has no fixed length.
        has_length: Whether it has.
    """

    value: str
    axis: int
    units: Units
    has_length: bool


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelGroups:
    """The groups of one network, and what must change in its graph when units go.

    Attributes:
        groups: In the order of their first producers.
        fixed: By layer name, why some of its outputs, or all, are in no group.
        inputs: By layer name, unit numbers over all groups by input channel; -1 where an input stays.
        outputs: The same by output channel.
        edits: Constants to change beside the weights.
        axes: Shapes to change.
    """

    groups: tuple[ChannelGroup, ...]
    fixed: Mapping[str, str]
    inputs: Mapping[str, Units]
    outputs: Mapping[str, Units]
    edits: tuple[Edit, ...]
    axes: tuple[AxisUnits, ...]

    def group(self, name: str) -> ChannelGroup:
        """The group called `name`.

        Raises:
            KeyError: No group has that name.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise KeyError(name)

    def mask(self, kept: Mapping[str, NDArray[np.int64]]) -> Mask:
        """Which units are kept, over all groups, and True at the end.

        Args:
            kept: By group name, the units to keep, ascending; other groups keep theirs.

        Raises:
            PolicyError: A group or unit does not exist, or nothing is kept of a group that may not vanish.
        """
        unknown = sorted(set(kept) - {group.name for group in self.groups})
        if unknown:
            raise PolicyError(f"no channel group {unknown[0]!r} in this network")
        parts = [_kept_units(group, kept[group.name]) if group.name in kept else _all(group) for group in self.groups]
        return np.concatenate([*parts, np.ones(1, bool)])

    def kept_channels(
        self, layer: str, kept: Mapping[str, NDArray[np.int64]]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which input and output channels a layer keeps, ascending."""
        mask = self.mask(kept)
        return np.flatnonzero(mask[self.inputs[layer]]), np.flatnonzero(mask[self.outputs[layer]])


def _all(group: ChannelGroup) -> Mask:
    return np.ones(group.unit_count, bool)


def _kept_units(group: ChannelGroup, kept: NDArray[np.int64]) -> Mask:
    kept = np.asarray(kept)
    if kept.ndim != 1 or (kept.size and (kept[0] < 0 or kept[-1] >= group.unit_count or (np.diff(kept) <= 0).any())):
        raise PolicyError(
            f"channel group {group.name!r}: kept units must be ascending numbers below {group.unit_count}, got {kept}"
        )
    if not kept.size and not group.may_vanish:
        raise PolicyError(f"channel group {group.name!r}: at least one unit must be kept")
    mask = np.zeros(group.unit_count, bool)
    mask[kept.astype(np.int64)] = True
    return mask


def pruned_shape(layer: Layer, kept_inputs: int, kept_outputs: int) -> tuple[int, ...]:
    """The shape of a layer's weight, as stored, when so many channels are left; groups lose whole groups."""
    if layer.op_type == "Conv":
        inputs = layer.weight_shape[1] if layer.groups > 1 else kept_inputs
        return (kept_outputs, inputs, *layer.weight_shape[2:])
    return (kept_outputs, kept_inputs) if layer.output_axis == 0 else (kept_inputs, kept_outputs)


def pruned_layer(layer: Layer, kept_inputs: int, kept_outputs: int) -> Layer:
    """The layer as it is when so many channels are left, its multiply-adds included."""
    shape = pruned_shape(layer, kept_inputs, kept_outputs)
    groups = layer.groups * kept_outputs // layer.output_channels
    pruned = replace(layer, weight_shape=shape, groups=groups if layer.groups > 1 else 1)
    # Every weight is used once per output position, and positions do not change.
    return replace(pruned, macs=layer.macs // layer.weight_count * pruned.weight_count)
