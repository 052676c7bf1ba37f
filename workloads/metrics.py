"""The metrics that come with paretune, and finding one by what a user calls it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.user_code import load_module
from workloads.workload import Metric


def top1(outputs: Any, targets: Any) -> NDArray[np.float64]:
    """1 where the largest class score (N, classes) is at the target's index (N,), else 0.

    Raises:
        WorkloadError: The shapes do not fit, or a target is no class.
    """
    scores, labels = _only_output(outputs, "top1"), np.asarray(targets)
    if scores.ndim != 2 or labels.shape != (len(scores),) or labels.dtype.kind not in "iu":
        raise WorkloadError(
            f"top1 needs class scores (N, classes) and integer targets (N,), got {scores.shape} and "
            f"{labels.dtype} {labels.shape}; use a metric of your own: FILE:FUNCTION"
        )
    strange = labels[(labels < 0) | (labels >= scores.shape[1])]
    if len(strange):
        raise WorkloadError(
            f"top1 got the target {strange[0]} but the network has {scores.shape[1]} classes; "
            f"targets must be 0 to {scores.shape[1] - 1}"
        )
    right: NDArray[np.float64] = (scores.argmax(axis=1) == labels).astype(np.float64)
    return right


def mse(outputs: Any, targets: Any) -> NDArray[np.float64]:
    """Minus the mean squared difference of each sample's output from its target, both (N, ...).

    Raises:
        WorkloadError: The shapes differ in more than axes of length 1.
    """
    values, wanted = _only_output(outputs, "mse"), np.asarray(targets)
    if len(values) != len(wanted) or _without_ones(values) != _without_ones(wanted) or wanted.dtype.kind not in "fiub":
        raise WorkloadError(
            f"mse needs numeric targets of the output's shape, got {values.shape} and {wanted.dtype} {wanted.shape}; "
            "reshape the targets"
        )
    difference = values.reshape(len(values), -1).astype(np.float64) - wanted.reshape(len(wanted), -1)
    negative: NDArray[np.float64] = -np.square(difference).mean(axis=1)
    return negative


METRICS: Mapping[str, Callable[[Any, Any], Any]] = {"top1": top1, "mse": mse}


def resolve_metric(reference: str) -> Metric:
    """The metric that `reference` names: one of `METRICS`, or `FILE:FUNCTION` for a function in a Python file.

    A file may set `METRIC_SCOPE = "all"`.

    Raises:
        WorkloadError: There is no such metric, file or function, or the file fails.
    """
    if reference in METRICS:
        return Metric(name=reference, function=METRICS[reference])
    path = metric_file(reference)
    if path is None:
        raise WorkloadError(f"unknown metric {reference!r}; use one of {sorted(METRICS)}, or FILE.py:FUNCTION")
    if not path.is_file():
        raise WorkloadError(f"metric {reference!r}: there is no file {path}; give FILE.py:FUNCTION")
    name = reference.rpartition(":")[2]
    module = load_module(path)
    function = getattr(module, name, None)
    if not callable(function):
        defined = sorted(key for key, value in vars(module).items() if callable(value) and not key.startswith("_"))
        raise WorkloadError(f"metric {reference!r}: {path} defines no function {name!r}; it has {defined}")
    return Metric(name=name, function=function, scope=getattr(module, "METRIC_SCOPE", "batch"))


def metric_file(reference: str) -> Path | None:
    """The file of a `FILE:FUNCTION` reference; None for a metric of ours and for anything else."""
    file, separator, function = reference.rpartition(":")
    return Path(file) if separator and file.endswith(".py") and function else None


def _only_output(outputs: Any, metric: str) -> NDArray[Any]:
    if isinstance(outputs, Mapping):
        raise WorkloadError(
            f"{metric} needs a network with one output, got {sorted(outputs)}; "
            "use a metric of your own that picks one: FILE:FUNCTION"
        )
    return np.asarray(outputs)


def _without_ones(array: NDArray[Any]) -> tuple[int, ...]:
    return tuple(length for length in array.shape[1:] if length != 1)
