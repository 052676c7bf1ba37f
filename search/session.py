"""One session of a run: from the folder as it is to the folder as it should be."""

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from hwprofiles import HardwareProfile, detect_machine
from search.campaign import Campaign
from search.candidates import write_candidates
from search.confirmation.confirm import unconfirmed
from search.confirmation.confirmations import read_confirmations
from search.folder.run_folder import RunFolder
from search.folder.timings import Timings
from search.outlook import Budget
from search.prepare import Prepared, prepare
from search.progress import Listener, Progress
from search.recovery.lessons import lessons_of
from search.recovery.plan import RecoveryPlan
from search.recovery.recover import Recoverer
from search.recovery.recoveries import read_recoveries, with_recovered
from search.recovery.remake import Remaker
from search.recovery.state import StateFile
from search.results import RunResult, read_result, write_results
from search.stages import StageClock
from search.study.address import SECTION, StudyAddress, choose_address
from search.study.run_record import adopt_run, target_identity
from search.study.space_record import SPACE, adopt_space
from search.study.study import flush_study, has_study, load_study
from search.study.training_record import require_training
from search.study.trials import count_finished, outcomes_of, policies_by_digest, read_points
from workloads import Workload


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
        storage: The URL of the study's database; None for the one that the folder names, by default its own file.
        study_name: The study's name there; None for the one that the folder names, or that follows from what the run
            is.
        recovery: What to recover after the search; None for nothing.
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
    storage: str | None = None
    study_name: str | None = None
    recovery: RecoveryPlan | None = None

    def run(self, budget: Budget) -> RunResult:
        """Prepare, search, recover if asked, confirm, report.

        Raises:
            FailingTrialsError: Trials failed one after another; what there was before is confirmed and reported.
            TargetLostError: The target went away; what there was before is reported.
            TargetError: It was not there to begin with.
            StorageError: The study is another run's, or its storage does not work.
        """
        with self.stages.stage("storage"):
            config = self._config()
            address = self._choose_address(config)
            is_resumed = self._adopt(config, address)
            self._require_same_kind(address)
            (
                read_confirmations(self.folder),
                read_recoveries(self.folder),
            )  # what is damaged should be said now, not after a night's search
        timings = Timings(self.folder, self.stages)
        listener = _keeping(self.listener, timings, address, self.stages)
        failure = None
        try:
            prepared = prepare(
                self.workload,
                self.profile,
                self.folder,
                threads=detect_machine().logical_cores,
                memory_bytes=self.calibration_memory_bytes,
                stages=self.stages,
                listener=listener,
            )
            recoverer = self._recoverer(prepared, listener)
            if not (is_resumed and self._is_done(prepared, address, budget, recoverer)):
                campaign = Campaign(
                    prepared=prepared,
                    folder=self.folder,
                    address=address,
                    config=config,
                    is_resumed=is_resumed,
                    sampler=self.sampler,
                    seed=self.seed,
                    time_s=self.time_s,
                    target_samples=self.target_samples,
                    recoverer=recoverer,
                    stages=self.stages,
                    listener=listener,
                )
                failure = campaign.run(budget)
            timings.keep()
            result = self._report(prepared, address, listener)
        finally:
            timings.keep()
        if failure is not None:
            kept = "confirmed and reported" if result.is_confirmed else "reported, unconfirmed,"
            raise type(failure)(f"{failure}; what was found before is {kept} in {str(self.folder.path)!r}") from failure
        return result

    def _config(self) -> dict[str, Any]:
        return {
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

    def _choose_address(self, config: Mapping[str, Any]) -> StudyAddress:
        identity = {"workload": self.workload.digest, "target": target_identity(config["target"]["profile"])}
        title = f"{self.workload.name}-{self.profile.name}"
        return choose_address(self.folder, self.storage, self.study_name, identity, title)

    def _adopt(self, config: dict[str, Any], address: StudyAddress) -> bool:
        """Make the folder the run's; whether its study has begun already."""
        if address.file == self.folder.study_path.resolve():
            is_resumed = self.folder.study_path.is_file()
            self.folder.adopt(config)
            return is_resumed
        is_resumed = has_study(address)
        if is_resumed:
            with load_study(address) as study:
                adopt_run(study, config, address)
                count = count_finished(study.get_trials(deepcopy=False))
            note = f"going on with the study {address}: {count} trials finished"
            self.listener(Progress(stage="export", done=0, total=1, note=note))
        self.folder.adopt({**config, SECTION: address.to_config()}, has_study=is_resumed)
        return is_resumed

    def _require_same_kind(self, address: StudyAddress) -> None:
        """Refuse to go on with trials of another kind, trained or not, before anything is prepared."""
        if not has_study(address):
            return
        with load_study(address) as study:
            if SPACE in study.user_attrs:
                epochs = None if self.recovery is None else self.recovery.search_epochs
                require_training(study, epochs, f"the run in {str(self.folder.path)!r}")

    def _recoverer(self, prepared: Prepared, listener: Listener) -> Recoverer | None:
        """Whoever recovers, with what there is to learn from: if that is nothing, it should be said before the search.

        Raises:
            WorkloadError, CompressionError: There is nothing to learn from.
        """
        if self.recovery is None:
            return None
        StateFile(self.folder).remove()  # what a killed session was at
        with self.stages.stage("reading the workload"):
            lessons = lessons_of(self.workload)
        return Recoverer(
            compressor=prepared.compressor,
            workload=self.workload,
            lessons=lessons,
            folder=self.folder,
            plan=self.recovery,
            threads=detect_machine().logical_cores,
            stages=self.stages,
            listener=listener,
        )

    def _is_done(self, prepared: Prepared, address: StudyAddress, budget: Budget, recoverer: Recoverer | None) -> bool:
        """Whether earlier sessions have left nothing to search, to recover and to confirm."""
        if not has_study(address):  # a process was killed between making the file and making the study
            return False
        with self.stages.stage("storage"), load_study(address) as study:
            adopt_space(study, prepared.space, self.folder.path)
            trials = study.get_trials(deepcopy=False)
        if budget.trials is None or count_finished(trials) < budget.trials or not outcomes_of(trials):
            return False
        points = read_points(trials, prepared.space)
        if recoverer is not None and recoverer.due(points):
            return False
        return not unconfirmed(with_recovered(points, self.folder), self.folder)

    def _report(self, prepared: Prepared, address: StudyAddress, listener: Listener) -> RunResult:
        listener(Progress(stage="report", done=0, total=1))
        with self.stages.stage("report"):
            result = read_result(self.folder.path)
            with load_study(address) as study:
                policies = policies_by_digest(study.get_trials(deepcopy=False), prepared.space)
            builds = self.profile.engine.builds
            remake = Remaker(compressor=prepared.compressor, policies=policies, folder=self.folder, stages=self.stages)
            write_candidates(self.folder, remake, result, builds_engines=builds)
            write_results(self.folder, result)
        listener(Progress(stage="report", done=1, total=1))
        return result


def _keeping(listener: Listener, timings: Timings, address: StudyAddress, stages: StageClock) -> Listener:
    """Tell `listener`; keep the seconds now and then, and every finished trial at once."""

    def listen(step: Progress) -> None:
        with stages.stage("storage"):
            timings.tick(step.done if step.stage == "search" else 0)
            if step.stage == "search":
                flush_study(address.file)
        listener(step)

    return listen
