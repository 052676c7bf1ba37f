"""From what was taken to the table: one figure and one standard error per policy."""

import datetime as dt
import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from benchmarks.subjects import Subject
from benchmarks.tabulated.one_speed import OneSpeed, at_one_speed
from benchmarks.tabulated.readings import Readings, Score, Timing
from benchmarks.tabulated.records import Begun
from benchmarks.tabulated.table import Table
from benchmarks.tabulated.work_file import Entry
from hwprofiles import detect_machine
from search.layers.format_share import share_in_other_formats
from search.space.space import SearchSpace

_PRIOR_WEIGHT = 4
"""A few passes say little about one policy's own spread: what is typical of all counts as so many passes more."""


def make_table(
    subject: Subject, space: SearchSpace, readings: Readings, entries: Iterable[Entry], begun: Begun
) -> Table:
    """The table of all that was taken.

    Args:
        subject: The network.
        space: Its policies.
        readings: Who took the figures.
        entries: What was taken.
        begun: What a search knows before its first trial.

    Raises:
        ValueError: A policy is missing, or its bytes have changed.
    """
    digests: dict[int, str] = {}
    timings: dict[str, list[Timing]] = defaultdict(list)
    scores: dict[str, Score] = {}
    build_cpu_s: list[float] = []
    for entry in entries:
        if digests.setdefault(entry.position, entry.digest) != entry.digest:
            raise ValueError(f"policy {entry.position} has led to other bytes since it was first taken; begin anew")
        build_cpu_s.append(entry.build_cpu_s)
        if entry.timing is not None:
            timings[entry.digest].append(entry.timing)
        if entry.score is not None:
            scores[entry.digest] = entry.score
    missing = [position for position in range(space.size) if position not in digests]
    if missing:
        raise ValueError(f"{len(missing)} of {space.size} policies were not taken, the first at {missing[0]}")
    macs = {layer.name: layer.macs for layer in subject.network.layers}
    policies = {digest: space.policy(space.params(position)) for position, digest in digests.items()}
    taken = at_one_speed(timings, {digest: share_in_other_formats(policy, macs) for digest, policy in policies.items()})
    typical = typical_spread(list(taken.ratios.values()))
    first: dict[str, int] = {}
    for position in range(space.size):
        first.setdefault(digests[position], position)
    order = [digests[position] for position in range(space.size)]
    found = {digest: summarize(taken.ratios[digest], typical) for digest in first}
    return Table(
        records=begun.records,
        ratio=np.array([found[digest][0] for digest in order], np.float32),
        ratio_error=np.array([found[digest][1] for digest in order], np.float32),
        metric=np.array([scores[digest].metric for digest in order], np.float32),
        divergence=np.array([scores[digest].divergence for digest in order], np.float32),
        same_as=np.array([first[digest] for digest in order], np.uint16),
        facts={
            **facts_of(subject, readings, taken, scores, build_cpu_s, typical),
            "head_start_s": begun.head_start_s,
            "trial_s": begun.trial_s,
        },
    )


def typical_spread(ratios: Sequence[Sequence[float]]) -> float:
    """Relative standard deviation of a ratio that is taken again, typical of all; 0 where none was.

    From the medians of absolute differences, so that a few spoilt readings do not count.
    """
    apart = [abs(math.log(each[0] / each[1])) for each in ratios if len(each) > 1]
    # A normal's absolute deviation has its median at 0.6745; a difference of two has twice the variance.
    return statistics.median(apart) / (0.6745 * math.sqrt(2)) if apart else 0.0


def summarize(ratios: Sequence[float], typical: float) -> tuple[float, float]:
    """One ratio and its standard error, of readings that differ by `typical` where they do not say otherwise.

    Raises:
        ValueError: There are no readings.
    """
    if not ratios:
        raise ValueError("a ratio needs at least one reading, got none")
    ratio, own = statistics.median(ratios), len(ratios) - 1
    squares = sum((each / ratio - 1) ** 2 for each in ratios)
    variance = (_PRIOR_WEIGHT * typical**2 + squares) / (_PRIOR_WEIGHT + own)
    return ratio, ratio * math.sqrt(variance / len(ratios))


def facts_of(
    subject: Subject,
    readings: Readings,
    taken: OneSpeed,
    scores: Mapping[str, Score],
    build_cpu_s: Sequence[float],
    typical: float,
) -> dict[str, Any]:
    """Where the figures come from."""
    import onnxruntime

    machine = detect_machine()
    return {
        "workload": subject.workload.name,
        "network_digest": subject.network.digest,
        "samples": len(subject.workload.search_part),
        "fp32_metric": readings.fp32.accuracy.value,
        "machine": machine.cpu,
        "runtime": f"onnxruntime {onnxruntime.__version__}",
        "int8_scheme": subject.profile.formats.int8_scheme,
        "taken_at": dt.datetime.now(dt.UTC).date().isoformat(),
        "clock": "processor time of one thread, at full speed",
        "candidates": len(taken.ratios),
        "readings": sum(map(len, taken.ratios.values())),
        "fp32_ms": taken.fp32_ms,
        "elasticity": taken.elasticity.value,
        "spread_of_a_reading": typical,
        "median_build_cpu_s": statistics.median(build_cpu_s),
        "median_score_cpu_s": statistics.median(score.cpu_s for score in scores.values()),
    }
