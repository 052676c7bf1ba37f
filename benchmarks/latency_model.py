"""How well a search knows the latency of what it has not tried: `python -m benchmarks.latency_model`.

A search of 60 trials, as users make it; then policies that it never saw are measured as its trials were, and what the
frontier sampler's model expects of them is held against that. Two kinds: drawn at random over the whole space, and
proposed by the sampler. Beside the errors stand what bounds them from below, how far two measurements of one candidate
lie apart, and what tells whether the test is one: the error of the best guess that knows no policy, and how far the
latencies themselves lie apart. All latencies are at the speed of the machine that the search saw them at
(`search.trial.speed_record`).

`--run` takes the folder of an earlier search in place of a new one (for one workload). Measurements are kept in the
folder that `--out` names; the same call goes on where it was stopped.
"""

import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optuna.trial import FrozenTrial

from benchmarks.figures import Figure, parser, report
from benchmarks.samplers.live import LiveSearch
from compress.errors import CompressionError
from compress.policy import Policy
from hwprofiles import HardwareProfile, detect_machine, load_profile
from latency import Measurement, MeasurementError
from latency.meters import open_meter
from search.folder.run_folder import RunFolder
from search.prepare import Prepared, prepare
from search.samplers import SAMPLERS
from search.samplers.frontier import Knowledge, open_knowledge
from search.space.space import Choice
from search.stages import StageClock
from search.study.study import FP32_MS, load_run_study
from search.study.trials import is_finished
from search.trial.speed_record import SpeedRecord
from search.trial.timed_input import timed_feeds
from workloads import load

WORKLOADS = ("mnist-resnet", "effnet-lite0")
ASKED_ERROR, ASKED_SHARE, WITHIN = 0.02, 0.97, 0.10
_SEED = 0
_KINDS = ("random", "proposed")

Params = Mapping[str, Choice]


@dataclass(frozen=True, kw_only=True)
class Unseen:
    """A policy that the search did not try.

    Attributes:
        kind: `random` or `proposed`.
        expected: What the model expects of its latency, over FP32's.
        deviation: Standard deviation of that.
        measured: What was measured; a second time too, if wanted.
    """

    kind: str
    expected: float
    deviation: float
    measured: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Examination:
    """One search, and what is asked of its model.

    Attributes:
        workload: What was searched.
        profile: Where.
        run: The search's folder.
        folder: Where measurements go.
        trials: How many finished trials the model learns from.
        count: Unseen policies of each kind.
        repeats: How many of them are measured twice.
    """

    workload: str
    profile: HardwareProfile
    run: Path
    folder: Path
    trials: int
    count: int
    repeats: int

    def examine(self) -> list[Unseen]:
        """Measure what the search has not seen, and ask what it expects."""
        with load_run_study(RunFolder(self.run)) as study:
            knowledge = open_knowledge(study)
            finished = [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)][: self.trials]
            tried = {json.dumps(trial.params, sort_keys=True) for trial in finished}
            knowledge.learn(study.study_name, finished)
            fp32_ms = study.user_attrs[FP32_MS]
        unseen = [*self._random(knowledge, tried), *self._proposed(knowledge)]
        expected, deviations = knowledge.predict_cost([dict(params) for _, params in unseen])
        space = self._prepared.space
        taken = self._measure([space.policy(params) for _, params in unseen])
        measured = self._at_one_speed(taken, finished, fp32_ms)
        return [
            Unseen(kind=kind, expected=float(mean), deviation=float(deviation), measured=found)
            for (kind, _), mean, deviation, found in zip(unseen, expected, deviations, measured, strict=True)
            if found
        ]

    @cached_property
    def _prepared(self) -> Prepared:
        # A search is given all of the machine's threads, and so is what builds its candidates again.
        return prepare(
            load(self.workload),
            self.profile,
            RunFolder(self.run),
            threads=detect_machine().logical_cores,
            memory_bytes=2 * 2**30,
            stages=StageClock(),
            listener=lambda step: None,
        )

    def _random(self, knowledge: Knowledge, tried: set[str]) -> Iterator[tuple[str, Params]]:
        rng = np.random.default_rng(_SEED)
        knobs, found = knowledge.variables.knobs, 0
        while found < self.count:
            params = {knob.name: knob.choices[int(rng.integers(len(knob.choices)))] for knob in knobs}
            if json.dumps(params, sort_keys=True) not in tried:
                found += 1
                yield "random", params

    def _proposed(self, knowledge: Knowledge) -> Iterator[tuple[str, Params]]:
        rng = np.random.default_rng(_SEED)
        for _ in range(self.count):
            yield "proposed", knowledge.propose(rng)  # never what it has seen or proposed before

    def _at_one_speed(
        self, taken: list[tuple[Policy, list[Measurement]]], trials: list[FrozenTrial], fp32_ms: float
    ) -> list[tuple[float, ...]]:
        """Ratios to FP32 as the search had its own: at the speed of the machine at which FP32 takes `fp32_ms`."""
        macs = {layer.name: layer.macs for layer in self._prepared.network.layers}
        speeds = SpeedRecord(self._prepared.space, macs)
        speeds.learn_trials(trials)
        for policy, measurements in taken:
            for measurement in measurements:
                speeds.learn(policy, measurement)
        return [tuple(each.at(speeds.speed(policy, fp32_ms)).ratio for each in found) for policy, found in taken]

    def _measure(self, policies: list[Policy]) -> list[tuple[Policy, list[Measurement]]]:
        """Measurements of each; none where it cannot be built or measured, and the reason is said.

        Those that are measured twice are so when all have been measured once: another hour is another machine.
        """
        prepared = self._prepared
        feeds = timed_feeds(prepared.workload, self.profile.engine.batch_size)
        twice = np.unique(np.linspace(0, len(policies) - 1, self.repeats).astype(np.int64)).tolist()
        with open_meter(self.profile, prepared.network.onnx_bytes, feeds, log_folder=self.folder) as meter:

            def measure(position: int, *, fresh: bool) -> list[Measurement]:
                try:
                    candidate = prepared.compressor.build(policies[position])
                    taken = meter.measure(candidate.onnx_bytes, session_entries=candidate.session_entries, fresh=fresh)
                except (CompressionError, MeasurementError) as error:
                    print(f"{self.workload}: policy {position} is left out: {error}")
                    return []
                if not isinstance(taken, Measurement):
                    raise TypeError(f"'{self.profile.name}' is emulated and has no latencies; name a --target that has")
                return [taken]

            found = [measure(position, fresh=False) for position in range(len(policies))]
            for position in twice:
                if found[position]:
                    found[position] += measure(position, fresh=True)
        return list(zip(policies, found, strict=True))


def figures_of(label: str, unseen: list[Unseen]) -> dict[str, Figure]:
    """Errors of the model, of measuring, and of guessing, in shares of what was measured."""
    figures: dict[str, Figure] = {}
    for kind in _KINDS:
        mine = [one for one in unseen if one.kind == kind]
        if not mine:
            continue
        measured = np.array([one.measured[0] for one in mine])
        expected = np.array([one.expected for one in mine])
        errors = np.abs(expected / measured - 1.0)
        named = f"{label}, {kind}"
        figures[f"{named}: median error"] = _share(float(np.median(errors)), "lower", ASKED_ERROR)
        figures[f"{named}: within 5%"] = _share(float((errors <= WITHIN / 2).mean()), "higher")
        figures[f"{named}: within 10%"] = _share(float((errors <= WITHIN).mean()), "higher", ASKED_SHARE)
        guess = np.abs(np.median(measured) / measured - 1.0)
        figures[f"{named}: error of one guess for all"] = _share(float(np.median(guess)), "higher")
        low, high = np.quantile(measured, (0.1, 0.9))
        figures[f"{named}: 9th over 1st decile"] = Figure(value=float(high / low), unit="×", better="higher")
    twice = np.array([one.measured for one in unseen if len(one.measured) > 1])
    if len(twice):
        apart = np.abs(twice[:, 0] / twice[:, 1] - 1.0)
        figures[f"{label}: two measurements apart, median"] = _share(float(np.median(apart)), "lower")
        figures[f"{label}: two measurements within 10%"] = _share(float((apart <= WITHIN).mean()), "higher")
    return figures


def _share(value: float, better: Any, asked: float | None = None) -> Figure:
    return Figure(value=value, unit="share", better=better, asked=asked)


def plot(unseen: list[Unseen], title: str, path: Path) -> None:
    """What was expected over what was measured."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(5, 5), layout="constrained")
    axes = picture.subplots()
    for kind in _KINDS:
        mine = [one for one in unseen if one.kind == kind]
        measured: NDArray[np.float64] = np.array([one.measured[0] for one in mine])
        expected = [one.expected for one in mine]
        axes.errorbar(measured, expected, yerr=[one.deviation for one in mine], fmt="o", markersize=3, label=kind)
    ends = np.array(axes.get_xlim())
    axes.plot(ends, ends, color="grey", linewidth=1)
    axes.fill_between(ends, ends * (1 - WITHIN), ends * (1 + WITHIN), color="grey", alpha=0.15)
    axes.set(xlabel="measured, over FP32", ylabel="expected, over FP32", title=title)
    axes.legend()
    picture.savefig(path)


def main() -> None:
    """Search, measure what was not tried, report."""
    options = parser(__doc__, quick="one workload, 20 trials, 6 policies of each kind", workloads=WORKLOADS)
    options.add_argument("--target", default="local-cpu")
    options.add_argument("--sampler", choices=tuple(SAMPLERS), default="frontier")
    options.add_argument("--trials", type=int, default=60)
    options.add_argument("--count", type=int, default=50, help="unseen policies of each kind")
    options.add_argument("--repeats", type=int, default=20, help="how many are measured twice")
    options.add_argument("--run", type=Path, help="the folder of an earlier search of the workload")
    options.add_argument("--out", type=Path, help="where searches and measurements are kept")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.workload, arguments.trials = arguments.workload[:1], 20
        arguments.count, arguments.repeats = 6, 4
    if arguments.run is not None and len(arguments.workload) != 1:
        options.error("--run is a search of one workload: name it with --workload")
    out = arguments.out or Path(tempfile.mkdtemp(prefix="paretune-latency-model-"))
    figures: dict[str, Figure] = {}
    for workload in arguments.workload:
        folder = out / Path(workload).stem
        run = arguments.run or folder / "run"
        folder.mkdir(parents=True, exist_ok=True)
        if arguments.run is None:
            LiveSearch(
                workload=workload,
                target=arguments.target,
                sampler=arguments.sampler,
                seed=_SEED,
                trials=arguments.trials,
                folder=run,
                floor=0.0,
            ).go_on()
        unseen = Examination(
            workload=workload,
            profile=load_profile(arguments.target),
            run=run,
            folder=folder,
            trials=arguments.trials,
            count=arguments.count,
            repeats=arguments.repeats,
        ).examine()
        (folder / "unseen.json").write_text(json.dumps([vars(one) for one in unseen]))
        plot(unseen, f"{workload}, after {arguments.trials} trials", folder / "latency_model.png")
        print(folder / "latency_model.png")
        figures |= figures_of(workload, unseen)
    report("latency_model", figures)


if __name__ == "__main__":
    main()
