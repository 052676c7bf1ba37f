"""What is left of a layer under every choice of the knobs that turn it: exact arithmetic, nothing learned.

A layer's work is a product: a rank and the channels that stay at its input and at its output multiply. What is learned
of cost is in proportion to these quantities (`search.samplers.frontier.work`).
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from compress.channels.group import pruned_layer
from compress.layers import Layer
from compress.ranks import break_even_rank, rank_of
from compress.weight_rows import inputs_per_group, taps_of
from search.layers.graph import LayerGraph, SharedChannels
from search.samplers.frontier.energy import Array, Scope
from search.space.space import Choice, Knob

FORM_LIMIT = 20_000
"""Choices of one layer that are written out; beyond them its readings of further groups count as whole."""


@dataclass(frozen=True, kw_only=True)
class Operator:
    """One operator that carries out a layer, or a part of it.

    Attributes:
        kind: `kernel` (a convolution with more than one tap), `point` (one tap, or a matrix), `depthwise`, `factor` (a
            part of a kernel along one axis).
        macs: Multiply-adds.
        written: Elements of its output.
        gathered: Elements of its input as its multiplications read them, each tap's anew.
    """

    kind: str
    macs: float
    written: float
    gathered: float


@dataclass(frozen=True, kw_only=True, eq=False)
class LayerForms:
    """A layer under all choices of its knobs, in the order of a table over them.

    Attributes:
        name: The layer's.
        scope: Positions of the knobs.
        shape: How many choices each has.
        formats: Name of the number format, by choices.
        masks: Name of the mask on the weights; empty for none.
        is_gone: Where nothing of it is left, or a constant.
        is_ranked: Where it is two factors.
        written: Elements of its output.
        work: By kind of operator: multiply-adds, elements written and gathered, and operators; shape (4, choices).
        vanishing: The knobs that decide whether it is gone.
    """

    name: str
    scope: Scope
    shape: tuple[int, ...]
    formats: NDArray[np.str_]
    masks: NDArray[np.str_]
    is_gone: NDArray[np.bool_]
    is_ranked: NDArray[np.bool_]
    written: Array
    work: Mapping[str, Array]
    vanishing: Scope

    @property
    def whole(self) -> Array:
        """Its work with nothing done to it, summed over kinds."""
        return np.asarray(sum(work[:, 0] for work in self.work.values()), np.float64)


def find_forms(layer: Layer, graph: LayerGraph, knobs: Mapping[str, tuple[int, Knob]]) -> LayerForms | None:
    """All forms of a layer; None where its size is not known, or nothing turns it.

    Args:
        layer: In FP32.
        graph: The network's.
        knobs: By name, each with its position.
    """
    turned = _turned_by(layer, graph, knobs)
    if not layer.macs or not turned:
        return None
    choices = [[*enumerate(knob.choices)] for _, knob, _ in turned]
    made: dict[tuple[Choice, ...], tuple[Operator, ...]] = {}
    rows: list[tuple[str, str, bool, bool, tuple[Operator, ...]]] = []
    for chosen in product(*choices):
        settings = [choice for _, choice in chosen]
        form, mask, sizes = "fp32", "", []
        for (_, knob, _), choice in zip(turned, settings, strict=True):
            if knob.kind == "bits":
                form = str(choice)
                continue
            is_mask = isinstance(choice, str)
            if is_mask and layer.name in knob.layers:
                mask = str(choice)
            sizes.append(0.0 if is_mask else choice)
        key = tuple(sizes)
        if key not in made:
            made[key] = _operators(layer, graph, turned, key)
        rows.append((form, mask, not made[key], len(made[key]) > 1, made[key]))
    kinds = sorted({operator.kind for *_, operators in rows for operator in operators})
    return LayerForms(
        name=layer.name,
        scope=tuple(position for position, _, _ in turned),
        shape=tuple(len(knob.choices) for _, knob, _ in turned),
        formats=np.array([row[0] for row in rows]),
        masks=np.array([row[1] for row in rows]),
        is_gone=np.array([row[2] for row in rows]),
        is_ranked=np.array([row[3] for row in rows]),
        written=np.array([row[4][-1].written if row[4] else 0.0 for row in rows]),
        work={kind: np.array([_sums(row[4], kind) for row in rows]).T for kind in kinds},
        vanishing=tuple(p for p, _, groups in turned if any(0 in group.kept.values() for group in groups)),
    )


_Turned = tuple[int, Knob, tuple[SharedChannels, ...]]


def _turned_by(layer: Layer, graph: LayerGraph, knobs: Mapping[str, tuple[int, Knob]]) -> list[_Turned]:
    """The knobs that a layer depends on, with the channels that each narrows; its own first."""
    found: dict[str, tuple[SharedChannels, ...]] = {f"bits/{layer.name}": (), f"rank/{layer.name}": ()}
    for knob in (knob for _, knob in knobs.values() if knob.kind == "sparsity" and layer.name in knob.layers):
        found[knob.name] = ()
    touched = [group for group in graph.channels if layer.name in group.writers or layer.name in group.readers]
    for group in touched:
        name = f"sparsity/{group.owner}"
        found[name] = (*found.get(name, ()), group)
    turned: list[_Turned] = []
    for name, groups in found.items():
        if name in knobs:
            position, knob = knobs[name]
            if math.prod(len(other.choices) for _, other, _ in turned) * len(knob.choices) <= FORM_LIMIT:
                turned.append((position, knob, groups))
    return turned


def _operators(
    layer: Layer, graph: LayerGraph, turned: Sequence[_Turned], sizes: tuple[Choice, ...]
) -> tuple[Operator, ...]:
    """What runs the layer; nothing where it is gone.

    Args:
        layer: In FP32.
        graph: The network's.
        turned: What it depends on.
        sizes: Settings of the knobs among these that are no format, in their order.
    """
    inputs, outputs, rank = float(inputs_per_group(layer) * layer.groups), float(layer.output_channels), 1.0
    settings = iter(sizes)
    for _, knob, groups in turned:
        if knob.kind == "bits":
            continue
        setting = float(next(settings))
        if knob.kind == "rank":
            rank = setting
        for group in groups:
            gone = 1.0 - group.share_kept(setting)
            inputs -= gone * group.readers.get(layer.name, 0)
            outputs -= gone * group.writers.get(layer.name, 0)
    kept_outputs = round(outputs)
    kept_inputs = kept_outputs if layer.groups > 1 else round(inputs)
    if not kept_inputs or not kept_outputs:
        return ()
    pruned = pruned_layer(layer, kept_inputs, kept_outputs)
    return tuple(_parts(pruned, _positions(layer), kept_inputs, rank, graph.channel_multiple))


def _positions(layer: Layer) -> float:
    """How often each weight is used in a sample."""
    return layer.macs / layer.weight_count


def _parts(layer: Layer, positions: float, inputs: int, fraction: float, multiple: int) -> Iterator[Operator]:
    outputs, taps = layer.output_channels, taps_of(layer)
    if layer.groups > 1:
        macs = positions * layer.weight_count
        yield Operator(kind="depthwise", macs=macs, written=positions * outputs, gathered=positions * inputs * taps)
        return
    # Which decomposition loses less of a layer is known to the compressor alone; of kernels it is the spatial one.
    is_spatial = break_even_rank(layer, "spatial") > 0
    rank = rank_of(layer, fraction, multiple, "spatial" if is_spatial else "channel") if fraction < 1.0 else None
    kind = "kernel" if taps > 1 else "point"
    if rank is None:
        yield _operator(kind, positions, inputs, taps, outputs)
    elif is_spatial:
        height, width = layer.weight_shape[2:]
        yield _operator("factor", positions, inputs, height, rank)
        yield _operator("factor", positions, rank, width, outputs)
    else:
        yield _operator(kind, positions, inputs, taps, rank)
        yield _operator("point", positions, rank, 1, outputs)


def _operator(kind: str, positions: float, inputs: int, taps: int, outputs: int) -> Operator:
    gathered = positions * inputs * taps
    return Operator(kind=kind, macs=gathered * outputs, written=positions * outputs, gathered=gathered)


def _sums(operators: Sequence[Operator], kind: str) -> tuple[float, float, float, float]:
    mine = [operator for operator in operators if operator.kind == kind]
    return (
        sum(operator.macs for operator in mine),
        sum(operator.written for operator in mine),
        sum(operator.gathered for operator in mine),
        float(len(mine)),
    )
