"""The part of a session that needs the target: the search, and the confirmation of what it found."""

import datetime as dt
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from hwprofiles import HardwareProfile, Machine, detect_machine
from latency import Target, TargetError
from search.confirmation.confirm import confirm, unconfirmed
from search.confirmation.target_validation import TargetValidator
from search.crew import CrewMember
from search.errors import FailingTrialsError, SearchError, TargetLostError
from search.folder.environment import keep_environment
from search.folder.run_folder import RunFolder
from search.layers.graph import LayerGraph, record_layer_graph
from search.layers.neighbours import find_layer_graph
from search.loop import Budget
from search.prepare import Prepared
from search.progress import Listener, Progress
from search.recovery.ladder import plan_ladder
from search.recovery.recover import Recoverer
from search.recovery.recoveries import with_recovered
from search.recovery.remake import Remaker
from search.stages import StageClock
from search.study.address import StudyAddress
from search.study.aim import Aim
from search.study.liveness import Heart
from search.study.run_record import adopt_run, keep_run_environment
from search.study.space_record import adopt_space
from search.study.storage import open_storage
from search.study.study import FP32_MS, INSTRUCTIONS, LATENCY, begin_study
from search.study.trials import outcomes_of, policies_by_digest, read_points
from search.sweep.head_start import WITH_HEAD_START, HeadStart
from search.trial.evaluate import Evaluator
from search.trial.timed_input import timed_feeds
from search.trial.workbench import Workbench, open_workbench

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Searches and confirms.

    Attributes:
        prepared: What the run works on.
        folder: The run's folder.
        address: Where its study lies.
        config: The run's configuration.
        is_resumed: Whether the study has begun before.
        sampler: Name of the sampler.
        seed: Its seed.
        time_s: The seconds that the caller gave the session, for the record; None for no such limit.
        target_samples: How many unseen samples the confirmation runs on the target itself.
        recoverer: Recovers candidates after the search; None for no recovery.
        stages: Where the seconds are counted.
        listener: Told of every step.
    """

    prepared: Prepared
    folder: RunFolder
    address: StudyAddress
    config: Mapping[str, Any]
    is_resumed: bool
    sampler: str
    seed: int
    time_s: float | None
    target_samples: int | str | None
    recoverer: Recoverer | None
    stages: StageClock
    listener: Listener

    def run(self, budget: Budget) -> SearchError | None:
        """Search, recover if asked, then confirm; what ended any of it early, if something did.

        Raises:
            SearchError: Device, runtime, space or study are others than those of the run's trials.
            TargetError: The target went away before there was anything to report.
        """
        environment: dict[str, Any] = {}

        def accept(machine: Machine, runtime: str) -> None:
            has_trials = self.is_resumed and self.folder.environment_path.is_file()
            environment.update(
                keep_environment(self.folder, self._profile, machine, runtime, has_trials=has_trials or None)
            )
            self._begin_session(budget)

        with open_workbench(
            self.prepared, self.folder.path, stages=self.stages, listener=self.listener, accept=accept
        ) as bench:
            evaluator = bench.search_evaluator()
            with open_storage(self.address) as storage:
                cost = INSTRUCTIONS if self._profile.reach.transport == "emulated" else LATENCY
                study = begin_study(storage, self.address.name, self.sampler, self.seed, cost)
                with self.stages.stage("storage"):
                    adopt_run(study, self.config, self.address)
                    keep_run_environment(study, environment, self.address)
                    adopt_space(study, self.prepared.space, self.folder.path)
                    record_layer_graph(study, self._layer_graph())
                with Heart(self.address) as heart:
                    member = CrewMember(
                        study=study,
                        space=self.prepared.space,
                        heart=heart,
                        evaluator=evaluator,
                        budget=self._search_budget(budget),
                        seed=self.seed,
                        stages=self.stages,
                        listener=self.listener,
                    )
                    failure = self._search(member)
                    if self.recoverer is not None and failure is None:
                        failure = self._try_what_to_recover(member, budget)
                if self.recoverer is not None and failure is None:
                    failure = self._recover(self.recoverer, study, evaluator, budget)
                return self._confirm_as_far_as_possible(study, bench, failure)

    @property
    def _profile(self) -> HardwareProfile:
        return self.prepared.profile

    def _layer_graph(self) -> LayerGraph:
        compressor = self.prepared.compressor
        return find_layer_graph(
            self.prepared.network, compressor.groups.values(), channel_multiple=compressor.channel_multiple
        )

    def _search(self, member: CrewMember) -> SearchError | None:
        """Search; what ended it early, if something did and there is something to report."""
        aim = self._aim(member.budget)
        with self.stages.stage("storage"):
            aim.tell(member.study)
        try:
            if self.sampler in WITH_HEAD_START:
                HeadStart(
                    prepared=self.prepared,
                    folder=self.folder,
                    budget=member.budget,
                    threads=detect_machine().logical_cores,
                    stages=self.stages,
                    listener=self.listener,
                ).give(member.study)
            member.run()
            member.await_others()
        except FailingTrialsError as error:
            failure: SearchError | None = error
        except TargetError as error:  # other workers may reach theirs, and go on
            if not outcomes_of(member.study.get_trials(deepcopy=False)):  # nothing to report
                raise
            return TargetLostError(f"the target went away: {error}")
        else:
            failure = None
        replace(aim, is_over=True).tell(member.study)
        return failure

    def _search_budget(self, budget: Budget) -> Budget:
        """What is left for the search when the recovery has its share of the time."""
        if self.recoverer is None or budget.deadline_s is None:
            return budget
        return replace(budget, deadline_s=budget.deadline_s - self.recoverer.plan.seconds_of(self.time_s))

    def _try_what_to_recover(self, member: CrewMember, budget: Budget) -> SearchError | None:
        """Carry out what only the recovery wants, in its time; what ended that early, if something did."""
        with self.stages.stage("sampler"):
            plans = plan_ladder(member.study, self.prepared.space)
        if not plans:
            return None
        note = f"trying {len(plans)} strongly compressed candidates, to recover them"
        self.listener(Progress(stage="search", done=0, total=None, note=note))
        more = replace(
            member,
            budget=replace(budget, trials=None),
            confirmation_s=lambda _front_size, _typical_s: 0.0,
            plans=plans,
            is_over=lambda: not more.seen.planned,
            trials_run=0,
        )
        try:
            more.run()
        except FailingTrialsError as error:
            return error
        except TargetError as error:
            return TargetLostError(f"the target went away: {error}")
        return None

    def _recover(
        self, recoverer: Recoverer, study: "optuna.Study", evaluator: Evaluator, budget: Budget
    ) -> SearchError | None:
        """Recover what is due; what ended it early, if something did."""
        trials = study.get_trials(deepcopy=False)
        until_s = time.monotonic() + recoverer.plan.seconds_of(self.time_s)
        try:
            recoverer.run(
                read_points(trials, self.prepared.space),
                policies_by_digest(trials, self.prepared.space),
                evaluator,
                study.user_attrs.get(FP32_MS),
                until_s if budget.deadline_s is None else min(until_s, budget.deadline_s),
            )
        except TargetError as error:
            return TargetLostError(f"the target went away in the recovery: {error}")
        return None

    def _aim(self, budget: Budget) -> Aim:
        if budget.deadline_s is None:
            return Aim(trials=budget.trials, until=None)
        left = dt.timedelta(seconds=budget.deadline_s - time.monotonic())
        return Aim(trials=budget.trials, until=dt.datetime.now(dt.UTC) + left)

    def _confirm_as_far_as_possible(
        self, study: "optuna.Study", bench: Workbench, failure: SearchError | None
    ) -> SearchError | None:
        try:
            self._confirm(study, bench)
        except TargetError as error:  # what was concluded before is kept; the rest can be confirmed later
            failure = failure or TargetLostError(f"the target went away in the confirmation: {error}")
        return failure

    def _confirm(self, study: "optuna.Study", bench: Workbench) -> None:
        workload, network = self.prepared.workload, self.prepared.network
        trials = study.get_trials(deepcopy=False)
        points = with_recovered(read_points(trials, self.prepared.space), self.folder)
        if not unconfirmed(points, self.folder):
            return
        self.listener(Progress(stage="confirmation", done=0, total=None))
        with TargetValidator(
            self._profile,
            network,
            workload.confirmation_part,
            workload.metric,
            timed_feeds(workload, self._profile.engine.batch_size),
            asked=self.target_samples,
            stages=self.stages,
            make_target=partial(Target, built=self.folder.engines_path),  # what was timed is what answers
        ) as validator:
            confirm(
                points,
                self._remaker(trials),
                bench.evaluator_on(workload.confirmation_part),
                validator,
                self.folder,
                study.user_attrs.get(FP32_MS),
                self.listener,
            )

    def _remaker(self, trials: "Sequence[optuna.trial.FrozenTrial]") -> Remaker:
        return Remaker(
            compressor=self.prepared.compressor,
            policies=policies_by_digest(trials, self.prepared.space),
            folder=self.folder,
            stages=self.stages,
        )

    def _begin_session(self, budget: Budget) -> None:
        asked: dict[str, Any] = {"trials": budget.trials, "time_s": self.time_s}
        if self.recoverer is not None:
            asked |= self.recoverer.plan.to_config()
        self.folder.begin_session(
            {
                "started_at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
                "sampler": self.sampler,
                "seed": self.seed,
                **{name: value for name, value in asked.items() if value is not None},
            }
        )
