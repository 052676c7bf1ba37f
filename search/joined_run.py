"""The run that a worker joins: what its folder says, and when there is something to do on it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from hwprofiles import HardwareProfile
from search.errors import NoResultYetError, RunFolderError, SearchError
from search.folder.run_folder import RunFolder
from search.progress import Listener, Progress
from search.study.address import StudyAddress, address_of
from search.study.aim import Aim
from search.study.liveness import WorkerId
from search.study.run_record import adopt_run
from search.study.space_record import SPACE
from search.study.study import load_study
from search.study.training_record import trained_epochs
from search.study.trials import count_finished
from workloads import Workload, load

_LOOK_S = 1.0
_ENGINE_KIND = ("name", "provider")


@dataclass(frozen=True, kw_only=True)
class JoinedRun:
    """The run as its folder tells it.

    Attributes:
        folder: Its folder.
        config: Its `run.toml`.
        workload: What it searches.
        profile: Its target, reached as this worker reaches it.
        address: Where its study lies, as seen from here.
    """

    folder: RunFolder
    config: Mapping[str, Any]
    workload: Workload
    profile: HardwareProfile
    address: StudyAddress


def read_joined_run(
    folder: RunFolder, target: HardwareProfile, workload: Workload | None, storage: str | None
) -> JoinedRun:
    """The run in `folder`; the arguments are those of `search.worker.work`.

    Raises:
        SearchError: There is no run, or workload or target are others than the run's.
        WorkloadError: The workload does not work.
        StorageError: The URL is none.
    """
    config = folder.read_config()
    recorded = config["workload"]
    if workload is None:
        if str(recorded["origin"]).endswith(".onnx"):
            raise SearchError(
                f"the run searches the file {recorded['origin']!r}; give --model, --data and --metric again"
            )
        workload = load(recorded["origin"])
    if workload.digest != recorded["digest"]:
        raise SearchError(
            f"the workload {workload.name!r} here is not the one that the run in {str(folder.path)!r} searches "
            f"({recorded['name']!r}): its network, data or code differ; give the same one"
        )
    profile = HardwareProfile.model_validate(config["target"]["profile"])
    for key in _ENGINE_KIND:
        was, now = getattr(profile.engine, key), getattr(target.engine, key)
        if was != now:
            raise SearchError(f"the run's target has the engine {key} {was!r}, {target.name!r} has {now!r}")
    if (profile.reach.transport == "emulated") != (target.reach.transport == "emulated"):
        raise SearchError(f"instructions and time do not mix: {profile.name!r} or {target.name!r} is emulated")
    address = address_of(folder)
    if storage is not None:
        address = StudyAddress.parse(storage, address.name)
    # The run's own settings (threads, batch size) whatever the profile here says; where it is stands in ours.
    engine = profile.engine.model_copy(update={"device": target.engine.device})
    profile = profile.model_copy(update={"reach": target.reach, "engine": engine})
    return JoinedRun(folder=folder, config=config, workload=workload, profile=profile, address=address)


def await_aim(run: JoinedRun, listener: Listener) -> Aim:
    """Wait until the run's search has laid out its space and said what it wants: before there is nothing to join.

    Raises:
        SearchError: No search works in the folder, and none has begun its study.
    """
    is_said = False
    while (aim := _read_aim(run)) is None or (aim.is_over and run.folder.is_owned):
        if not run.folder.is_owned:
            where = str(run.folder.path)
            raise SearchError(f"no search has begun in {where!r} yet; start `paretune search` on it, then workers")
        if not is_said:
            is_said = True
            note = "the run's search is preparing, or has all it wants; waiting for it"
            listener(Progress(stage="export", done=0, total=1, note=note))
        time.sleep(_LOOK_S)
    for path in (run.folder.network_path, run.folder.calibration_path):
        if not path.is_file():
            raise RunFolderError(f"{str(path)!r} is missing; a copied run folder needs it too")
    return aim


def count_trials(address: StudyAddress) -> int:
    """How many finished trials a study has."""
    with load_study(address) as study:
        return count_finished(study.get_trials(deepcopy=False))


def _read_aim(run: JoinedRun) -> Aim | None:
    """What the run's search wants; None before it has laid out its space."""
    if run.address.file is not None and not run.address.file.is_file():
        return None
    try:
        with load_study(run.address) as study:
            adopt_run(study, run.config, run.address)
            if SPACE not in study.user_attrs:
                return None
            if trained_epochs(study) is not None:
                raise SearchError(
                    f"the run in {str(run.folder.path)!r} trains its candidates (--recover search), and their weights "
                    "lie in its folder alone: no worker can join it; let its own search do it all, or begin a run with "
                    "--recover front, which workers can join"
                )
            return Aim.read(study)
    except NoResultYetError:
        return None


@contextmanager
def own_folder(folder: RunFolder) -> Iterator[RunFolder]:
    """The first of this host's worker folders in which no living worker is; what it holds is gone on with."""
    host = WorkerId.current().host or "worker"
    number = 1
    while True:
        own = folder.worker(f"{host}-{number}")
        if not own.is_owned:
            try:
                with own.locked():
                    yield own
                    return
            except RunFolderError:
                if not own.is_owned:
                    raise
        number += 1
