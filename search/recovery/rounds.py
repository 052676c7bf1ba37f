"""Rounds of training: a candidate that has learned again may learn more, from where it stands.

Nobody knows beforehand which candidates are worth a long training, and most of what comes back comes back soon (seen on
nine of mnist-resnet: another round of three or four epochs won 0.28 of what the first had left). So all get a short one
first, and the time that is left goes to those where more of it promises most.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

from search.recovery.recoveries import Recovery
from search.study.trials import Outcome

MOST_ROUNDS = 4
ASSUMED = 0.3
"""Share of what is left of a drop that another round wins back, before any has told."""

Past = Mapping[str, Sequence[Recovery]]
"""By digest of the untrained candidate, its recoveries in their order."""


def past_of(recoveries: Iterable[Recovery], *, seed: int, data_digest: str) -> Past:
    """The recoveries by this seed on this data: those that another round of the same would go on from."""
    found: dict[str, list[Recovery]] = {}
    for recovery in recoveries:
        if (recovery.seed, recovery.data_digest) == (seed, data_digest):
            found.setdefault(recovery.recovered_from, []).append(recovery)
    return found


def goes_on(rounds: Sequence[Recovery]) -> bool:
    """Whether another round may win more: the last one has, and it was a training and not solved in closed form."""
    last = rounds[-1]
    is_training = last.lineage is not None and last.lineage.steps > 0
    return last.outcome is not None and is_training and len(rounds) < MOST_ROUNDS


def epochs_of(rounds: Sequence[Recovery]) -> int:
    """The epochs that were asked for in all of them; 0 where there were none."""
    return max((recovery.epochs for recovery in rounds), default=0)


def best_of(rounds: Sequence[Recovery]) -> Outcome | None:
    """The figures with the smallest drop; None where none came to anything."""
    outcomes = [recovery.outcome for recovery in rounds if recovery.outcome is not None]
    return min(outcomes, key=lambda outcome: outcome.metric_drop, default=None)


def share_of_another(past: Past) -> float:
    """What another round wins back of what is left of a drop, in [0, 1]: the mean of those so far and of `ASSUMED`."""
    shares = [ASSUMED]
    for rounds in past.values():
        drops = [None if recovery.outcome is None else recovery.outcome.metric_drop for recovery in rounds]
        for before, after in pairwise(drops):
            if before is not None and before > 0:  # a round that won nothing has no outcome
                shares.append(0.0 if after is None else min(max(1.0 - after / before, 0.0), 1.0))
    return sum(shares) / len(shares)
