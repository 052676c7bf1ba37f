"""Why a format is slower than FP32: only what other rows of the same probe bear out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from latency.probing.wording import FORMAT_WORDS, layer_words, macs_words, shape_key, times

if TYPE_CHECKING:
    from hwprofiles import ProbedLayer


def why_slower(rows: Sequence[ProbedLayer], scheme: str) -> Iterator[str]:
    """A sentence for each kind of choice that is slower than FP32, with what is better beside it.

    ``slower than FP32: int8 Conv 1×1 64→64 in s8s8 at batch 1: ×0.80; u8s8 is ×2.30: use int8_scheme = "u8s8"``.
    Layers of one kind that fare alike share a sentence, and so do all the choices of a layer for which nothing pays.

    Args:
        rows: Of one probe.
        scheme: The 8-bit scheme that was decided on.
    """
    plain = [row for row in rows if row.is_plain and not _is_twin_scheme(row.scheme, scheme)]
    hopeless: dict[object, list[ProbedLayer]] = {}
    told: dict[object, list[tuple[ProbedLayer, str]]] = {}
    for row in plain:
        if row.verdict != "cannot pay":
            continue
        reason = _reason(row, plain, scheme)
        if reason is None:
            hopeless.setdefault(shape_key(row), []).append(row)
        else:
            told.setdefault(_shared(row, reason[0]), []).append((row, reason[1]))
    for found in told.values():
        yield _told(found)
    for layer in hopeless:
        yield _nothing_pays([row for row in plain if shape_key(row) == layer])


def _is_twin_scheme(scheme: str | None, decided: str) -> bool:
    """u8s7 beside u8s8 and the other way round: the same kernels, so the same time."""
    return {scheme, decided} == {"u8s8", "u8s7"}


def _shared(row: ProbedLayer, kind_of_reason: str) -> tuple[object, ...]:
    """What rows have in common that share a sentence: which kernels run has nothing to do with sizes."""
    if kind_of_reason == "widened":
        return row.format, kind_of_reason
    way = row.scheme or row.weight_only_compute
    sizes = () if kind_of_reason == "instead" else (row.batch_size,)
    return row.format, way, row.kind, kind_of_reason, *sizes


def _told(found: Sequence[tuple[ProbedLayer, str]]) -> str:
    # Of those that fare alike, one that says what to use instead.
    row, reason = min(found, key=lambda each: ("; " not in each[1], each[0].speedup or 0.0))
    more = f" (and {len(found) - 1} like it)" if len(found) > 1 else ""
    how = f" in {row.scheme}" if row.scheme else f" computed in {row.weight_only_compute}"
    how = "" if row.scheme is None and row.weight_only_compute is None else how
    return (
        f"slower than FP32: {FORMAT_WORDS[row.format]} {layer_words(row)}{how} at batch {row.batch_size}: "
        f"{times(row.speedup)}{more}; {reason}"
    )


def _nothing_pays(rows: Sequence[ProbedLayer]) -> str:
    """One sentence for a layer: nothing was found to pay, the best there is, and how little there is to gain."""
    best = max((row for row in rows if row.speedup is not None), key=lambda row: row.speedup or 0.0)
    took = f", {best.fp32_ms:.3g} ms in FP32" if best.fp32_ms is not None else ""
    return (
        f"nothing was found to pay for {layer_words(best)} at batch {best.batch_size} ({macs_words(best.macs)}{took}): "
        f"the best is {FORMAT_WORDS[best.format]} at {times(best.speedup)}"
    )


def _reason(row: ProbedLayer, plain: Sequence[ProbedLayer], scheme: str) -> tuple[str, str] | None:
    """A word for the kind of reason, and the reason: the first that the rows bear out; None where nothing is better."""
    same = [other for other in plain if shape_key(other) == shape_key(row) and other.verdict == "pays"]
    better = _better(row, same, plain, scheme)
    if row.instead is not None:
        return "instead", f"{row.instead}, conversions added{f'; {better[1]}' if better else ''}"
    if any("fp16-widened" in kernel for kernel in row.kernels):
        return "widened", "the runtime has no 16-bit kernel for it and computes in FP32 after all"
    return better or None


def _better(
    row: ProbedLayer, same: Sequence[ProbedLayer], plain: Sequence[ProbedLayer], scheme: str
) -> tuple[str, str] | tuple[()]:
    tries = (
        ("scheme", _other_scheme(row, same, scheme)),
        ("compute", _other_compute(row, same)),
        ("static", _static_instead(row, same)),
        ("batch", _smaller_batch(row, plain)),
        ("larger", _largershape_key(row, plain)),
    )
    for kind, words in tries:
        if words:
            return kind, words
    best = max(same, key=lambda other: other.speedup or 0.0, default=None)
    return () if best is None else ("format", f"{FORMAT_WORDS[best.format]} is {times(best.speedup)}")


def _other_scheme(row: ProbedLayer, same: Sequence[ProbedLayer], scheme: str) -> str:
    for other in same:
        if other.format == row.format and other.scheme == scheme != row.scheme:
            return f'{scheme} is {times(other.speedup)}: use int8_scheme = "{scheme}"'
    return ""


def _other_compute(row: ProbedLayer, same: Sequence[ProbedLayer]) -> str:
    for other in same:
        if other.format == row.format and other.weight_only_compute not in (None, row.weight_only_compute):
            way = other.weight_only_compute
            return f'computed in {way} it is {times(other.speedup)}: use weight_only_compute = "{way}"'
    return ""


def _static_instead(row: ProbedLayer, same: Sequence[ProbedLayer]) -> str:
    static = [other for other in same if other.format == "int8"] if row.format == "int8-dynamic" else []
    if not static:
        return ""
    best = max(static, key=lambda other: other.speedup or 0.0)
    cost = "finding ranges at every inference costs more than it saves"
    return f"{cost}; int8 with calibrated ones is {times(best.speedup)}"


def _smaller_batch(row: ProbedLayer, plain: Sequence[ProbedLayer]) -> str:
    for other in plain:
        if (
            other.batch_size < row.batch_size
            and other.verdict == "pays"
            and other.choice == row.choice.model_copy(update={"batch_size": other.batch_size})
        ):
            return f"it pays at batch {other.batch_size} ({times(other.speedup)}), where fewer inputs share the weights"
    return ""


def _largershape_key(row: ProbedLayer, plain: Sequence[ProbedLayer]) -> str:
    larger = [
        other
        for other in plain
        if other.verdict == "pays"
        and other.macs > row.macs
        and (other.kind, other.format, other.batch_size) == (row.kind, row.format, row.batch_size)
        and (other.scheme, other.weight_only_compute) == (row.scheme, row.weight_only_compute)
    ]
    if not larger:
        return ""
    nearest = min(larger, key=lambda other: other.macs)
    return (
        f"it has only {macs_words(row.macs)}; {layer_words(nearest)} with {macs_words(nearest.macs)} "
        f"is {times(nearest.speedup)}"
    )
