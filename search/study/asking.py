"""Asking a study for a policy that nobody has tried or is trying."""

import random
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from compress.policy import Policy
from search.space.space import Choice, SearchSpace
from search.study.liveness import WORKER
from search.study.seen import Seen
from search.study.trials import DUPLICATE_OF, YIELDED_TO

if TYPE_CHECKING:
    import optuna

# After this many repeats in a row the sampler has nothing new to say.
_REPEATS_BEFORE_DRAWING = 2

# How long another worker's sampler may take to choose; then it is believed to be lost, and a repeat is risked.
_CHOOSING_S = 10.0
_LOOK_S = 0.02


def ask_unseen(
    study: "optuna.Study", space: SearchSpace, seen: Seen, seed: int
) -> "tuple[optuna.Trial, Policy] | None":
    """What is planned, else what the sampler proposes, as long as it is new.

    Repeats end as failed trials that name what they repeat. A sampler that repeats itself has settled on a region:
    after two in a row the trial goes to a policy not seen yet that differs from the last repeat in few knobs.

    Where several workers come upon one policy at the same time, the trial with the lowest number has it.

    Returns:
        The trial and its policy, or None when every policy of the space has been tried or is being tried.
    """
    repeats = 0
    repeated: Mapping[str, Choice] = {}
    while len(seen) < space.size:
        plan = None if seen.queued else _next_plan(space, seen)
        if plan is None and not seen.queued:
            if repeats >= _REPEATS_BEFORE_DRAWING:
                generator = random.Random(seed + len(seen.candidates))  # noqa: S311  # no secret
                plan = dict(_draw_near(space, seen, repeated, generator)), {}
            elif (proposed := _propose(study)) is not None:
                if space.policy(proposed) in seen:
                    repeats, repeated = repeats + 1, proposed
                    continue
                plan = proposed, {}
        trial, policy = _begin(study, space, seen, plan)
        rival = _rival(study, seen, trial, policy)
        if policy.digest not in seen.candidates and rival is None:  # as of now: another may have finished it meanwhile
            return trial, policy
        repeats, repeated = repeats + 1, trial.params
        if policy.digest in seen.candidates:
            tell_duplicate(study, trial, seen.candidates[policy.digest])
        else:
            trial.set_user_attr(YIELDED_TO, rival)
            _tell_failed(study, trial)
        seen.refresh(study)
    return None


def tell_duplicate(study: "optuna.Study", trial: "optuna.Trial", digest: str) -> None:
    """End a trial that would repeat the candidate `digest`."""
    trial.set_user_attr(DUPLICATE_OF, digest)
    _tell_failed(study, trial)


def _tell_failed(study: "optuna.Study", trial: "optuna.Trial") -> None:
    import optuna

    study.tell(trial, state=optuna.trial.TrialState.FAIL)


def _next_plan(space: SearchSpace, seen: Seen) -> "tuple[Mapping[str, Choice], Mapping[str, Any]] | None":
    """The next that is planned and that nobody has taken."""
    while seen.planned:
        plan = seen.planned.popleft()
        if space.policy(plan.params) not in seen:
            return plan.params, plan.attributes
    return None


def _propose(study: "optuna.Study") -> dict[str, Any] | None:
    """What the sampler proposes, where it needs no trial in the study to say it."""
    import optuna

    if not getattr(study.sampler, "proposes_without_trial", False):
        return None
    nothing = optuna.trial.create_trial(state=optuna.trial.TrialState.RUNNING)
    return study.sampler.sample_relative(study, nothing, study.sampler.infer_relative_search_space(study, nothing))


def _begin(
    study: "optuna.Study",
    space: SearchSpace,
    seen: Seen,
    plan: "tuple[Mapping[str, Choice], Mapping[str, Any]] | None",
) -> "tuple[optuna.Trial, Policy]":
    """A running trial of ours with all its parameters.

    A plan goes into the study whole, in one transaction: so other workers see all of it or nothing. Without one the
    study's queue gives it, else the sampler chooses knob by knob.
    """
    import optuna
    from optuna.distributions import CategoricalDistribution

    worker = seen.here.to_attribute()
    if plan is not None:
        params, attributes = plan
        study.add_trial(
            optuna.trial.create_trial(
                state=optuna.trial.TrialState.WAITING,
                params=dict(params),
                distributions={knob.name: CategoricalDistribution(knob.choices) for knob in space.knobs},
                user_attrs={**attributes, WORKER: worker},
            )
        )
    trial = study.ask()
    known = study.get_trials(deepcopy=False)[trial.number]  # a trial asks the storage for each of its attributes
    if known.user_attrs.get(WORKER) != worker:
        trial.set_user_attr(WORKER, worker)
    params = known.params
    # Of what is there Optuna would make the distributions anew and compare them, knob by knob.
    is_whole = all(knob.name in params for knob in space.knobs)
    return trial, space.policy(params) if is_whole else space.suggest(trial)


def _rival(study: "optuna.Study", seen: Seen, trial: "optuna.Trial", policy: Policy) -> int | None:
    """The number of the trial that had the policy first; None where it is ours.

    Numbers are given one by one (Lamport's bakery): whoever has a lower one and is still choosing may come to the same
    policy, and is waited for.
    """
    deadline_s = time.monotonic() + _CHOOSING_S
    while True:
        seen.refresh(study)
        rival = seen.earlier(trial.number, policy)
        choosing = seen.choosing_before(trial.number)
        if rival is not None or not choosing:
            return rival
        if time.monotonic() > deadline_s:
            seen.lost |= choosing
        time.sleep(_LOOK_S)


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
