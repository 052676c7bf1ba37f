"""Evidence that a network scores worse than others, which may be looked at as often as one likes.

A p-value that is looked at after every chunk rejects too often. An e-process does not: it is the wealth of someone who
bets, sample by sample, that a rival scores better than the candidate. Where the rival does not, no way of betting has
an expectation of gain, so that the wealth ever exceeds 1/a with probability at most a, whenever one looks (Ville 1939;
Waudby-Smith & Ramdas 2024, "Estimating means of bounded random variables by betting", JRSS-B 86). It assumes no
distribution, only that a candidate scores at most `best` on any sample, so that it can gain no more than that on it.

Stakes from small to large are bet at once with shares of the wealth, and several rivals at once likewise: the mean of
e-processes is one, whatever they have to do with one another (Vovk & Wang 2021, "E-values: calibration, combination and
applications", Annals of Statistics 49). So neither looks nor comparisons ask for a correction. Samples drawn without
replacement from the validation data vary less than independent ones; the bound holds for them too, and the tests count.
"""

import math
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# Shares of what a candidate can gain on a sample. The largest decides soon about hopeless ones, the smallest in the end
# about close ones.
_STAKES = np.array([0.9, 0.65, 0.45, 0.3, 0.2, 0.12, 0.06])


@dataclass(frozen=True, kw_only=True, eq=False)
class Bounds:
    """Between which scores networks worth comparing lie, on any sample.

    Attributes:
        worst: The lowest.
        best: The highest: no candidate scores above it.
    """

    worst: float
    best: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What the scores so far say.

    Attributes:
        log_value: Logarithm of the e-value against "none of the rivals has the higher mean score".
        strongest: Position of the rival that has contributed most to it.
        shares: Each rival's logarithm before averaging.
    """

    log_value: float
    strongest: int
    shares: tuple[float, ...] = field(default=(), repr=False)

    def is_beyond(self, error_rate: float) -> bool:
        """Whether to believe it, wrong at most so often however often one looks."""
        return self.log_value >= -math.log(error_rate)


def weigh(candidate: Array, rivals: Array, bounds: Bounds, *, compared: int) -> Evidence:
    """Evidence that some rival's mean score is above the candidate's.

    Args:
        candidate: Scores, shape (n,), in a fixed random order.
        rivals: Scores on the same samples, shape (rivals, n), at least one rival.
        bounds: Of scores. A candidate's score above `bounds.best` raises it.
        compared: How many rivals there were before the ones worth betting on were chosen by their scores; the others
            count as wealth lost, so that having chosen the luckiest is paid for.

    Raises:
        ValueError: The shapes do not fit, there is no rival, or fewer were compared than are given.
    """
    if rivals.ndim != 2 or not len(rivals) or rivals.shape[1:] != candidate.shape:
        raise ValueError(f"rivals must have shape (at least 1, {len(candidate)}), got {rivals.shape}")
    if compared < len(rivals):
        raise ValueError(f"compared must be at least the {len(rivals)} rivals given, got {compared}")
    lost = rivals - candidate
    most_gained = float(max(bounds.best, candidate.max(initial=-math.inf)) - min(bounds.worst, float(rivals.min())))
    if most_gained <= 0.0:  # all networks score alike on all samples: then losses give the scale
        most_gained = float(lost.max()) or 1.0
    wealth = np.stack([np.log1p(stake / most_gained * lost).sum(axis=1) for stake in _STAKES], axis=1)
    shares = np.logaddexp.reduce(wealth, axis=1) - math.log(len(_STAKES))
    return Evidence(
        log_value=float(np.logaddexp.reduce(shares)) - math.log(compared),
        strongest=int(shares.argmax()),
        shares=tuple(shares.tolist()),
    )
