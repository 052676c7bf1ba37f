"""The part of a session that needs the target: the search, and what follows it."""

import datetime as dt
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hwprofiles import HardwareProfile, Machine, detect_machine
from latency import TargetError
from search.conclusion import Conclusion
from search.crew import CrewMember
from search.errors import FailingTrialsError, SearchError, TargetLostError
from search.folder.environment import keep_environment
from search.folder.run_folder import RunFolder
from search.layers.graph import LayerGraph, record_layer_graph
from search.layers.neighbours import find_layer_graph
from search.outlook import Budget
from search.prepare import Prepared
from search.progress import Listener, Progress
from search.recovery.ladder import plan_ladder
from search.recovery.recover import Recoverer
from search.stages import StageClock
from search.study.address import StudyAddress
from search.study.aim import Aim
from search.study.liveness import Heart
from search.study.run_record import adopt_run, keep_run_environment
from search.study.space_record import adopt_space
from search.study.storage import open_storage
from search.study.study import INSTRUCTIONS, LATENCY, begin_study
from search.study.training_record import adopt_training
from search.study.trials import outcomes_of
from search.sweep.head_start import WITH_HEAD_START, HeadStart
from search.trial.workbench import open_workbench


@dataclass(frozen=True, kw_only=True)
class Campaign:
    """Searches, and has what it found recovered and confirmed.

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
        recoverer: Recovers candidates, after the search or in it too; None for no recovery.
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
                    adopt_training(study, self._search_epochs, f"the run in {str(self.folder.path)!r}")
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
                        trainer=None if self.recoverer is None else self.recoverer.trial_trainer(evaluator),
                    )
                    failure = self._search(member)
                    if self.recoverer is not None and member.trainer is None and failure is None:
                        failure = self._try_what_to_recover(member, budget)
                conclusion = Conclusion(
                    prepared=self.prepared,
                    folder=self.folder,
                    time_s=self.time_s,
                    target_samples=self.target_samples,
                    stages=self.stages,
                    listener=self.listener,
                )
                if self.recoverer is not None and failure is None:
                    failure = conclusion.recover(self.recoverer, study, evaluator, budget)
                lost = conclusion.confirm(study, bench)
                return failure or lost

    @property
    def _profile(self) -> HardwareProfile:
        return self.prepared.profile

    @property
    def _search_epochs(self) -> int | None:
        """Passes over the data for each candidate in the search; None where none is trained there."""
        return None if self.recoverer is None else self.recoverer.plan.search_epochs

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

    def _aim(self, budget: Budget) -> Aim:
        if budget.deadline_s is None:
            return Aim(trials=budget.trials, until=None)
        left = dt.timedelta(seconds=budget.deadline_s - time.monotonic())
        return Aim(trials=budget.trials, until=dt.datetime.now(dt.UTC) + left)

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
