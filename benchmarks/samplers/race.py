"""Searches of one problem by all samplers, asked as a search asks them: the same starting points, then what is new.

The starting points (uniform choices) know what layers are and what a fast network looks like; whoever uses Optuna
without paretune has FP32 and the sampler. So others are compared in both ways, with our start and `ALONE`.

Hypervolumes are those of the exact figures of what was tried, whatever the noise let a sampler see.
"""

import math
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import optuna

from benchmarks.samplers.problem import Problem
from search.pareto import Pair, front, hypervolume
from search.samplers import make_sampler
from search.study.asking import ask_unseen, tell_duplicate
from search.study.seen import resume
from search.study.trials import OUTCOME

OTHERS = ("tpe", "nsga2", "gp", "random")

ALONE = ", alone"
"""After a sampler's name: it begins with FP32 and nothing else of ours."""

FRONTIER = "frontier"
UNTIMED = "frontier, layers not timed"
UNSWEPT = "frontier, nothing swept"
OURS = (FRONTIER, UNTIMED, UNSWEPT)
"""Our sampler as a search begins it, and with less to begin with."""


@dataclass(frozen=True, kw_only=True)
class Race:
    """One search.

    Attributes:
        tried: Exact cost ratio and metric of each trial.
        ask_s: Processor time that all proposals took.
        is_capped: Whether it was ended for the time that its proposals took.
    """

    tried: tuple[Pair, ...]
    ask_s: float
    is_capped: bool = False

    def hypervolumes(self, reference: Pair) -> tuple[float, ...]:
        """After each trial."""
        members: list[Pair] = []
        found = []
        for pair in self.tried:
            members = [*members, pair]
            members = [members[position] for position in front(members)]
            found.append(hypervolume(members, reference))
        return tuple(found)


def trials_until(reached: Sequence[float], target: float) -> int:
    """Trials until a curve is at `target`; one more than there are where it never is."""
    return next((at for at, value in enumerate(reached, 1) if value >= target), len(reached) + 1)


def alone(name: str) -> bool:
    """Whether the search is to begin with FP32 only."""
    return name.endswith(ALONE)


def title_of(label: str, others: Sequence[str]) -> str:
    """What figures and pictures of a comparison are called: it says where the others were alone."""
    return f"{label}, others alone" if any(map(alone, others)) else label


def sampler_of(name: str) -> str:
    """What `make_sampler` calls it."""
    return FRONTIER if name in OURS else name.removesuffix(ALONE)


def begin(problem: Problem, name: str, seed: int) -> optuna.Study:
    """A study in memory, and the sampler of that name."""
    sampler = make_sampler(sampler_of(name), seed)
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    rng = np.random.default_rng([seed, 1])
    # What a search records it records for every sampler; only ours reads it.
    for key, record in problem.records(swept=name != UNSWEPT, timed=name == FRONTIER, rng=rng).items():
        study.set_user_attr(key, record)
    return study


def search(problem: Problem, name: str, seed: int) -> Iterator[tuple[Pair, float]]:
    """The exact figures of each trial, and the processor seconds of its proposal, until the space is exhausted."""
    study = begin(problem, name, seed)
    seen = resume(study, problem.space)
    if alone(name):
        seen.planned = deque(islice(seen.planned, 1))
    rng = np.random.default_rng([seed, 2])
    known: set[str] = set()
    while True:
        started_s = time.process_time()
        asked = ask_unseen(study, problem.space, seen, seed)
        ask_s = time.process_time() - started_s
        if asked is None:
            return
        trial, policy = asked
        reading = problem.read(trial.params, rng)
        digest = reading.outcome.digest
        seen.add(policy, digest)
        if digest in known:  # other settings, the same bytes: a search finds out before it measures
            tell_duplicate(study, trial, digest)
            continue
        known.add(digest)
        trial.set_user_attr(OUTCOME, reading.outcome.to_attribute())
        study.tell(trial, reading.values)
        yield reading.exact, ask_s


def race(problem: Problem, name: str, seed: int, *, most: int, most_ask_s: float = math.inf) -> Race:
    """A search of `most` trials; of fewer where the space is exhausted or proposals took too long."""
    tried: list[Pair] = []
    total_s = 0.0
    for pair, ask_s in search(problem, name, seed):
        total_s += ask_s
        tried.append(pair)
        if len(tried) >= most:
            break
        if total_s > most_ask_s:
            return Race(tried=tuple(tried), ask_s=total_s, is_capped=True)
    return Race(tried=tuple(tried), ask_s=total_s)
