"""The Optuna study of a run: opening it, putting right what a crash left, and asking for policies not seen yet."""

import random
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from compress.policy import Policy
from search.errors import RunFolderError
from search.samplers import make_sampler
from search.space import SearchSpace
from search.trials import DUPLICATE_OF, INTERRUPTED, LABEL, count_finished, is_finished

if TYPE_CHECKING:
    import optuna

STUDY_NAME = "paretune"
METRIC_NAMES = ("latency_ms", "metric")

# After this many repeats in a row the sampler has nothing new to say: an unseen policy is drawn at random.
_REPEATS_BEFORE_RANDOM = 20
_RANDOM_DRAWS = 10_000


def open_study(path: Path, sampler: str, seed: int) -> "optuna.Study":
    """Open or create the study in `path` (SQLite).

    Args:
        path: The database file.
        sampler: A name in `SAMPLERS`.
        seed: Together with the number of trials already there it seeds the sampler, so that a resumed run does not
            propose again what it proposed at first.
    """
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    storage = open_storage(path)
    study = optuna.create_study(
        study_name=STUDY_NAME, storage=storage, directions=["minimize", "maximize"], load_if_exists=True
    )
    study.sampler = make_sampler(sampler, seed + len(study.get_trials(deepcopy=False)))
    if study.metric_names is None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Optuna calls naming the objectives experimental; dashboards want it
            study.set_metric_names(list(METRIC_NAMES))
    return study


def load_study(path: Path) -> "optuna.Study":
    """The study in `path`, for reading.

    Raises:
        RunFolderError: There is none.
    """
    import optuna

    if not path.is_file():
        raise RunFolderError(f"no study at {str(path)!r}; run the search command first")
    return optuna.load_study(study_name=STUDY_NAME, storage=open_storage(path))


def open_storage(path: Path) -> "optuna.storages.RDBStorage":
    """The SQLite storage in `path`, in write-ahead mode: a killed process loses nothing and a commit is cheap."""
    import optuna
    from sqlalchemy import event

    def configure(connection: object, _: object) -> None:
        cursor = connection.cursor()  # type: ignore[attr-defined]  # a DB-API connection
        cursor.execute("PRAGMA journal_mode=WAL")
        cursor.execute("PRAGMA synchronous=NORMAL")
        cursor.close()

    timeout = {"connect_args": {"timeout": 60}}
    storage = optuna.storages.RDBStorage(f"sqlite:///{path.resolve()}", engine_kwargs=timeout)
    event.listen(storage.engine, "connect", configure)
    storage.engine.dispose()
    return storage


@dataclass(kw_only=True)
class Seen:
    """What the study knows already: policies by their digest, and the candidates that they became."""

    candidates: dict[str, str] = field(default_factory=dict)

    def add(self, policy: Policy, digest: str) -> None:
        """Remember that `policy` became the candidate `digest` (empty when it failed)."""
        self.candidates[policy.digest] = digest

    def __contains__(self, policy: Policy) -> bool:
        return policy.digest in self.candidates


def resume(study: "optuna.Study", space: SearchSpace) -> Seen:
    """Put the study right after a crash and make sure that it starts with the space's starting points.

    Trials that a killed process left running are marked failed and their policies asked for again, first thing.

    Returns:
        What has been seen so far.
    """
    from optuna.trial import TrialState

    trials = study.get_trials(deepcopy=False)
    seen = Seen()
    for trial in trials:
        if is_finished(trial):
            seen.add(space.policy(trial.params), trial.user_attrs.get("outcome", {}).get("digest", ""))
    waiting = [_queued_params(trial) for trial in trials if trial.state == TrialState.WAITING]
    known = {knob.name for knob in space.knobs}
    for trial in trials:
        if trial.state == TrialState.RUNNING:
            mark_interrupted(study, trial.number)
            if set(trial.params) == known and trial.params not in waiting:
                study.enqueue_trial(trial.params, user_attrs=_label(trial.user_attrs))
                waiting.append(trial.params)
    for start in space.starts():
        if space.policy(start.params) not in seen and start.params not in waiting:
            study.enqueue_trial(dict(start.params), user_attrs={LABEL: start.label})
    return seen


def mark_interrupted(study: "optuna.Study", number: int) -> None:
    """End the running trial `number` without counting it."""
    import optuna

    frozen = study.get_trials(deepcopy=False)[number]
    optuna.trial.Trial(study, frozen._trial_id).set_user_attr(INTERRUPTED, True)  # the only way to reach a running trial of a dead process
    study.tell(number, state=optuna.trial.TrialState.FAIL)


def ask_unseen(
    study: "optuna.Study", space: SearchSpace, seen: Seen, seed: int
) -> "tuple[optuna.Trial, Policy] | None":
    """Ask until the policy is new; repeats end as failed trials that name what they repeat.

    Returns:
        The trial and its policy, or None when every policy of the space has been seen.
    """
    if len(seen.candidates) >= space.size:
        return None
    for attempt in range(1, _RANDOM_DRAWS):
        trial = study.ask()
        policy = space.suggest(trial)
        if policy not in seen:
            return trial, policy
        tell_duplicate(study, trial, seen.candidates[policy.digest])
        if attempt % _REPEATS_BEFORE_RANDOM == 0:
            unseen = _draw_unseen(space, seen, random.Random(seed + trial.number))  # noqa: S311  # no secret
            if unseen is None:
                return None
            study.enqueue_trial(dict(unseen))
    return None


def tell_duplicate(study: "optuna.Study", trial: "optuna.Trial", digest: str) -> None:
    """End a trial that would repeat the candidate `digest`."""
    import optuna

    trial.set_user_attr(DUPLICATE_OF, digest)
    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def finished_count(study: "optuna.Study") -> int:
    """How many of the study's trials count towards the number asked for."""
    return count_finished(study.get_trials(deepcopy=False))


def _draw_unseen(space: SearchSpace, seen: Seen, generator: random.Random) -> Mapping[str, float] | None:
    for _ in range(_RANDOM_DRAWS):
        params = {knob.name: generator.choice(knob.choices) for knob in space.knobs}
        if space.policy(params) not in seen:
            return params
    return None


def _queued_params(trial: "optuna.trial.FrozenTrial") -> Mapping[str, float]:
    fixed: Mapping[str, float] = trial.system_attrs.get("fixed_params", {})
    return fixed


def _label(attributes: Mapping[str, object]) -> dict[str, object]:
    return {LABEL: attributes[LABEL]} if LABEL in attributes else {}
