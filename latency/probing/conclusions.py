"""From measured rows to the profile that they speak for: formats, scheme, channel multiple, and why."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, get_args

from hwprofiles import Probe, int8_scheme
from hwprofiles.vocabulary import DecidedScheme, NumberFormat, WeightOnlyCompute
from latency.probing.sentences import sentences
from latency.probing.sparsity import paying_patterns
from latency.probing.widths import paying_multiple
from latency.probing.wording import shape_key

if TYPE_CHECKING:
    import datetime as dt

    from hwprofiles import HardwareProfile, Machine, ProbedLayer
    from latency.probing.prober import ProbeOutcome

_WORTH_A_CHANGE = 0.97  # of the time: what a profile says is not turned over for less


def conclude(
    profile: HardwareProfile, outcome: ProbeOutcome, *, name: str, subject: str, taken_on: dt.date
) -> HardwareProfile:
    """The probed profile: what was measured decides, and what was not stays as it was.

    Args:
        profile: the profile that was probed.
        outcome: what came of it.
        name: the new profile's.
        subject: where the shapes are from.
        taken_on: the day.
    """
    rows = outcome.rows
    here = [row for row in rows if row.batch_size == profile.engine.batch_size]
    scheme = decide_scheme(here, profile.formats.int8_scheme, outcome.machine)
    compute = _decide_compute(here, profile.formats.weight_only_compute)
    formats = profile.formats.model_copy(update={"int8_scheme": scheme, "weight_only_compute": compute})
    offered = _decide_offered(here, profile.model_copy(update={"formats": formats}))
    formats = formats.model_copy(update={"offered": offered})
    sparsity = profile.sparsity.model_copy(
        update={
            "channel_multiple": paying_multiple(here) or profile.sparsity.channel_multiple,
            "patterns": paying_patterns(here, profile.sparsity.patterns),
        }
    )
    decided = profile.model_copy(update={"formats": formats, "sparsity": sparsity, "name": name, "probed": True})
    notes = sentences(decided, before=profile, outcome=outcome)
    probe = Probe(
        taken_on=taken_on,
        runtime=outcome.runtime,
        hardware_id=outcome.machine.hardware_id,
        threads=profile.engine.threads,
        subject=subject,
        complete=outcome.left_out == 0,
        notes=notes,
        layers=rows,
    )
    return decided.model_copy(update={"probe": probe})


def decide_scheme(rows: Sequence[ProbedLayer], given: str, machine: Machine) -> str:
    """The 8-bit scheme in which the layers that all schemes ran take least time, each left in FP32 where that is less.

    The given scheme stays unless another saves 3%. ``u8s7`` is ``u8s8`` with smaller weights, made for processors
    whose 8-bit products saturate: that is a matter of right and wrong that time does not show, so between the two the
    profile decides, or the processor.
    """
    unsigned = given if given in ("u8s8", "u8s7") else int8_scheme(machine)[0]
    ruled_out = {"u8s8", "u8s7"} - {unsigned} if unsigned != "none" else set()
    static = [row for row in rows if row.is_plain and row.format == "int8" and row.scheme not in ruled_out]
    return _cheapest(static, lambda row: row.scheme, [*get_args(DecidedScheme)], given)


def _decide_compute(rows: Sequence[ProbedLayer], given: WeightOnlyCompute) -> str:
    weight_only = [row for row in rows if row.is_plain and row.format.endswith("-weights")]
    return _cheapest(weight_only, lambda row: row.weight_only_compute, [*get_args(WeightOnlyCompute)], given)


def _cheapest(
    rows: Sequence[ProbedLayer], way_of: Callable[[ProbedLayer], str | None], ways: Sequence[str], given: str
) -> str:
    """The way in which the layers that every measured way ran take least time; `given` where nothing else is told.

    A way that runs nowhere is out; one that was never tried says nothing.
    """
    times: dict[str, dict[object, float]] = {}
    fp32_ms: dict[object, float] = {}
    for row in rows:
        if row.ratio is not None and row.fp32_ms is not None and row.grade != "unreliable":
            layer = _layer_and_format(row)
            fp32_ms[layer] = min(row.fp32_ms, fp32_ms.get(layer, row.fp32_ms))
            times.setdefault(way_of(row) or "", {})[layer] = min(row.ratio, 1.0)
    if not times:
        return given
    common = set.intersection(*(set(by_layer) for by_layer in times.values()))
    if not common:
        return given
    totals = {way: sum(times[way][layer] * fp32_ms[layer] for layer in common) for way in ways if way in times}
    best = min(totals, key=lambda way: totals[way])
    tried = {way_of(row) for row in rows}
    if given in totals:
        return best if totals[best] < _WORTH_A_CHANGE * totals[given] else given
    return best if given in tried or given not in ways else given


def _decide_offered(rows: Iterable[ProbedLayer], profile: HardwareProfile) -> tuple[NumberFormat, ...]:
    """FP32, and each format that pays somewhere; one that nothing was decided about stays as the profile had it."""
    rows = [row for row in rows if row.is_plain and row.runs_as(profile.runs_as)]
    offered: list[NumberFormat] = []
    for name in get_args(NumberFormat):
        verdicts = {row.verdict for row in rows if row.format == name}
        open_question = not verdicts or "undecided" in verdicts
        if name == "fp32" or "pays" in verdicts or (open_question and name in profile.formats.offered):
            offered.append(name)
    return tuple(offered)


def _layer_and_format(row: ProbedLayer) -> object:
    return shape_key(row), row.format
