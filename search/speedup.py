"""The largest gain among the candidates that are close to FP32: the one figure of a search's progress."""

from collections.abc import Sequence

from search.figures import is_fraction
from search.study.trials import Outcome


def closeness(outcomes: Sequence[Outcome]) -> tuple[float, str]:
    """The drop, in the metric's unit, up to which a candidate is close to FP32, and its name.

    One percentage point where FP32's metric is a fraction. An error or a score has another scale: there it is 1% of
    FP32's own.
    """
    fp32 = next((outcome.metric + outcome.metric_drop for outcome in outcomes), 0.0)
    return (0.01, "1 point") if is_fraction(fp32) else (0.01 * abs(fp32), "1% of FP32's metric")


def best_speedup(outcomes: Sequence[Outcome]) -> float | None:
    """The largest gain, FP32's cost over the candidate's, among outcomes that are close to FP32; None where none is."""
    tolerance, _ = closeness(outcomes)
    ratios = [outcome.cost_ratio for outcome in outcomes if outcome.metric_drop <= tolerance]
    return 1.0 / min(ratios) if ratios else None
