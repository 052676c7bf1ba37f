"""Quantiles of Student's t: what an interval over few processes needs, without half a second of imports for it."""

from __future__ import annotations

import math
from statistics import NormalDist

_SMALL = 1e-300  # keeps Lentz's quotients from 0
_PRECISE = 1e-14
_SETTLED = 1e-12  # of the logarithm
_WIDEST = 300.0  # a logarithm: of few degrees of freedom the tails are long
_MOST_TERMS = 100_000  # it takes some 10 + sqrt(degrees)
_MOST_STEPS = 50  # it takes some 6


def t_quantile(degrees: float, probability: float) -> float:
    """The value that a t-distributed variable stays below with a probability.

    The distribution function is the regularized incomplete beta function, taken by its continued fraction (DLMF
    8.17.22, https://dlmf.nist.gov/8.17), and turned round by Newton's method; to eight digits.

    Args:
        degrees: Degrees of freedom, which Satterthwaite's rule makes any positive number.
        probability: In (0, 1).

    Raises:
        ValueError: One of the two is out of its range.
    """
    if not degrees > 0 or not 0 < probability < 1:
        msg = f"degrees must be above 0 and probability in (0, 1), got {degrees} and {probability}"
        raise ValueError(msg)
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(degrees, 1 - probability)
    wanted = 2 * (1 - probability)
    log_value = math.log(NormalDist().inv_cdf(probability))
    for _ in range(_MOST_STEPS):
        value = math.exp(log_value)
        tails = _two_tails(degrees, value)
        # Seen on logarithmic axes the tails bend downwards only: steps may go too far once, and never again.
        step = math.log(tails / wanted) * tails / (2 * value * _density(degrees, value))
        log_value = min(log_value + step, _WIDEST)
        if abs(step) < _SETTLED:
            break
    return math.exp(log_value)


def _density(degrees: float, value: float) -> float:
    log = math.lgamma((degrees + 1) / 2) - math.lgamma(degrees / 2) - math.log(degrees * math.pi) / 2
    return math.exp(log - (degrees + 1) / 2 * math.log1p(value**2 / degrees))


def _two_tails(degrees: float, value: float) -> float:
    """The probability of a value further from 0 on either side: I_x(degrees/2, 1/2) at x = degrees/(degrees + t²)."""
    over = value**2 / degrees
    x, rest = 1 / (1 + over), over / (1 + over)
    a, b = degrees / 2, 0.5
    front = math.exp(math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log(rest))
    if x < (a + 1) / (a + b + 2):  # where the fraction converges quickly
        return front * _continued_fraction(x, a, b) / a
    return 1 - front * _continued_fraction(rest, b, a) / b


def _continued_fraction(x: float, a: float, b: float) -> float:
    """Of the incomplete beta function, by Lentz's method as modified by Thompson and Barnett (1986)."""
    numerator = 1.0
    denominator = 1 / _nonzero(1 - (a + b) * x / (a + 1))
    value = denominator
    for step in range(1, _MOST_TERMS):
        end = a + 2 * step
        for coefficient in (
            step * (b - step) * x / ((end - 1) * end),
            -(a + step) * (a + b + step) * x / (end * (end + 1)),
        ):
            denominator = 1 / _nonzero(1 + coefficient * denominator)
            numerator = _nonzero(1 + coefficient / numerator)
            value *= denominator * numerator
        if abs(denominator * numerator - 1) < _PRECISE:
            return value
    return value


def _nonzero(value: float) -> float:
    return value if abs(value) > _SMALL else _SMALL
