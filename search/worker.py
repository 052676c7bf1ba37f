"""One more worker on a run's study, in another process or on another machine.

It tries candidates until the run's search has what it wants. It confirms and reports nothing: the main search does.
"""

import time
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from hwprofiles import HardwareProfile, Machine, detect_machine
from search.crew import CrewMember, confirmation_s
from search.folder.disk_errors import disk_errors
from search.folder.environment import require_environment
from search.folder.run_folder import RunFolder
from search.folder.timings import Timings
from search.joined_run import JoinedRun, await_aim, count_trials, own_folder, read_joined_run
from search.outlook import Budget
from search.prepare import Prepared, prepare
from search.progress import Listener, Progress, silent
from search.samplers import DEFAULT_SAMPLER
from search.stages import StageClock
from search.study.aim import Aim, watch_aim
from search.study.liveness import Heart, WorkerId
from search.study.space_record import adopt_space
from search.study.storage import open_storage
from search.study.study import begin_study, flush_study
from search.study.trials import count_finished
from search.trial.workbench import open_workbench
from workloads import Workload

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True, kw_only=True)
class Stint:
    """What a worker has done.

    Attributes:
        trials_run: Trials that it ran to their end.
        trials_finished: Finished trials of the study, all workers together.
        folder: Where its measurements and timings are.
    """

    trials_run: int
    trials_finished: int
    folder: Path


def work(
    run: Path | str,
    target: HardwareProfile,
    *,
    workload: Workload | None = None,
    storage: str | None = None,
    trials: int | None = None,
    time_s: float | None = None,
    calibration_memory_bytes: int = 2 * 2**30,
    listener: Listener = silent,
) -> Stint:
    """Join the run in the folder `run` and try candidates until its search is over.

    Args:
        run: The run's folder, shared with the search or a copy of it. What this worker measures goes to a folder of
            its own in it, `workers/NAME/`.
        target: How the target is reached from here; it must be a device like the run's. All else about it is the
            run's.
        workload: What the run searches; None loads it from where the run found it.
        storage: The URL of the study's database as it is reached from here; None for the one that the folder names.
        trials: Trials that this worker runs at most.
        time_s: Seconds from now after which it begins no more trials.
        calibration_memory_bytes: About how much memory calibration may take, where the folder lacks it.
        listener: Told of every step.

    Raises:
        SearchError: There is no run to join, or workload, target, space or host are others than the run's.
        WorkloadError, ProfileError, CompressionError, MeasurementError, TargetError: As `search.run`.
    """
    started_s = time.monotonic()
    stages = StageClock()
    listener(Progress(stage="export", done=0, total=1))
    with stages.stage("reading the workload"):
        joined = read_joined_run(RunFolder(run), target, workload, storage)
    with stages.stage("waiting for the search"):
        aim = await_aim(joined, listener)
    if aim.is_over:
        return Stint(trials_run=0, trials_finished=count_trials(joined.address), folder=joined.folder.workers_path)
    with own_folder(joined.folder) as own, disk_errors(own.path):
        timings = Timings(own, stages)

        def listen(step: Progress) -> None:
            timings.tick()
            if step.stage == "search":
                flush_study(joined.address.file)
            listener(step)

        try:
            prepared = prepare(
                joined.workload,
                joined.profile,
                joined.folder,
                threads=detect_machine().logical_cores,
                memory_bytes=calibration_memory_bytes,
                stages=stages,
                listener=listen,
            )
            limit_s = None if time_s is None else started_s + time_s
            return _run_trials(joined, prepared, own, trials, limit_s, stages, listen)
        finally:
            timings.keep()


def _run_trials(
    run: JoinedRun,
    prepared: Prepared,
    own: RunFolder,
    trials: int | None,
    limit_s: float | None,
    stages: StageClock,
    listener: Listener,
) -> Stint:
    def accept(machine: Machine, runtime: str) -> None:
        require_environment(run.folder, prepared.profile, machine, runtime)

    session = (run.config.get("sessions") or [{}])[-1]
    seed = int(session.get("seed", 0)) + _own_seed()
    with open_workbench(prepared, own.path, stages=stages, listener=listener, accept=accept) as bench:
        evaluator = bench.search_evaluator()
        with open_storage(run.address) as storage, Heart(run.address) as heart:
            study = begin_study(storage, run.address.name, session.get("sampler", DEFAULT_SAMPLER), seed)
            adopt_space(study, prepared.space, run.folder.path)
            budget, reserve = _budget(study, trials, limit_s)
            member = CrewMember(
                study=study,
                space=prepared.space,
                heart=heart,
                evaluator=evaluator,
                budget=budget,
                seed=seed,
                stages=stages,
                listener=listener,
                confirmation_s=reserve,
                joins=True,
                is_over=watch_aim(study, time.monotonic),
            )
            member.run()
            finished = count_finished(study.get_trials(deepcopy=False))
    return Stint(trials_run=member.trials_run, trials_finished=finished, folder=own.path)


def _budget(
    study: "optuna.Study", trials: int | None, limit_s: float | None
) -> tuple[Budget, Callable[[int, float], float]]:
    """When this worker stops, and what of the deadline belongs to the main search's confirmation."""
    aim = Aim.read(study)
    wanted = None if aim is None else aim.trials
    deadline_s = limit_s
    reserve: Callable[[int, float], float] = _nothing
    if aim is not None and aim.until is not None:
        until_s = time.monotonic() + (aim.until - datetime.now(UTC)).total_seconds()
        if limit_s is None or until_s < limit_s:
            deadline_s, reserve = until_s, confirmation_s
    return Budget(trials=wanted, deadline_s=deadline_s, own_trials=trials), reserve


def _nothing(_front_size: int, _typical_s: float) -> float:
    return 0.0


def _own_seed() -> int:
    """Workers that begin together propose different things."""
    here = WorkerId.current()
    return zlib.crc32(f"{here.machine}/{here.pid}/{here.since}".encode()) % 2**20
