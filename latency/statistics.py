"""From raw samples to a ratio with its 95% interval, and to percentiles."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

_CONFIDENCE = 0.95
_BLOCKS = 8  # for the error within a process; a block this long outlives the correlation of neighbours
_PRIOR_DEGREES_LIMIT = 4.0  # the prior never outweighs four or more processes of the model itself
_DEGREES_PER_PRIOR_DEGREE = 3.0

# MLPerf LoadGen's early-stopping rule at 99% confidence, for one sample above the percentile: the fewest samples for
# which P(Binomial(samples, 1 - percentile) <= 1) <= 1% (Reddi et al. 2020, arXiv:1911.02549; loadgen/early_stopping).
MINIMUM_SAMPLES = {50: 11, 90: 64, 95: 130, 99: 662}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadPrior:
    """What earlier models on the same workers say of the spread between processes.

    ``variance`` is that of one process's log ratio; ``degrees`` how many degrees of freedom it is worth, 0 for none.
    """

    variance: float = 0.0
    degrees: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioEstimate:
    """Candidate over baseline, with its 95% interval; ``variance`` is between the processes, without any prior."""

    ratio: float
    low: float
    high: float
    variance: float
    degrees: int

    @property
    def half_width(self) -> float:
        """Half the interval's width relative to the ratio; infinite for a single process without a prior."""
        return (self.high - self.low) / (2 * self.ratio)


class SpreadPool:
    """Gathers the spread between processes over models, so that later models need not find it out anew."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._degrees = 0

    def add(self, estimate: RatioEstimate) -> None:
        """Takes in one model's spread."""
        self._sum += estimate.variance * estimate.degrees
        self._degrees += estimate.degrees

    def prior(self) -> SpreadPrior:
        """What is known so far, worth at most four degrees of freedom."""
        if self._degrees == 0:
            return SpreadPrior()
        degrees = min(_PRIOR_DEGREES_LIMIT, self._degrees / _DEGREES_PER_PRIOR_DEGREE)
        return SpreadPrior(variance=self._sum / self._degrees, degrees=degrees)


def estimate_ratio(
    pairs: Sequence[tuple[ArrayLike, ArrayLike]], prior: SpreadPrior, *, quantile: float = 0.5
) -> RatioEstimate:
    """The ratio of medians, or of another quantile, averaged in logarithms over processes, with a 95% t-interval.

    Inferences within one process share its memory layout and its moment, so the processes are the sample. Four of
    them tell their own spread badly: their variance is moderated by the spread of earlier models (Smyth 2004,
    "Linear models and empirical Bayes methods", equation for the posterior variance), and it is never taken to be
    smaller than the sampling error within the processes (batch means).

    Args:
        pairs: candidate times and baseline times, 1-D, one pair for each process.
        prior: the spread of earlier models.
        quantile: in [0, 1], of which the ratio is taken in each process.

    Raises:
        ValueError: no processes.
    """
    import numpy as np

    if not pairs:
        raise ValueError("a ratio needs at least one process, got none; measure first")
    logs = np.array([_log_ratio(candidate, baseline, quantile) for candidate, baseline in pairs])
    degrees, mean = len(logs) - 1, float(logs.mean())
    variance = float(logs.var(ddof=1)) if degrees else 0.0
    total_degrees = degrees + prior.degrees
    if total_degrees > 0:
        moderated = (degrees * variance + prior.degrees * prior.variance) / total_degrees
        within = float(np.mean([_error_within(candidate, baseline, quantile) for candidate, baseline in pairs]))
        half = _t_quantile(total_degrees) * math.sqrt(max(moderated, within) / len(logs))
    else:
        half = math.inf
    return RatioEstimate(
        ratio=math.exp(mean),
        low=math.exp(mean - half),
        high=math.exp(mean + half) if half < math.inf else math.inf,
        variance=variance,
        degrees=degrees,
    )


def percentile_ms(samples_ms: Sequence[float], percent: int) -> float | None:
    """A percentile, or None below LoadGen's minimum number of samples for it.

    Raises:
        ValueError: a percentile for which no minimum is known.
    """
    import numpy as np

    if percent not in MINIMUM_SAMPLES:
        msg = f"percentile must be one of {sorted(MINIMUM_SAMPLES)}, got {percent}"
        raise ValueError(msg)
    if len(samples_ms) < MINIMUM_SAMPLES[percent]:
        return None
    return float(np.percentile(samples_ms, percent))


def _log_ratio(candidate: ArrayLike, baseline: ArrayLike, quantile: float) -> float:
    import numpy as np

    return math.log(float(np.quantile(np.asarray(candidate), quantile) / np.quantile(np.asarray(baseline), quantile)))


def _error_within(candidate: ArrayLike, baseline: ArrayLike, quantile: float) -> float:
    """The variance of one process's log ratio due to its finite number of samples; 0 where there are too few."""
    import numpy as np

    first, second = np.asarray(candidate), np.asarray(baseline)
    blocks = min(_BLOCKS, min(len(first), len(second)) // 4)
    if blocks < 2:
        return 0.0
    parts = zip(np.array_split(first, blocks), np.array_split(second, blocks), strict=True)
    logs = [_log_ratio(part_of_first, part_of_second, quantile) for part_of_first, part_of_second in parts]
    return float(np.var(logs, ddof=1)) / blocks


def _t_quantile(degrees: float) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + _CONFIDENCE) / 2))
