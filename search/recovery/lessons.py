"""What a workload has to learn from."""

from typing import Any

from compress.recovery.lessons import Lessons
from workloads import Metric, Workload
from workloads.user_code import call, collect


def lessons_of(workload: Workload) -> Lessons:
    """The batches of `training()`, with targets where they have any; without `training()` the calibration inputs.

    No sample of the confirmation is among them: what a workload calls training data is its own affair, and calibration
    inputs are none of the validation's, or of the search's part of it.

    Raises:
        WorkloadError: `training()` failed.
        CompressionError: What it gave cannot be learned from.
    """
    if workload.training is None:
        return Lessons.of(workload.calibration, source="calibration()")
    batches = collect(workload.training, name="training()")
    return Lessons.of(batches, score=_score_of(workload.metric))


def said_of_lessons(lessons: Lessons, workload: Workload) -> str:
    """What there is to learn from, in words: '3,000 samples of training(), with targets'."""
    source = "calibration()" if workload.training is None else "training()"
    targets = "with targets" if lessons.have_targets else "without targets"
    return f"{len(lessons):,} {'sample' if len(lessons) == 1 else 'samples'} of {source}, {targets}"


def _score_of(metric: Metric) -> Any:
    """The metric as progress shows it; one that needs all outputs together has no score on a few of them."""
    if metric.scope == "all":
        return None
    return lambda outputs, targets: call(metric.function, outputs, targets, name=f"metric {metric.name}()")
