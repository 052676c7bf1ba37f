"""The first weights of a training that begins where a relative's ended: taken over channel by channel.

Both were cut from the same network, so a channel is known by its place there, however many of its neighbours are left.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.formats.placement import only_reader
from compress.graph import constant, output_axis
from compress.plan import LayerPlan
from compress.recovery.float_structure import FloatStructure, learned_inputs

Ids = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Seat:
    """Where a weight sits in a structure, and which channels of the original network its axes are.

    Attributes:
        name: Of the initializer.
        channels: Per axis the original channels in their order here; None for an axis that no policy narrows.
        shape: Here.
        input_axis: The axis that reads channels, which may be fewer elsewhere; None where there is none.
    """

    name: str
    channels: tuple[Ids | None, ...]
    shape: tuple[int, ...]
    input_axis: int | None


Seats = Mapping[tuple[str, int], Seat]
"""By operator and which of its inputs it is: initializers are called otherwise where a policy has changed them."""


def seats_of(structure: FloatStructure) -> Seats:
    """Where the learnable weights of a structure sit."""
    plans = {name: plan for plan in structure.plans for name in structure.operators(plan)}
    whole = {plan.layer.node_name for plan in structure.plans if plan.layer.name not in structure.ranks}
    found: dict[tuple[str, int], Seat] = {}
    for node in structure.model.graph:
        owner = node if node.name in plans else _matmul_before(node)
        plan = plans.get(owner.name or "") if owner is not None and owner.name in whole else None
        for index, value in learned_inputs(node):
            shape = constant(value).shape
            is_weight = node is owner and index == 1
            channels, input_axis = _channels(node, plan, shape, is_weight=is_weight)
            seat = Seat(name=value.name or "", channels=channels, shape=shape, input_axis=input_axis)
            found[node.name or "", index] = seat
    return found


def kinship(one: Seats, other: Seats) -> float:
    """The share of their weights that two structures have in common: 1 for the same channels, 0 for none."""
    shared = 0
    for key in one.keys() & other.keys():
        pairs = _pairs(one[key], other[key])
        shared += 0 if pairs is None else math.prod(len(mine) for mine, _ in pairs)
    sizes = [sum(math.prod(seat.shape) for seat in seats.values()) for seats in (one, other)]
    return shared / max(sum(sizes) - shared, 1)


def first_weights(
    structure: FloatStructure, relative: FloatStructure, weights: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The structure's learnable weights, the relative's wherever it has the channels.

    What the relative's channels read of channels that it lacks begins at zero, so that they answer as they do there;
    channels that it lacks begin with the structure's own weights. Masked weights stay zero whatever the relative has
    there; a bias that the structure has no place for is lost.

    Args:
        structure: That is to be trained.
        relative: Of the same network.
        weights: The relative's, by the initializer names of its structure.
    """
    first, masks = structure.learnable(), masks_of(structure)
    offered = seats_of(relative)
    for key, seat in seats_of(structure).items():
        theirs = offered.get(key)
        found = None if theirs is None else weights.get(theirs.name)
        pairs = None if theirs is None or found is None else _pairs(seat, theirs)
        if found is None or pairs is None:
            continue
        own = first[seat.name].copy()
        if seat.input_axis is not None:
            taken = [mine for mine, _ in pairs]
            taken[seat.input_axis] = np.arange(seat.shape[seat.input_axis])
            own[np.ix_(*taken)] = 0.0
        own[np.ix_(*(mine for mine, _ in pairs))] = found[np.ix_(*(other for _, other in pairs))]
        first[seat.name] = own * masks[seat.name] if seat.name in masks else own
    return first


def masks_of(structure: FloatStructure) -> dict[str, NDArray[np.float32]]:
    """Where masked layers have weights left, by initializer name: 1 there, 0 elsewhere."""
    nodes = {node.name: node for node in structure.model.graph}
    learnable = structure.learnable()
    masks = {}
    for plan in structure.plans:
        if plan.mask is None:
            continue
        for operator in structure.operators(plan):
            weight = nodes[operator].inputs[1]
            if weight is not None and weight.name in learnable:
                masks[weight.name] = (learnable[weight.name] != 0).astype(np.float32)
    return masks


def _channels(
    node: ir.Node, plan: LayerPlan | None, shape: tuple[int, ...], *, is_weight: bool
) -> tuple[tuple[Ids | None, ...], int | None]:
    """The original channels per axis of a layer's weight or bias, and the axis that reads."""
    channels: list[Ids | None] = [None] * len(shape)
    if plan is None:
        return tuple(channels), None
    outputs = _ids(plan.kept_outputs, plan.layer.output_channels)
    if not is_weight:  # one value per output, alone on the last axis
        if shape and shape[-1] == len(outputs):
            channels[-1] = outputs
        return tuple(channels), None
    axis = output_axis(node)
    channels[axis] = outputs
    if plan.layer.groups > 1:
        return tuple(channels), None
    channels[1 - axis] = _ids(plan.kept_inputs, plan.layer.weight_shape[1 - plan.layer.output_axis])
    return tuple(channels), 1 - axis


def _ids(kept: Ids | None, whole: int) -> Ids:
    return np.arange(whole, dtype=np.int64) if kept is None else kept


def _pairs(seat: Seat, theirs: Seat) -> list[tuple[Ids, Ids]] | None:
    """Per axis the positions here and there of what both have; None where an axis cannot be told."""
    if len(seat.shape) != len(theirs.shape):
        return None
    pairs = []
    for here, there, own, other in zip(seat.channels, theirs.channels, seat.shape, theirs.shape, strict=True):
        if here is None or there is None or len(here) != own or len(there) != other:
            if own != other:
                return None
            pairs.append((np.arange(own), np.arange(own)))
            continue
        _, mine, found = np.intersect1d(here, there, assume_unique=True, return_indices=True)
        pairs.append((mine, found))
    return pairs


def _matmul_before(node: ir.Node) -> ir.Node | None:
    """The MatMul whose bias an Add holds."""
    if node.op_type != "Add":
        return None
    for value in node.inputs:
        producer = None if value is None else value.producer()
        if producer is not None and producer.op_type == "MatMul" and only_reader(producer.outputs[0]) is node:
            return producer
    return None
