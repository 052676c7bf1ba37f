"""What a probe found, in sentences: what pays, what does not, and why as far as the rows themselves can tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, get_args

from hwprofiles.vocabulary import DecidedScheme, NumberFormat, WeightOnlyCompute
from latency.probing.reasons import why_slower
from latency.probing.sparsity import sparse_and_dense
from latency.probing.widths import fastest_series
from latency.probing.wording import (
    FORMAT_WORDS,
    geometric_mean,
    layer_key,
    layer_words,
    listed,
    names_of,
    shape_key,
    times,
)

if TYPE_CHECKING:
    from hwprofiles import HardwareProfile, ProbedLayer
    from latency.probing.prober import ProbeOutcome


def sentences(decided: HardwareProfile, *, before: HardwareProfile, outcome: ProbeOutcome) -> tuple[str, ...]:
    """The findings, the most useful first.

    Args:
        decided: the profile with what was concluded.
        before: the profile as it was.
        outcome: the rows.
    """
    rows = outcome.rows
    return tuple(
        dict.fromkeys(
            (
                *_of_formats(rows, decided),
                *_of_scheme(rows, decided, before),
                *_of_compute(rows, decided, before),
                *why_slower(rows, decided.formats.int8_scheme),
                *_of_widths(rows, decided, before),
                *_of_ranks(rows, decided),
                *_of_sparsity(rows),
                *_of_refusals(rows, decided),
                *_of_what_is_missing(outcome),
            )
        )
    )


def decided_rows(rows: Sequence[ProbedLayer], profile: HardwareProfile) -> list[ProbedLayer]:
    """The plain rows that run as the profile would run them, at any batch size."""
    return [row for row in rows if row.is_plain and row.runs_as(profile.runs_as)]


def _of_formats(rows: Sequence[ProbedLayer], profile: HardwareProfile) -> Iterator[str]:
    """`4-bit-weight MatMul: ×1.90 at batch 1, ×0.60 at batch 32`."""
    plain = decided_rows(rows, profile)
    for name in get_args(NumberFormat):
        of_format = [row for row in plain if row.format == name]
        for kind in dict.fromkeys(row.kind for row in of_format):
            parts = []
            for batch_size in sorted({row.batch_size for row in of_format}):
                found = [row for row in of_format if (row.kind, row.batch_size) == (kind, batch_size)]
                mean = geometric_mean(found)
                if mean is not None:
                    parts.append(f"{times(mean)}{_spread(found)} at batch {batch_size}")
            if parts:
                yield f"{FORMAT_WORDS[name]} {kind}: {', '.join(parts)}"


def _spread(rows: Sequence[ProbedLayer]) -> str:
    """How far layers of a kind are apart, where they are."""
    speedups = [row.speedup for row in rows if row.speedup is not None and row.grade != "unreliable"]
    if max(speedups) < 1.25 * min(speedups):
        return ""
    return f" ({times(min(speedups))} to {times(max(speedups))})"


def _of_scheme(rows: Sequence[ProbedLayer], decided: HardwareProfile, before: HardwareProfile) -> Iterator[str]:
    static = [
        row for row in rows if row.is_plain and row.format == "int8" and row.batch_size == before.engine.batch_size
    ]
    known = _means_by(static, lambda row: row.scheme, get_args(DecidedScheme))
    if len(known) < 2:
        return
    yield f"int8 by scheme: {', '.join(f'{name} {times(mean)}' for name, mean in known.items())}"
    was, now = before.formats.int8_scheme, decided.formats.int8_scheme
    if was != now:
        yield f"int8_scheme is now {now}, was {was}"


def _means_by(
    rows: Sequence[ProbedLayer], way_of: Callable[[ProbedLayer], str | None], ways: Sequence[str]
) -> dict[str, float]:
    """The mean speedup by way, over the layers that every way ran that ran any."""
    reliable = [row for row in rows if row.ratio is not None and row.grade != "unreliable"]
    layers = {way: {shape_key(row) for row in reliable if way_of(row) == way} for way in ways}
    ran = [found for found in layers.values() if found]
    common = set.intersection(*ran) if ran else set()
    means = {way: geometric_mean(r for r in reliable if way_of(r) == way and shape_key(r) in common) for way in ways}
    return {way: mean for way, mean in means.items() if mean is not None}


def _of_compute(rows: Sequence[ProbedLayer], decided: HardwareProfile, before: HardwareProfile) -> Iterator[str]:
    here = [row for row in rows if row.is_plain and row.batch_size == before.engine.batch_size]
    for name in ("int8-weights", "int4-weights"):
        of_format = [row for row in here if row.format == name]
        means = _means_by(of_format, lambda row: row.weight_only_compute, get_args(WeightOnlyCompute))
        if len(means) > 1:
            parts = [f"{compute} {times(mean)}" for compute, mean in means.items()]
            yield f"{FORMAT_WORDS[name]} layers by weight_only_compute: {', '.join(parts)}"
    was, now = before.formats.weight_only_compute, decided.formats.weight_only_compute
    if was != now:
        cost = "its kernels round activations to 8 bits" if now == "int8" else "activations stay in float"
        yield f"weight_only_compute is now {now}, was {was}: {cost}"


def _of_widths(rows: Sequence[ProbedLayer], decided: HardwareProfile, before: HardwareProfile) -> Iterator[str]:
    series = fastest_series([row for row in rows if row.batch_size == before.engine.batch_size])
    if not series:
        return
    names = names_of(row for widths in series for row in widths.values())
    for widths in series:
        widest = widths[max(widths)]
        shares = [
            f"{width} {(row.ratio or 0) / (widest.ratio or 1):.0%}"
            for width, row in sorted(widths.items())
            if row.ratio
        ]
        how = FORMAT_WORDS[widest.format]
        yield f"{names[layer_key(widest)]} narrowed, {how} time by width: {', '.join(shares)}"
    multiple, was = decided.sparsity.channel_multiple, before.sparsity.channel_multiple
    change = "" if multiple == was else f", was {was}"
    yield f"channel_multiple = {multiple}{change}: widths in between save less than half of what they leave out"


def _of_ranks(rows: Sequence[ProbedLayer], decided: HardwareProfile) -> Iterator[str]:
    found = [row for row in rows if row.rank is not None and row.speedup is not None]
    names = names_of(found)
    series: dict[object, list[ProbedLayer]] = {}
    for row in found:
        if row.scheme in (None, decided.formats.int8_scheme):
            series.setdefault((shape_key(row), row.format), []).append(row)
    for mine in series.values():
        ranks = ", ".join(f"{row.rank} {times(row.speedup)}" for row in sorted(mine, key=lambda row: row.rank or 0))
        name, how = names[layer_key(mine[0])], FORMAT_WORDS[mine[0].format]
        yield f"{name} in two factors, {how}, batch {mine[0].batch_size}, by rank: {ranks}"


def _of_sparsity(rows: Sequence[ProbedLayer]) -> Iterator[str]:
    for sparse, dense in sparse_and_dense(rows):
        yield (
            f"2:4 zeros in {FORMAT_WORDS[sparse.format]} {layer_words(sparse)}: {times(sparse.speedup)}, "
            f"{times(dense.speedup)} without them, at batch {sparse.batch_size}"
        )


def _of_refusals(rows: Sequence[ProbedLayer], decided: HardwareProfile) -> Iterator[str]:
    """One sentence for each reason, whatever it struck."""
    by_reason: dict[str, list[ProbedLayer]] = {}
    for row in rows:
        if row.refused is not None:
            by_reason.setdefault(row.refused, []).append(row)
    for reason, struck in by_reason.items():
        named = [f"{_format_and_way(row)} {row.kind}" for row in struck]
        distinct = list(dict.fromkeys(named))
        more = f" and {len(distinct) - 3} more" if len(distinct) > 3 else ""
        subject = f"{', '.join(distinct[:3])}{more}" if more else listed(distinct)
        yield f"does not run: {subject}: {reason}"


def _format_and_way(row: ProbedLayer) -> str:
    way = row.scheme or row.weight_only_compute
    return FORMAT_WORDS[row.format] if way is None else f"{FORMAT_WORDS[row.format]} ({way})"


def _of_what_is_missing(outcome: ProbeOutcome) -> Iterator[str]:
    shaky = sum(row.grade == "unreliable" for row in outcome.rows)
    if shaky:
        of_all = f"{shaky} of {len(outcome.rows)} figures"
        yield f"{of_all} are unreliable and decided nothing; the same command takes them again"
    if outcome.left_out:
        total = len(outcome.rows) + outcome.left_out
        yield f"the time was up before {outcome.left_out} of {total} choices; the same command goes on"
