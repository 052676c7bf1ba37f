"""What is made of each layer, in the order in which a probe learns most from it."""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, get_args

from compress.ranks import break_even_rank
from compress.weights.mask_layer import takes_runs
from hwprofiles import HardwareProfile, ProbedChoice
from hwprofiles.vocabulary import DecidedScheme, WeightOnlyCompute
from latency.probing import ProbeGroup
from search.probing.bench import BlockBench
from search.probing.blocks import Block, chain_length, sides
from search.probing.shapes import SizedLayer, layer_of

RANK_FRACTIONS = (0.75, 0.5, 0.25)
"""Of the break-even rank."""

_WIDTHS_BELOW = 32  # widths are tried from so many channels below the full width, in steps of _WIDTH_STEP
_WIDTH_STEP = 4
_MOST_NARROWED = 3  # layers whose widths are tried; a multiple is a fact of the kernels, not of the layer


def plan_groups(
    layers: Sequence[SizedLayer], profile: HardwareProfile, *, larger_batch: int | None, quick: bool = False
) -> list[ProbeGroup]:
    """All that is to be measured: formats first, then a larger batch, then widths, then ranks and zeros.

    Args:
        layers: The most telling first.
        profile: The target.
        larger_batch: A second batch size; None for the profile's alone.
        quick: Formats and schemes only.
    """
    batch_size = profile.engine.batch_size
    groups = [_formats(layer, profile, batch_size) for layer in layers]
    if larger_batch is not None and larger_batch != batch_size:
        groups += [_formats(layer, profile, larger_batch) for layer in layers]
    if quick:
        return groups
    narrowed = [layer for layer in layers if _widths(layer)]
    groups += [_narrowing(layer, profile) for layer in narrowed[:_MOST_NARROWED]]
    for layer in layers:
        choices = [*_ranks(layer, profile), *_zeros(layer, profile)]
        if choices:
            groups.append(_group(layer, profile, batch_size, choices))
    return groups


def _group(layer: SizedLayer, profile: HardwareProfile, batch_size: int, made: Sequence[dict[str, Any]]) -> ProbeGroup:
    given = {
        **layer.shape.model_dump(),
        "batch_size": batch_size,
        "chain": chain_length(layer.shape),
    }
    choices = tuple(ProbedChoice.model_validate({**given, **choice}) for choice in made)
    set_up = partial(BlockBench, Block(layer=layer), profile=profile, batch_size=batch_size)
    return ProbeGroup(shape=layer.shape, batch_size=batch_size, choices=choices, set_up=set_up)


def main_scheme(profile: HardwareProfile) -> str:
    """The 8-bit scheme in which everything but the schemes themselves is tried."""
    scheme = profile.formats.int8_scheme
    return scheme if scheme in get_args(DecidedScheme) else "u8s8"


def _formats(layer: SizedLayer, profile: HardwareProfile, batch_size: int) -> ProbeGroup:
    scheme = main_scheme(profile)
    others = [name for name in get_args(DecidedScheme) if name != scheme]
    made: list[dict[str, Any]] = [{"format": "int8", "scheme": scheme}]
    if layer.shape.operator != "Conv":
        block = {"weight_block_size": profile.formats.weight_block_size}
        computes = get_args(WeightOnlyCompute)
        made += [{"format": "int8-dynamic", "scheme": scheme}]
        made += [{"format": "int4-weights", "weight_only_compute": compute, **block} for compute in computes]
        made += [{"format": "int8-weights", "weight_only_compute": compute, **block} for compute in computes]
    if layer.shape.operator != "MatMul":
        made += [{"format": "int8", "scheme": scheme, "mixed": True}]
    if "fp16" in profile.formats.offered:
        made += [{"format": "fp16", "mixed": True}]
    made += [{"format": "fp16"}, *({"format": "int8", "scheme": name} for name in others)]
    return _group(layer, profile, batch_size, made)


def _narrowing(layer: SizedLayer, profile: HardwareProfile) -> ProbeGroup:
    """Each width in FP32 and in 8 bits, against the layer at its full width in FP32."""
    formats: list[dict[str, Any]] = [{"format": "int8", "scheme": main_scheme(profile)}, {"format": "fp32"}]
    made = [{**choice, "width": width} for choice in formats for width in _widths(layer)]
    return _group(layer, profile, profile.engine.batch_size, made)


def _widths(layer: SizedLayer) -> tuple[int, ...]:
    """Widths whose distances from every multiple of 4, 8, 16 and 32 differ, the full one first."""
    shape = layer.shape
    inputs, outputs = sides(shape)
    full = outputs // _WIDTHS_BELOW * _WIDTHS_BELOW
    if shape.grouping != "dense" or inputs > outputs or not full:
        return ()
    return tuple(range(full, max(0, full - _WIDTHS_BELOW - 1), -_WIDTH_STEP))


def _ranks(layer: SizedLayer, profile: HardwareProfile) -> Iterator[dict[str, Any]]:
    limit = break_even_rank(layer_of(layer.shape))
    multiple = profile.sparsity.channel_multiple
    ranks = {max(1, round(fraction * limit / multiple)) * multiple for fraction in RANK_FRACTIONS}
    for rank in sorted((rank for rank in ranks if rank < limit), reverse=True):
        yield {"format": "fp32", "rank": rank}
        yield {"format": "int8", "scheme": main_scheme(profile), "rank": rank}


def _zeros(layer: SizedLayer, profile: HardwareProfile) -> Iterator[dict[str, Any]]:
    """2:4 where the engine has kernels for it or the profile claims so, in the formats that such kernels have."""
    skips = profile.engine.name in ("tensorrt", "tensorrt-rtx") or "2:4" in profile.sparsity.patterns
    shape = layer.shape
    inputs = shape.weight_shape[1] if shape.operator == "Conv" else shape.weight_shape[0]
    if not skips or not takes_runs(inputs):
        return
    for choice in ({"format": "fp16"}, {"format": "int8", "scheme": main_scheme(profile)}):
        yield {**choice, "sparsity": "2:4"}
