"""One session of a run: from the folder as it is to the folder as it should be."""

import datetime as dt
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hwprofiles import HardwareProfile, detect_machine
from latency import MeasurementLog, Meter
from search.candidates import write_candidates
from search.confirm import ENOUGH_POINTS, PASSES, confirm, read_confirmations, unconfirmed
from search.evaluate import Evaluator, validate_fp32
from search.loop import Budget, SearchLoop
from search.prepare import Prepared, prepare
from search.progress import Listener, Progress
from search.results import FP32_MS, LAYERS, RunResult, read_result, write_results
from search.run_folder import RunFolder
from search.stages import StageClock
from search.study import load_study, open_study, resume
from search.trials import count_finished, outcomes_of, policies_by_digest, read_points
from workloads import Samples, Workload

if TYPE_CHECKING:
    import optuna

# Confirming a point takes about this many trials' time: more samples, in several passes.
_CONFIRMATION_COST = 2.0 * PASSES


@dataclass(frozen=True, kw_only=True)
class Session:
    """Runs one session.

    Attributes:
        workload: What to search.
        profile: The target.
        folder: Where the run lives; the caller owns its lock.
        sampler: Name of the sampler.
        seed: Its seed.
        stages: Where the seconds are counted.
        listener: Told of every step.
    """

    workload: Workload
    profile: HardwareProfile
    folder: RunFolder
    sampler: str
    seed: int
    stages: StageClock
    listener: Listener

    def run(self, budget: Budget) -> RunResult:
        """Prepare, search, confirm, report."""
        with self.stages.stage("storage"):
            self._adopt()
            read_confirmations(self.folder)  # what is damaged should be said now, not after a night's search
        timings = Timings(self.folder, self.stages)
        try:
            threads = detect_machine().logical_cores
            prepared = prepare(
                self.workload, self.profile, self.folder, threads=threads, stages=self.stages, listener=self.listener
            )
            if not self._is_done(prepared, budget):
                self._use_target(prepared, budget, threads)
            timings.keep()
            return self._report(prepared)
        finally:
            timings.keep()

    def _is_done(self, prepared: Prepared, budget: Budget) -> bool:
        """Whether earlier sessions have left nothing to search and nothing to confirm."""
        if budget.trials is None or not self.folder.study_path.is_file():
            return False
        trials = self._stored_trials()
        if count_finished(trials) < budget.trials or not outcomes_of(trials):
            return False
        return not unconfirmed(read_points(trials, prepared.space.layers), self.folder)

    def _stored_trials(self) -> "list[optuna.trial.FrozenTrial]":
        with load_study(self.folder.study_path) as study:
            return study.get_trials(deepcopy=False)

    def _use_target(self, prepared: Prepared, budget: Budget, threads: int) -> None:
        """Search, then confirm: all that needs the target's workers."""
        network = prepared.network.onnx_bytes
        feeds = timed_feeds(self.workload, self.profile.engine.batch_size)
        log = MeasurementLog(self.folder.measurements_path)
        with Meter(self.profile, network, feeds, log=log) as meter:
            self.stages.add("worker start", meter.cost.overhead_s)
            self._write_environment(meter.runtime)

            def evaluator_on(samples: Samples) -> Evaluator:
                fp32 = validate_fp32(network, samples, self.workload.metric, threads=threads, stages=self.stages)
                return Evaluator(
                    compressor=prepared.compressor, validation=fp32, meter=meter, threads=threads, stages=self.stages
                )

            self.listener(Progress(stage="baseline", done=0, total=1))
            evaluator = evaluator_on(self.workload.search_part)
            with open_study(self.folder.study_path, self.sampler, self.seed) as study:
                self._search(prepared, study, budget, evaluator)
                self._confirm(prepared, study, evaluator_on)

    def _search(self, prepared: Prepared, study: "optuna.Study", budget: Budget, evaluator: Evaluator) -> None:
        with self.stages.stage("storage"):
            study.set_user_attr(LAYERS, list(prepared.space.layers))
            seen = resume(study, prepared.space)
        SearchLoop(
            study=study,
            space=prepared.space,
            seen=seen,
            evaluator=evaluator,
            budget=budget,
            seed=self.seed,
            stages=self.stages,
            confirmation_s=lambda front, typical_s: max(front, ENOUGH_POINTS) * typical_s * _CONFIRMATION_COST,
            listener=self.listener,
        ).run()

    def _confirm(self, prepared: Prepared, study: "optuna.Study", evaluator_on: Callable[[Samples], Evaluator]) -> None:
        trials = study.get_trials(deepcopy=False)
        points = read_points(trials, prepared.space.layers)
        if not unconfirmed(points, self.folder):
            return
        self.listener(Progress(stage="confirmation", done=0, total=None))
        confirm(
            points,
            policies_by_digest(trials, prepared.space.layers),
            evaluator_on(self.workload.confirmation_part),
            self.folder,
            study.user_attrs[FP32_MS],
            self.listener,
        )

    def _adopt(self) -> None:
        self.folder.adopt(
            {
                "started_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "workload": {
                    "name": self.workload.name,
                    "origin": self.workload.origin,
                    "digest": self.workload.digest,
                    "metric": self.workload.metric.name,
                    "samples_search": len(self.workload.search_part),
                    "samples_confirmation": len(self.workload.confirmation_part),
                },
                "target": {
                    "name": self.profile.name,
                    "profile": self.profile.model_dump(mode="json", exclude_none=True),
                },
                "search": {"sampler": self.sampler, "seed": self.seed},
            }
        )

    def _write_environment(self, runtime: str) -> None:
        machine = detect_machine()
        threads = self.profile.engine.threads
        document = {
            "format_version": 1,
            "device": f"{machine.cpu}, {threads} thread{'s' if threads > 1 else ''}",
            "runtime": f"{runtime}, {self.profile.engine.provider}",
            "hardware_id": machine.hardware_id,
            "machine": asdict(machine),
            "versions": library_versions(),
        }
        self.folder.write(self.folder.environment_path, json.dumps(document, indent=1))

    def _report(self, prepared: Prepared) -> RunResult:
        self.listener(Progress(stage="report", done=0, total=1))
        with self.stages.stage("report"):
            result = read_result(self.folder.path)
            policies = policies_by_digest(self._stored_trials(), prepared.space.layers)
            write_candidates(self.folder, prepared.compressor, policies, result)
            write_results(self.folder, result)
        self.listener(Progress(stage="report", done=1, total=1))
        return result


class Timings:
    """`timings.json`: seconds by stage over all sessions of a run.

    Args:
        folder: The run's folder; what earlier sessions took is read from it now.
        stages: This session's seconds.
        clock: Monotonic seconds.
    """

    def __init__(
        self, folder: RunFolder, stages: StageClock, *, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._folder = folder
        self._stages = stages
        self._clock = clock
        self._started_s = clock() - sum(stages.seconds.values())
        self._earlier: dict[str, float] = folder.read_json(folder.timings_path).get("seconds", {})

    def keep(self) -> None:
        """Write the seconds so far; what no stage accounts for is `other`."""
        seconds = self._stages.seconds
        seconds["other"] = max(0.0, self._clock() - self._started_s - sum(seconds.values()))
        names = sorted({*self._earlier, *seconds})
        total = {name: round(self._earlier.get(name, 0.0) + seconds.get(name, 0.0), 3) for name in names}
        self._folder.write(self._folder.timings_path, json.dumps({"format_version": 1, "seconds": total}, indent=1))


def timed_feeds(workload: Workload, batch_size: int) -> dict[str, NDArray[Any]]:
    """What is timed: the workload's own choice, else its first validation sample, repeated to the batch size."""
    feeds: Mapping[str, NDArray[Any]] | None = workload.latency_input
    if feeds is None:
        feeds, _ = next(workload.search_part.batches(1))
    return {name: np.resize(array, (batch_size, *array.shape[1:])) for name, array in feeds.items()}


def library_versions() -> dict[str, str]:
    """Versions of what decides a run's figures."""
    from importlib.metadata import version

    names = ("paretune", "onnx", "onnx-ir", "onnxruntime", "optuna", "numpy", "torch")
    return {name: version(name) for name in names}
