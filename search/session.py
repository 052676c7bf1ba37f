"""One session of a run: from the folder as it is to the folder as it should be."""

import datetime as dt
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from hwprofiles import HardwareProfile, detect_machine
from latency import Target, TargetError
from latency.meters import open_meter
from search.candidates import write_candidates
from search.confirm import ENOUGH_POINTS, PASSES, confirm, unconfirmed
from search.confirmations import read_confirmations
from search.environment import keep_environment, require_target
from search.errors import FailingTrialsError, SearchError, TargetLostError
from search.evaluate import Evaluator, has_same_kernels, validate_fp32
from search.layer_graph import record_layer_graph
from search.layer_neighbours import find_layer_graph
from search.loop import Budget, SearchLoop
from search.prepare import Prepared, prepare
from search.progress import Listener, Progress
from search.results import FP32_MS, RunResult, read_result, write_results
from search.run_folder import RunFolder
from search.seen import resume
from search.space_record import adopt_space
from search.stages import StageClock
from search.study import INSTRUCTIONS, LATENCY, flush_study, load_study, open_study
from search.sweep.head_start import WITH_HEAD_START, HeadStart
from search.target_validation import TargetValidator
from search.timed_input import timed_feeds
from search.timings import Timings
from search.trials import count_finished, outcomes_of, policies_by_digest, read_points
from workloads import Samples, Workload, in_fair_order

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
        calibration_memory_bytes: About how much memory calibration may take.
        stages: Where the seconds are counted.
        time_s: The seconds that the caller gave it, for the record; None for no such limit.
        target_samples: How many unseen samples the confirmation runs on the target itself, or `all`; None for what
            suits its transport.
        listener: Told of every step.
    """

    workload: Workload
    profile: HardwareProfile
    folder: RunFolder
    sampler: str
    seed: int
    calibration_memory_bytes: int
    stages: StageClock
    time_s: float | None
    target_samples: int | str | None
    listener: Listener

    def run(self, budget: Budget) -> RunResult:
        """Prepare, search, confirm, report.

        Raises:
            FailingTrialsError: Trials failed one after another; what there was before is confirmed and reported.
            TargetLostError: The target went away; what there was before is reported.
            TargetError: It was not there to begin with.
        """
        with self.stages.stage("storage"):
            self._adopt()
            read_confirmations(self.folder)  # what is damaged should be said now, not after a night's search
        timings = Timings(self.folder, self.stages)
        session = replace(self, listener=_keeping(self.listener, timings, self.folder))
        failure = None
        try:
            threads = detect_machine().logical_cores
            prepared = prepare(
                self.workload,
                self.profile,
                self.folder,
                threads=threads,
                memory_bytes=self.calibration_memory_bytes,
                stages=self.stages,
                listener=session.listener,
            )
            if not self._is_done(prepared, budget):
                failure = session._use_target(prepared, budget, threads)
            timings.keep()
            result = session._report(prepared)
        finally:
            timings.keep()
        if failure is not None:
            kept = "confirmed and reported" if result.is_confirmed else "reported, unconfirmed,"
            raise type(failure)(f"{failure}; what was found before is {kept} in {str(self.folder.path)!r}") from failure
        return result

    def _is_done(self, prepared: Prepared, budget: Budget) -> bool:
        """Whether earlier sessions have left nothing to search and nothing to confirm."""
        if not self.folder.study_path.is_file():
            return False
        with self.stages.stage("storage"), self._open_study() as study:
            adopt_space(study, prepared.space, self.folder.path)
            trials = study.get_trials(deepcopy=False)
        if budget.trials is None or count_finished(trials) < budget.trials or not outcomes_of(trials):
            return False
        return not unconfirmed(read_points(trials, prepared.space), self.folder)

    def _open_study(self) -> "AbstractContextManager[optuna.Study]":
        cost = INSTRUCTIONS if self.profile.reach.transport == "emulated" else LATENCY
        return open_study(self.folder.study_path, self.sampler, self.seed, cost)

    def _stored_trials(self) -> "list[optuna.trial.FrozenTrial]":
        with load_study(self.folder.study_path) as study:
            return study.get_trials(deepcopy=False)

    def _use_target(self, prepared: Prepared, budget: Budget, threads: int) -> SearchError | None:
        """Search, then confirm: all that needs the target's workers; what ended either early, if something did."""
        network = prepared.network.onnx_bytes
        feeds = timed_feeds(self.workload, self.profile.engine.batch_size)
        with open_meter(self.profile, network, feeds, log_folder=self.folder.path) as meter:
            self.stages.add("worker start", meter.cost.overhead_s)
            require_target(self.profile, meter.machine)
            keep_environment(self.folder, self.profile, meter.machine, meter.runtime)
            self._begin_session(budget)
            judge_kernels = has_same_kernels(self.profile, meter.machine, detect_machine())

            def evaluator_on(samples: Samples) -> Evaluator:
                fp32 = validate_fp32(network, samples, self.workload.metric, threads=threads, stages=self.stages)
                return Evaluator(
                    compressor=prepared.compressor,
                    validation=fp32,
                    meter=meter,
                    threads=threads,
                    target_batch_size=self.profile.engine.batch_size,
                    judge_kernels=judge_kernels,
                    stages=self.stages,
                )

            self.listener(Progress(stage="baseline", done=0, total=1))
            evaluator = evaluator_on(in_fair_order(self.workload.search_part, self.workload.metric))
            with self._open_study() as study:
                return self._search_and_confirm(prepared, study, budget, evaluator, evaluator_on)

    def _search_and_confirm(
        self,
        prepared: Prepared,
        study: "optuna.Study",
        budget: Budget,
        evaluator: Evaluator,
        evaluator_on: Callable[[Samples], Evaluator],
    ) -> SearchError | None:
        failure: SearchError | None = None
        try:
            self._search(prepared, study, budget, evaluator)
        except FailingTrialsError as error:
            failure = error
        except TargetError as error:
            if not outcomes_of(study.get_trials(deepcopy=False)):  # nothing to report
                raise
            failure = TargetLostError(f"the target went away: {error}")
        try:
            self._confirm(prepared, study, evaluator_on)
        except TargetError as error:  # what was concluded before is kept; the rest can be confirmed later
            failure = failure or TargetLostError(f"the target went away in the confirmation: {error}")
        return failure

    def _search(self, prepared: Prepared, study: "optuna.Study", budget: Budget, evaluator: Evaluator) -> None:
        with self.stages.stage("storage"):
            adopt_space(study, prepared.space, self.folder.path)
            compressor = prepared.compressor
            graph = find_layer_graph(
                prepared.network, compressor.groups.values(), channel_multiple=compressor.channel_multiple
            )
            record_layer_graph(study, graph)
            seen = resume(study, prepared.space)
        if self.sampler in WITH_HEAD_START:
            threads = detect_machine().logical_cores
            HeadStart(
                prepared=prepared,
                folder=self.folder,
                budget=budget,
                threads=threads,
                stages=self.stages,
                listener=self.listener,
            ).give(study)
        SearchLoop(
            study=study,
            space=prepared.space,
            seen=seen,
            evaluator=evaluator,
            fidelity=open_fidelity(study, evaluator.samples),
            budget=budget,
            seed=self.seed,
            stages=self.stages,
            confirmation_s=lambda front, typical_s: max(front, ENOUGH_POINTS) * typical_s * _CONFIRMATION_COST,
            listener=self.listener,
        ).run()

    def _confirm(self, prepared: Prepared, study: "optuna.Study", evaluator_on: Callable[[Samples], Evaluator]) -> None:
        trials = study.get_trials(deepcopy=False)
        points = read_points(trials, prepared.space)
        if not unconfirmed(points, self.folder):
            return
        self.listener(Progress(stage="confirmation", done=0, total=None))
        evaluator = evaluator_on(self.workload.confirmation_part)
        with TargetValidator(
            self.profile,
            prepared.network,
            self.workload.confirmation_part,
            self.workload.metric,
            timed_feeds(self.workload, self.profile.engine.batch_size),
            asked=self.target_samples,
            stages=self.stages,
            make_target=partial(Target, built=self.folder.engines_path),  # what was timed is what answers
        ) as validator:
            confirm(
                points,
                policies_by_digest(trials, prepared.space),
                evaluator,
                validator,
                self.folder,
                study.user_attrs.get(FP32_MS),
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
            }
        )

    def _begin_session(self, budget: Budget) -> None:
        asked = {"trials": budget.trials, "time_s": self.time_s}
        self.folder.begin_session(
            {
                "started_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "sampler": self.sampler,
                "seed": self.seed,
                **{name: value for name, value in asked.items() if value is not None},
            }
        )

    def _report(self, prepared: Prepared) -> RunResult:
        self.listener(Progress(stage="report", done=0, total=1))
        with self.stages.stage("report"):
            result = read_result(self.folder.path)
            policies = policies_by_digest(self._stored_trials(), prepared.space)
            builds = self.profile.engine.builds
            write_candidates(self.folder, prepared.compressor, policies, result, builds_engines=builds)
            write_results(self.folder, result)
        self.listener(Progress(stage="report", done=1, total=1))
        return result


def _keeping(listener: Listener, timings: Timings, folder: RunFolder) -> Listener:
    """Tell `listener`; keep the seconds now and then, and every finished trial at once."""

    def listen(step: Progress) -> None:
        timings.tick()
        if step.stage == "search":
            flush_study(folder.study_path)
        listener(step)

    return listen
