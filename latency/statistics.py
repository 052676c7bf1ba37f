"""From raw samples to a ratio with its 95% interval, and to percentiles."""

from __future__ import annotations

import math
import statistics
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from latency.student_t import t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_CONFIDENCE = 0.95
_NORMAL_QUANTILE = 1.96  # of half the confidence to either side
_PRIOR_DEGREES_LIMIT = 12.0  # the spread of earlier models is worth this many processes at the most
_REMEMBERED = 40  # models
_DEGREES_PER_PRIOR_DEGREE = 3.0
_MEDIAN_OVER_MEAN = math.pi / 2  # variance of a median over that of a mean, normal distribution
# Two sessions of one model in one process differ by 0.1% to 0.4% even where they are of one age (A/A pairs at 2 and at
# 5 ms), for reasons that processes may share, so that their spread does not show them.
_BETWEEN_SESSIONS = 0.0015
_NORMAL_MAD = 1.4826  # standard deviation over median absolute deviation, normal distribution

# MLPerf LoadGen's early-stopping rule at 99% confidence, for one sample above the percentile: the fewest samples for
# which P(Binomial(samples, 1 - percentile) <= 1) <= 1% (Reddi et al. 2020, arXiv:1911.02549; loadgen/early_stopping).
MINIMUM_SAMPLES = {50: 11, 90: 64, 95: 130, 99: 662}


@dataclass(frozen=True, kw_only=True, slots=True)
class SpreadPrior:
    """What earlier models on the same workers say of the spread between processes.

    ``variance`` is that of a process's true log ratio around the model's, sampling error left out; as a difference of
    two estimates it may fall below zero by chance. ``degrees``: how many degrees of freedom it is worth.
    """

    variance: float = 0.0
    degrees: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RatioEstimate:
    """Candidate over baseline, with its 95% interval.

    ``observed`` is the variance of the processes' own medians, with ``degrees`` of freedom, and ``sampling`` how much
    of it their finite numbers of rounds explain; no prior is in them. ``wants_processes`` says that the spread between
    processes makes most of the interval, so that more of them would narrow it and more samples would not.
    """

    ratio: float
    low: float
    high: float
    observed: float
    sampling: float
    degrees: int
    wants_processes: bool

    @property
    def half_width(self) -> float:
        """Half the interval's width relative to the ratio; infinite for a single process without a prior."""
        return (self.high - self.low) / (2 * self.ratio)

    def widened(self, deviation: float) -> RatioEstimate:
        """With something more that is uncertain, of this standard deviation relative to the ratio."""
        if not deviation:
            return self
        more = _NORMAL_QUANTILE * deviation
        low, high = (math.hypot(math.log(end / self.ratio), more) for end in (self.low, self.high))
        return replace(self, low=self.ratio * math.exp(-low), high=self.ratio * math.exp(high))


class SpreadPool:
    """Gathers the spread between processes over models, so that later models need not find it out anew.

    The typical one counts: a model that was measured while the machine was disturbed does not widen those after it.
    """

    def __init__(self) -> None:
        self._seen: deque[RatioEstimate] = deque(maxlen=_REMEMBERED)

    def add(self, estimate: RatioEstimate) -> None:
        """Takes in one model's spread."""
        if estimate.degrees:
            self._seen.append(estimate)

    def prior(self) -> SpreadPrior:
        """What is known so far, worth at most twelve degrees of freedom."""
        if not self._seen:
            return SpreadPrior()
        # A sample variance is chi-squared, whose median lies below its mean (Wilson and Hilferty 1931, PNAS 17).
        means = [each.observed / (1 - 2 / (9 * each.degrees)) ** 3 for each in self._seen]
        variance = statistics.median(means) - statistics.median(each.sampling for each in self._seen)
        degrees = sum(each.degrees for each in self._seen) / _DEGREES_PER_PRIOR_DEGREE
        return SpreadPrior(variance=variance, degrees=min(_PRIOR_DEGREES_LIMIT, degrees))


def estimate_ratio(log_ratios: Sequence[NDArray[np.float64]], prior: SpreadPrior) -> RatioEstimate:
    """The ratio of two models from the log ratios of their rounds, with a 95% t-interval.

    The estimate is the median over all rounds of all processes. A round compares neighbours in time, so what
    disturbs one round says nothing about the next, and the median passes over the disturbed ones (measured on a host
    whose level wanders by 60%: the error over four processes of 0.15 s is 0.2%, that of the ratio of medians 1%).

    Its variance has two parts: the sampling error within the processes, from the median absolute deviation of the
    rounds (and what two sessions of one model differ by), and the spread between processes, which have their own memory
    layout. Few processes tell the second badly:
    it is moderated by the spread of earlier models (Smyth 2004, "Linear models and empirical Bayes methods", the
    posterior variance). The two are added with Satterthwaite's degrees of freedom (1946, Biometrics Bulletin 2).

    Args:
        log_ratios: of each process its rounds', shape ``(rounds,)``.
        prior: the spread of earlier models.

    Raises:
        ValueError: no processes.
    """
    import numpy as np

    if not log_ratios:
        raise ValueError("a ratio needs at least one process, got none; measure first")
    pooled = np.concatenate(log_ratios)
    middle = float(np.median(pooled))
    degrees = len(log_ratios) - 1
    observed = float(np.var([np.median(rounds) for rounds in log_ratios], ddof=1)) if degrees else 0.0
    sampling = float(np.mean([_variance_of_median(rounds) for rounds in log_ratios]))
    within, across, known = _variances(log_ratios, observed - sampling, prior)
    half = _half_width(within, len(pooled) - 1, across, known)
    return RatioEstimate(
        ratio=math.exp(middle),
        low=math.exp(middle - half),
        high=math.exp(middle + half) if half < math.inf else math.inf,
        observed=observed,
        sampling=sampling,
        degrees=degrees,
        wants_processes=across > within,
    )


def _variances(
    log_ratios: Sequence[NDArray[np.float64]], between: float, prior: SpreadPrior
) -> tuple[float, float, float]:
    """The estimate's variance from sampling, from the spread between processes, and the latter's degrees of freedom."""
    import numpy as np

    processes = len(log_ratios)
    known = processes - 1 + prior.degrees
    within = _variance_of_median(np.concatenate(log_ratios)) + _BETWEEN_SESSIONS**2
    if known == 0:
        return within, math.inf, 0.0
    moderated = ((processes - 1) * between + prior.degrees * prior.variance) / known
    return within, _MEDIAN_OVER_MEAN * max(0.0, moderated) / processes, known


def _half_width(within: float, samples: int, across: float, known: float) -> float:
    """Half the 95% interval of the logarithm."""
    total = within + across
    if total in {0.0, math.inf}:
        return total
    degrees = total**2 / (within**2 / max(1, samples) + across**2 / known)
    return t_quantile(degrees, (1 + _CONFIDENCE) / 2) * math.sqrt(total)


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


def _variance_of_median(values: NDArray[np.float64]) -> float:
    """The squared standard error of the median: nearly normal in the middle, whatever the tails are."""
    import numpy as np

    if len(values) < 2:
        return 0.0
    deviation = _NORMAL_MAD * float(np.median(np.abs(values - np.median(values))))
    return _MEDIAN_OVER_MEAN * deviation**2 / (len(values) - 1)
