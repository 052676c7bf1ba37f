"""How far a measured latency can be trusted, and what it costs: `python -m benchmarks.measurement`.

A/A pairs of one model, two independent measurements of the same candidates, grades with and without other work on the
machine, seconds for one candidate, and MLCommons' LoadGen beside our own median. Run it on an otherwise idle machine.
"""

import contextlib
import multiprocessing
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.figures import Figure, parser, report
from benchmarks.subjects import Subject, prepare
from compress.candidate import Candidate
from hwprofiles import HardwareProfile
from latency import SEARCH, Measurement, Meter
from latency.witness import Traffic, call_witness
from search.space.space import build_space
from search.trial.timed_input import timed_feeds

WORKLOAD = "mnist-resnet"
STEADY = 0.05
"""How far our own median may move from before LoadGen's run to after it for the run to count as one on a quiet host."""

CLOSE = 0.015
"""Pairs of candidates whose ratios differ by no more are not asked to keep their order."""


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured: A/A pairs, candidates measured twice, runs graded, candidates timed, LoadGen's runs."""

    pairs: int = 30
    candidates: int = 30
    graded: int = 10
    timed: int = 20
    witnessed: int = 7


def main() -> None:
    """Measure all of it and report."""
    arguments = parser(__doc__, quick="a tenth of everything", workload=WORKLOAD).parse_args()
    sizes = Sizes(pairs=4, candidates=5, graded=2, timed=3, witnessed=1) if arguments.quick else Sizes()
    subject = prepare(arguments.workload, formats=("fp32", "int8"), quick=True)
    int8 = subject.compressor.build(subject.uniform("int8"))
    figures = {
        **same_model_twice(subject, subject.network.onnx_bytes, "FP32", sizes.pairs),
        **same_model_twice(subject, int8.onnx_bytes, "int8", sizes.pairs),
        **order_of_candidates(subject, sizes.candidates),
        **grades(subject, sizes.graded),
        **seconds_of_fast_candidates(subject, sizes.timed),
        **seconds_of_slow_model(subject, max(3, sizes.timed // 4)),
        **outside_witness(subject, sizes.witnessed),
    }
    report("measurement", figures)


def same_model_twice(subject: Subject, model: bytes, name: str, pairs: int) -> dict[str, Figure]:
    """One model against itself: how often the interval holds 1, and how wide it is."""
    entries = dict(subject.compressor.build(subject.uniform("int8")).session_entries)
    with meter_on(subject.profile, model, subject, entries) as meter:
        taken = [meter.measure(model, session_entries=entries, fresh=True) for _ in range(pairs)]
    show(f"A/A {name}", taken)
    clean = [each for each in taken if each.grade == "clean"]
    held = sum(each.ratio_low <= 1.0 <= each.ratio_high for each in taken)
    widths = [100 * each.ratio_half_width for each in clean] or [float("nan")]
    return {
        f"A/A {name}: intervals that hold 1": Figure(
            value=held, unit=f"of {pairs}", better="higher", asked=round(0.9 * pairs)
        ),
        f"A/A {name}: median half-width": Figure(value=statistics.median(widths), unit="%", better="lower", asked=0.7),
        f"A/A {name}: 90% of half-widths up to": Figure(
            value=float(np.quantile(widths, 0.9)), unit="%", better="lower"
        ),
        f"A/A {name}: graded clean": Figure(value=len(clean), unit=f"of {pairs}", better="higher"),
    }


def order_of_candidates(subject: Subject, count: int) -> dict[str, Figure]:
    """Two independent measurements of the same candidates: whether they tell the same order."""
    candidates = drawn_candidates(subject, count)

    def measure_all() -> list[float]:
        with meter_on(subject.profile, subject.network.onnx_bytes, subject, {}) as meter:
            return [meter.measure(c.onnx_bytes, session_entries=c.session_entries).ratio for c in candidates]

    first, second = measure_all(), measure_all()
    for one, other in sorted(zip(first, second, strict=True)):
        print(f"  {one:.4f}  {other:.4f}  {other / one - 1:+.2%}")
    apart = [abs(np.log(b / a)) for a, b in zip(first, second, strict=True)]
    return {
        "two measurements: Kendall's tau": Figure(value=agreement(first, second), unit="", better="higher", asked=0.97),
        "two measurements: median difference": Figure(value=100 * statistics.median(apart), unit="%", better="lower"),
    }


def agreement(first: Sequence[float], second: Sequence[float]) -> float:
    """Kendall's tau over the pairs whose mean ratios differ by more than `CLOSE`."""
    means = [(a + b) / 2 for a, b in zip(first, second, strict=True)]
    pairs = [(i, j) for i in range(len(means)) for j in range(i) if abs(np.log(means[i] / means[j])) > CLOSE]
    signs = [np.sign(first[i] - first[j]) * np.sign(second[i] - second[j]) for i, j in pairs]
    return float(np.mean(signs)) if signs else float("nan")


def grades(subject: Subject, runs: int) -> dict[str, Figure]:
    """How a quiet machine and one with a burner on each core are graded."""
    baseline = subject.network.onnx_bytes
    quiet = [one_measurement(subject, baseline) for _ in range(runs)]
    with burners(subject.threads):
        crowded = [one_measurement(subject, baseline) for _ in range(runs)]
    show("quiet", quiet)
    show("a burner on each core", crowded)
    seen = sum(each.grade in {"contended", "unreliable"} for each in crowded)
    clean = sum(each.grade == "clean" for each in quiet)
    return {
        "crowded machine graded so": Figure(value=seen, unit=f"of {runs}", better="higher", asked=runs),
        "quiet machine graded clean": Figure(value=clean, unit=f"of {runs}", better="higher", asked=round(0.9 * runs)),
        "crowded machine: median half-width": Figure(
            value=100 * statistics.median(each.ratio_half_width for each in crowded), unit="%", better="lower"
        ),
        "crowded machine: largest error of an A/A ratio": Figure(
            value=100 * max(abs(each.ratio - 1) for each in crowded), unit="%", better="lower"
        ),
    }


def one_measurement(subject: Subject, baseline: bytes) -> Measurement:
    """A/A in workers of its own."""
    with meter_on(subject.profile, baseline, subject, {}) as meter:
        return meter.measure(baseline, fresh=True)


@contextlib.contextmanager
def burners(count: int) -> Iterator[None]:
    """One process a core that does nothing but compute."""
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=burn, daemon=True) for _ in range(count)]
    for process in processes:
        process.start()
    try:
        time.sleep(1.0)
        yield
    finally:
        for process in processes:
            process.kill()
            process.join()


def burn() -> None:
    """Compute without end; whoever started it ends it."""
    value = 1.0
    while True:
        value = value * 1.0000001 % 7.0


def seconds_of_fast_candidates(subject: Subject, count: int) -> dict[str, Figure]:
    """What a candidate of one or two milliseconds costs, its loading and its share of worker starts included."""
    candidates = drawn_candidates(subject, 4 * count)
    seconds, widths, medians = [], [], []
    with meter_on(subject.profile, subject.network.onnx_bytes, subject, {}) as meter:
        for candidate in candidates:
            started = time.perf_counter()
            found = meter.measure(candidate.onnx_bytes, session_entries=candidate.session_entries)
            took_s = time.perf_counter() - started
            if 0.8 <= found.latency_ms <= 2.4:
                seconds.append(took_s)
                widths.append(100 * found.ratio_half_width)
                medians.append(found.latency_ms)
            if len(seconds) == count:
                break
    print(f"  {len(seconds)} candidates of {min(medians):.2f} to {max(medians):.2f} ms")
    return {
        "candidate of 1 to 2 ms: median time": Figure(
            value=statistics.median(seconds), unit="s", better="lower", asked=0.8
        ),
        "candidate of 1 to 2 ms: 90% within": Figure(value=float(np.quantile(seconds, 0.9)), unit="s", better="lower"),
        "candidate of 1 to 2 ms: median half-width": Figure(
            value=statistics.median(widths), unit="%", better="lower", asked=0.7
        ),
    }


def seconds_of_slow_model(subject: Subject, count: int) -> dict[str, Figure]:
    """What a model of about 30 ms costs: the network at a batch size that makes it so slow."""
    with meter_on(subject.profile, subject.network.onnx_bytes, subject, {}) as meter:
        one_ms = meter.measure(subject.network.onnx_bytes, fresh=True).baseline_ms
    batch_size = max(1, round(30 / one_ms))
    profile = subject.profile.with_engine(batch_size=batch_size)
    int8 = subject.compressor.build(subject.uniform("int8"))
    seconds, widths = [], []
    with meter_on(profile, subject.network.onnx_bytes, subject, {}) as meter:
        for model, entries in [(subject.network.onnx_bytes, {}), (int8.onnx_bytes, int8.session_entries)] * count:
            started = time.perf_counter()
            found = meter.measure(model, session_entries=entries, fresh=True)
            seconds.append(time.perf_counter() - started)
            widths.append(100 * found.ratio_half_width)
            print(
                f"  batch {batch_size}: {found.latency_ms:.1f} ms, ±{found.ratio_half_width:.2%}, {seconds[-1]:.2f} s"
            )
    return {
        "model of 30 ms: slowest": Figure(value=max(seconds), unit="s", better="lower", asked=5.0),
        "model of 30 ms: median half-width": Figure(value=statistics.median(widths), unit="%", better="lower"),
    }


def outside_witness(subject: Subject, runs: int) -> dict[str, Figure]:
    """LoadGen's single-stream median over ours, each run between two measurements of ours."""
    feeds = timed_feeds(subject.workload, subject.profile.engine.batch_size)
    traffic = Traffic(scenario="single-stream", seconds=2.0)
    ratios, steady = [], []
    for _ in range(runs):
        found = call_witness(subject.profile, subject.network.onnx_bytes, feeds, traffic)
        ratios.append(found.ratio)
        if abs(found.our_drift - 1) <= STEADY:
            steady.append(found.ratio)
        verdict = "VALID" if found.result.valid else "INVALID"
        print(
            f"  LoadGen {found.loadgen_ms:.3f} ms, {verdict}; ours {found.our_ms:.3f} ms, drift {found.our_drift:.3f}"
        )
    return {
        "LoadGen's median against ours: median difference": Figure(
            value=100 * abs(statistics.median(ratios) - 1), unit="%", better="lower", asked=5.0
        ),
        "LoadGen's median against ours: runs in which ours moved by less than 5%": Figure(
            value=len(steady), unit=f"of {runs}", better="higher"
        ),
        "LoadGen's median against ours: median difference in these": Figure(
            value=100 * abs(statistics.median(steady) - 1) if steady else float("nan"), unit="%", better="lower"
        ),
        "LoadGen's median against ours: largest difference": Figure(
            value=100 * max(abs(ratio - 1) for ratio in ratios), unit="%", better="lower"
        ),
    }


def drawn_candidates(subject: Subject, count: int) -> list[Candidate]:
    """Distinct candidates from the search space: a uniform sparsity or rank, and a share of 8-bit layers."""
    compressor = subject.compressor
    space = build_space(
        subject.network.layers,
        compressor.groups.values(),
        formats=("fp32", "int8"),
        patterns=("channels",),
        channel_multiple=subject.profile.sparsity.channel_multiple,
    )
    rng = random.Random(0)
    found: dict[str, Candidate] = {}
    while len(found) < count:
        share, depth = rng.random(), rng.random()
        params = {
            knob.name: rng.choice(knob.choices)
            if (rng.random() < share if knob.kind == "bits" else rng.random() < 0.5 * depth)
            else knob.choices[0]
            for knob in space.knobs
        }
        candidate = compressor.build(space.policy(params))
        found.setdefault(candidate.digest, candidate)
    return list(found.values())


@contextlib.contextmanager
def meter_on(
    profile: HardwareProfile, baseline: bytes, subject: Subject, entries: Mapping[str, str]
) -> Iterator[Meter]:
    """A meter with the workload's own timed input."""
    feeds = timed_feeds(subject.workload, profile.engine.batch_size)
    with Meter(profile, baseline, feeds, baseline_session_entries=entries, effort=SEARCH) as meter:
        yield meter


def show(name: str, measurements: Sequence[Measurement]) -> None:
    """One line each."""
    print(name)
    for each in measurements:
        print(
            f"  {each.ratio:.4f} [{each.ratio_low:.4f}, {each.ratio_high:.4f}] ±{each.ratio_half_width:.2%} "
            f"{each.grade}, baseline {each.baseline_ms:.3f} ms: {each.reason}"
        )


if __name__ == "__main__":
    main()
