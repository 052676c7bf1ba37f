"""The main job: search a network on a target, recover and confirm the front, and leave a run folder behind."""

import time
from pathlib import Path

from hwprofiles import HardwareProfile, load_profile
from search.confirmation.target_validation import ALL
from search.errors import SearchError
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder
from search.outlook import Budget
from search.progress import Listener, Progress, silent
from search.recovery.plan import DEFAULT_DEVICE, DEFAULT_EPOCHS, DEFAULT_SEARCH_EPOCHS, OFF, plan_of
from search.results import RunResult
from search.samplers import DEFAULT_SAMPLER, SAMPLERS
from search.session import Session
from search.stages import StageClock
from workloads import Workload, load

DEFAULT_TRIALS = 100


def run(
    workload: Workload | str | Path,
    target: HardwareProfile | str | Path = "local-cpu",
    *,
    out: Path | str | None = None,
    trials: int | None = None,
    time_s: float | None = None,
    sampler: str = DEFAULT_SAMPLER,
    seed: int = 0,
    calibration_memory_bytes: int = 2 * 2**30,
    target_samples: int | str | None = None,
    storage: str | None = None,
    study_name: str | None = None,
    recover: str = OFF,
    recover_epochs: int = DEFAULT_EPOCHS,
    recover_search_epochs: int = DEFAULT_SEARCH_EPOCHS,
    recover_time_s: float | None = None,
    recover_device: str = DEFAULT_DEVICE,
    listener: Listener = silent,
) -> RunResult:
    """Search, recover if asked, confirm and report; on the folder of an earlier run, continue it.

    Args:
        workload: A workload, a built-in's name, or the path of a Python file.
        target: A profile, its name, or the path of its TOML file.
        out: The run's folder; `results/WORKLOAD-TARGET` when None.
        trials: Finished trials wanted, earlier sessions included; 100 when neither this nor `time_s` is given.
        time_s: Seconds from now by which the report should stand.
        sampler: A name in `search.samplers.SAMPLERS`; the frontier sampler looks at single layers first.
        seed: Seed of the sampler.
        calibration_memory_bytes: About how much memory calibration may take, the network itself apart. With less, wide
            layers are known by their channels alone, or not at all.
        target_samples: How many unseen samples the confirmation runs on the target itself, or `all`. None for all where
            the target is local, 256 over SSH and 64 where it is emulated (`search.confirmation.target_validation`).
        storage: The URL of the database that keeps the study, as Optuna and SQLAlchemy spell it; None for where the
            run was begun, by default `study.db` in its folder. Given to a fresh folder, a study that is there already
            is gone on with. No password is ever stored.
        study_name: The study's name there; None for one that follows from workload and target.
        recover: `front` recovers the weights of the front's candidates, and of those close behind it, after the search
            and before the confirmation; `search` trains every candidate that promises something before it gets its
            figures, so that the sampler learns what candidates come to when they are trained, and then does as `front`
            does; `off` recovers nothing. A run that is begun with `search` is gone on with so, and no other is.
        recover_epochs: Passes over the data that candidates learn from after the search, in each of up to four rounds.
        recover_search_epochs: The same for each candidate in the search, with `search`.
        recover_time_s: Seconds for all that comes after the search; None for a third of `time_s`, or half an hour where
            that is not given.
        recover_device: Where candidates are trained: `cpu`, `cuda`, or `cuda:1` for the second card.
        listener: Told of every step.

    Raises:
        SearchError: The call is wrong, the folder or the study belongs to another run, the disk is full, the storage
            does not work, or trials failed one after another (what was found before is confirmed and reported all the
            same).
        WorkloadError, ProfileError, CompressionError, MeasurementError: What the user brought does not work.
        TargetError: The target cannot be reached, has no room for files, or starts no workers. Where it goes away in
            the middle, that is a SearchError, and what was found before is reported.
    """
    started_s = time.monotonic()
    _check_call(trials, time_s, sampler, target_samples)
    recovery = plan_of(
        recover,
        recover_epochs,
        recover_time_s,
        seed,
        search_epochs=recover_search_epochs,
        device=recover_device,
    )
    if recovery is not None:
        recovery.seconds_of(time_s)
        recovery.require_device()
    stages = StageClock()
    listener(Progress(stage="export", done=0, total=1))
    with stages.stage("reading the workload"):
        profile = target if isinstance(target, HardwareProfile) else load_profile(target)
        workload = workload if isinstance(workload, Workload) else load(workload)
    budget = Budget(
        trials=DEFAULT_TRIALS if trials is None and time_s is None else trials,
        deadline_s=None if time_s is None else started_s + time_s,
    )
    folder = RunFolder(Path("results") / f"{workload.name}-{profile.name}" if out is None else out)
    session = Session(
        workload=workload,
        profile=profile,
        folder=folder,
        sampler=sampler,
        seed=seed,
        calibration_memory_bytes=calibration_memory_bytes,
        stages=stages,
        time_s=time_s,
        target_samples=target_samples,
        listener=listener,
        storage=storage,
        study_name=study_name,
        recovery=recovery,
    )
    with folder.locked(), disk_errors(folder.path):
        return session.run(budget)


def _check_call(trials: int | None, time_s: float | None, sampler: str, target_samples: int | str | None) -> None:
    if sampler not in SAMPLERS:
        raise SearchError(f"no sampler called {sampler!r}; choose one of {', '.join(SAMPLERS)}")
    if trials is not None and trials < 1:
        raise SearchError(f"trials must be at least 1, got {trials}")
    if time_s is not None and not time_s > 0:
        raise SearchError(f"time_s must be above 0 seconds, got {time_s}")
    whole = isinstance(target_samples, int) and target_samples > 0
    if target_samples not in (None, ALL) and not whole:
        raise SearchError(f"target_samples must be a number above 0 or {ALL!r}, got {target_samples!r}")
