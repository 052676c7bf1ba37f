"""The Optuna study of a run: opening it, putting right what a crash left, and asking for policies not seen yet."""

import contextlib
import os
import random
import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.policy import Policy
from search.disk_errors import disk_errors
from search.errors import RunFolderError
from search.run_folder import damaged
from search.samplers import make_sampler
from search.space import Choice, SearchSpace
from search.trials import DUPLICATE_OF, LABEL, OUTCOME, POSTPONED, REASON, Outcome, is_finished, is_unfinished

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "paretune"
LATENCY, INSTRUCTIONS = "latency_ms", "instructions"
"""What studies minimize."""

# A dashboard or a backup may hold the file for a moment.
_LOCK_TIMEOUT_S = 60.0

# After this many repeats in a row the sampler has nothing new to say.
_REPEATS_BEFORE_DRAWING = 2


@contextmanager
def open_study(path: Path, sampler: str, seed: int, cost: str = LATENCY) -> "Iterator[optuna.Study]":
    """Open or create the study in `path` (SQLite); a context manager, after which the file stands for itself.

    Args:
        path: The database file.
        sampler: A name in `SAMPLERS`.
        seed: Together with the number of trials already there it seeds the sampler, so that a resumed run does not
            propose again what it proposed at first.
        cost: What it minimizes, as dashboards name it: `LATENCY` or `INSTRUCTIONS`.

    Raises:
        RunFolderError: The file is no database, or a damaged one.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with _open_storage(path) as storage:
        study = optuna.create_study(
            study_name=STUDY_NAME, storage=storage, directions=["minimize", "maximize"], load_if_exists=True
        )
        study.sampler = make_sampler(sampler, seed + len(study.get_trials(deepcopy=False)))
        if study.metric_names is None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Optuna calls naming the objectives experimental; dashboards want it
                study.set_metric_names([cost, "metric"])
        yield study


def flush_study(path: Path) -> None:
    """Put what was written ahead of the study in `path` on the disk, so that not even a power cut loses it."""
    with contextlib.suppress(FileNotFoundError), path.with_name(f"{path.name}-wal").open("rb") as log:
        os.fsync(log.fileno())


@contextmanager
def load_study(path: Path) -> "Iterator[optuna.Study]":
    """The study in `path`, for reading; a context manager.

    Raises:
        RunFolderError: There is none, or the file is damaged.
    """
    import optuna

    if not path.is_file():
        raise RunFolderError(f"no study at {str(path)!r}; run the search command first")
    with _open_storage(path) as storage:
        try:
            study = optuna.load_study(study_name=STUDY_NAME, storage=storage)
        except KeyError as error:  # a process was killed between making the file and making the study
            raise RunFolderError(f"the study at {str(path)!r} is empty; run its search command again") from error
        yield study


@contextmanager
def _open_storage(path: Path) -> "Iterator[optuna.storages.RDBStorage]":
    """The SQLite storage in `path`, in write-ahead mode: a killed process loses nothing.

    A power cut loses what `flush_study` has not put on the disk. Optuna commits once per parameter; waiting for the
    disk each time would double a trial's price.

    Closing it moves what was written ahead into the file itself, so that the file can be copied alone.
    """
    import optuna
    from sqlalchemy import event
    from sqlalchemy.exc import DatabaseError, OperationalError

    def configure(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DB-API connection
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    timeout = {"connect_args": {"timeout": _LOCK_TIMEOUT_S}}
    with disk_errors(path.parent):
        try:
            storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=timeout)
        except DatabaseError as error:
            if isinstance(error, OperationalError):  # the disk's fault, not the file's
                raise
            raise damaged(path, str(error.orig)) from error
        event.listen(storage.engine, "connect", configure)
        storage.engine.dispose()
        try:
            yield storage
        finally:
            storage.remove_session()
            storage.engine.dispose()


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Parameters to try before the sampler is asked, and the user attributes that their trial starts with."""

    params: Mapping[str, Choice]
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(kw_only=True)
class Seen:
    """What the study knows already, and what it owes.

    Attributes:
        candidates: Policy digest to the digest of the candidate that it became, empty when it failed.
        planned: What to try next. It is kept here and not in Optuna's own queue, which only grows at its end: after
            an interruption the first thing to try must be first again.
    """

    candidates: dict[str, str] = field(default_factory=dict)
    planned: deque[Planned] = field(default_factory=deque)

    def add(self, policy: Policy, digest: str) -> None:
        """Remember that `policy` became the candidate `digest` (empty when it failed)."""
        self.candidates[policy.digest] = digest

    def __contains__(self, policy: Policy) -> bool:
        return policy.digest in self.candidates


def resume(study: "optuna.Study", space: SearchSpace) -> Seen:
    """Put the study right after a crash and plan what comes before the sampler's own proposals.

    That is the space's starting points as far as they have no result, then what a killed process was at and what
    waits for a second try. Trials that were left running end here: with their figures if these had been written
    already, else without counting.

    Returns:
        What has been seen so far.
    """
    left = study.get_trials(deepcopy=False)
    for trial in left:
        if trial.state.name == "RUNNING":
            _end_left_running(study, trial)
        elif trial.state.name == "WAITING":  # asking is the only way to take something out of Optuna's queue
            mark_interrupted(study, study.ask().number)
    trials = study.get_trials(deepcopy=False)
    seen = Seen()
    for trial in trials:
        if is_finished(trial):
            seen.add(space.policy(trial.params), trial.user_attrs.get(OUTCOME, {}).get("digest", ""))
        elif DUPLICATE_OF in trial.user_attrs:
            seen.add(space.policy(trial.params), trial.user_attrs[DUPLICATE_OF])
    knobs = {knob.name for knob in space.knobs}
    unfinished = [t for t in trials if set(t.params) == knobs and is_unfinished(t)]
    wanted = [
        *(Planned(params=start.params, attributes={LABEL: start.label}) for start in space.starts()),
        *(Planned(params=trial.params, attributes=kept_attributes(trial.user_attrs)) for trial in unfinished),
    ]
    planned: dict[str, Planned] = {}
    for plan in wanted:
        policy = space.policy(plan.params)
        if policy not in seen:
            before = planned.get(policy.digest, plan)
            planned[policy.digest] = Planned(params=plan.params, attributes={**plan.attributes, **before.attributes})
    seen.planned.extend(planned.values())
    return seen


def kept_attributes(attributes: Mapping[str, object]) -> dict[str, object]:
    """What the next trial of the same policy inherits from one that came to nothing."""
    return {name: attributes[name] for name in (LABEL, POSTPONED) if name in attributes}


def _end_left_running(study: "optuna.Study", trial: "optuna.trial.FrozenTrial") -> None:
    from optuna.trial import TrialState

    if OUTCOME in trial.user_attrs:
        study.tell(trial.number, Outcome(**trial.user_attrs[OUTCOME]).values)
    elif {REASON, DUPLICATE_OF} & set(trial.user_attrs):
        study.tell(trial.number, state=TrialState.FAIL)
    else:
        mark_interrupted(study, trial.number)


def mark_interrupted(study: "optuna.Study", number: int) -> None:
    """End the running trial `number` without counting it: a failure without a reason is none of the policy's."""
    import optuna

    study.tell(number, state=optuna.trial.TrialState.FAIL)


def ask_unseen(
    study: "optuna.Study", space: SearchSpace, seen: Seen, seed: int
) -> "tuple[optuna.Trial, Policy] | None":
    """What is planned, else what the sampler proposes, as long as it is new.

    Repeats end as failed trials that name what they repeat. A sampler that repeats itself has settled on a region:
    after two in a row the trial goes to a policy not seen yet that differs from the last repeat in few knobs.

    Returns:
        The trial and its policy, or None when every policy of the space has been seen.
    """
    repeats = 0
    repeated: Mapping[str, Choice] = {}
    while len(seen.candidates) < space.size:
        if seen.planned:
            plan = seen.planned.popleft()
            study.enqueue_trial(dict(plan.params), user_attrs=dict(plan.attributes))
        elif repeats >= _REPEATS_BEFORE_DRAWING:
            generator = random.Random(seed + len(seen.candidates))  # noqa: S311  # no secret
            study.enqueue_trial(dict(_draw_near(space, seen, repeated, generator)))
        trial = study.ask()
        policy = space.suggest(trial)
        if policy not in seen:
            return trial, policy
        repeated = trial.params
        tell_duplicate(study, trial, seen.candidates[policy.digest])
        repeats += 1
    return None


def tell_duplicate(study: "optuna.Study", trial: "optuna.Trial", digest: str) -> None:
    """End a trial that would repeat the candidate `digest`."""
    import optuna

    trial.set_user_attr(DUPLICATE_OF, digest)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _draw_near(
    space: SearchSpace, seen: Seen, params: Mapping[str, Choice], generator: random.Random
) -> Mapping[str, Choice]:
    """A policy of the space that is not in `seen`, close to `params`: one knob changed at random, else two, and so on.

    `seen` must not hold all of them.
    """
    for distance in range(1, len(space.knobs) + 1):
        for _ in range(len(space.knobs)):
            changed = dict(params)
            for knob in generator.sample(space.knobs, distance):
                changed[knob.name] = generator.choice([c for c in knob.choices if c != params[knob.name]])
            if space.policy(changed) not in seen:
                return changed
    start = generator.randrange(space.size)
    every = (space.params((start + step) % space.size) for step in range(space.size))
    return next(candidate for candidate in every if space.policy(candidate) not in seen)
