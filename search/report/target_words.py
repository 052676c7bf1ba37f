"""What reports say of accuracy on the target itself, in words."""

from __future__ import annotations

from collections.abc import Sequence

from search.notation import metric_text
from search.point import TrialPoint


def said_of_target(point: TrialPoint) -> str:
    """Write the metric on the target beside this host's: 'on the target 0.9810, here 0.9900: differs beyond ...'.

    '' where it was never taken there.
    """
    if point.target_samples is None:
        return ""
    there, here = metric_text(point.target_metric), metric_text(point.host_metric)
    if there == here and point.target_differs:  # a metric of another scale
        there, here = f"{point.target_metric:.4g}", f"{point.host_metric:.4g}"
    if point.target_differs:
        return f"on the target {there}, here {here}: differs beyond the interval"
    return f"on the target {there}, here {here}"


def warning_of(point: TrialPoint) -> str:
    """Write what must not be overlooked: another metric on the target, or kernels that are not the policy's."""
    said = said_of_target(point) if point.target_differs else ""
    return "; ".join(part for part in (said, point.reason if point.confirmed else "") if part)


def summary_of(points: Sequence[TrialPoint]) -> str:
    """Say of a front what the target itself made of its accuracy; '' where nothing was run there."""
    taken = [point for point in points if point.target_samples is not None]
    if not taken:
        return ""
    samples = max(point.target_samples or 0 for point in taken)
    differing = [point.name for point in taken if point.target_differs]
    if not differing:
        return f"Accuracy on the target itself ({samples} samples): no difference from this host's beyond the interval."
    return (
        f"Accuracy on the target itself ({samples} samples) differs from this host's beyond the interval for "
        f"{', '.join(differing)}."
    )
