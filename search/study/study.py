"""The Optuna study of a run: begun, opened again, and read."""

import contextlib
import os
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import NoResultYetError, RunFolderError
from search.folder.run_folder import RunFolder
from search.samplers import make_sampler
from search.study.address import StudyAddress, address_of
from search.study.storage import open_storage

if TYPE_CHECKING:
    import optuna

LATENCY, INSTRUCTIONS = "latency_ms", "instructions"
"""What studies minimize."""

FP32_MS = "fp32_ms"
"""User attribute of the study: the run's FP32 latency in ms, which ratios are multiplied with."""

FP32_INSTRUCTIONS = "fp32_instructions"
"""User attribute of the study of an emulated target, in its place: FP32's instructions per inference."""


@contextmanager
def open_study(where: Path | StudyAddress, sampler: str, seed: int, cost: str = LATENCY) -> "Iterator[optuna.Study]":
    """Open or create a study; a context manager, after which a SQLite file stands for itself.

    Args:
        where: Its address, or the path of its SQLite file.
        sampler: A name in `SAMPLERS`.
        seed: Together with the number of trials already there it seeds the sampler, so that a resumed run does not
            propose again what it proposed at first.
        cost: What it minimizes, as dashboards name it: `LATENCY` or `INSTRUCTIONS`.

    Raises:
        RunFolderError: The file is no database, or a damaged one.
        StorageError: The database does not take us.
    """
    address = _address(where)
    with open_storage(address) as storage:
        yield begin_study(storage, address.name, sampler, seed, cost)


def begin_study(
    storage: "optuna.storages.RDBStorage", name: str, sampler: str, seed: int, cost: str = LATENCY
) -> "optuna.Study":
    """Open or create the study called `name` in an open storage; see `open_study`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=name, storage=storage, directions=["minimize", "maximize"], load_if_exists=True
    )
    # Workers that begin together must not propose alike.
    study.sampler = make_sampler(sampler, seed + len(study.get_trials(deepcopy=False)))
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls naming the objectives experimental; dashboards want it
            study.set_metric_names([cost, "metric"])
    return study


@contextmanager
def load_study(where: Path | StudyAddress) -> "Iterator[optuna.Study]":
    """A study, for reading; a context manager.

    Args:
        where: Its address, or the path of its SQLite file.

    Raises:
        NoResultYetError: The database has no such study.
        RunFolderError: There is no such file, or it is damaged.
        StorageError: The database does not take us.
    """
    import optuna

    address = _address(where)
    if address.file is not None and not address.file.is_file():
        raise RunFolderError(f"no study at {str(address.file)!r}; run the search command first")
    with open_storage(address) as storage:
        try:
            study = optuna.load_study(study_name=address.name, storage=storage)
        except KeyError as error:  # a process was killed between making the database and making the study
            raise NoResultYetError(f"the study at {address} is empty; run its search command again") from error
        yield study


def load_run_study(folder: RunFolder) -> "AbstractContextManager[optuna.Study]":
    """The study of the run in `folder`, wherever it lies, for reading; a context manager.

    Raises:
        RunFolderError: There is no run or no study yet, or a file of it is damaged.
        StorageError: The database does not take us.
    """
    return load_study(address_of(folder))


def has_study(address: StudyAddress) -> bool:
    """Whether there is a study at `address` already.

    Raises:
        StorageError: The database does not take us.
    """
    import optuna

    if address.file is not None and not address.file.is_file():
        return False
    with open_storage(address) as storage:
        return address.name in optuna.get_all_study_names(storage)


def flush_study(file: Path | None) -> None:
    """Put what was written ahead of the study in a SQLite file on the disk, so that not even a power cut loses it.

    A server does so by itself: None for a study that lies on one.
    """
    if file is None:
        return
    with contextlib.suppress(FileNotFoundError), file.with_name(f"{file.name}-wal").open("rb") as log:
        os.fsync(log.fileno())


def _address(where: Path | StudyAddress) -> StudyAddress:
    return StudyAddress.in_file(where) if isinstance(where, Path) else where
