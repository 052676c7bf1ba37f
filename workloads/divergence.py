"""How far a network's outputs are from FP32's, sample by sample."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError

Outputs = Mapping[str, NDArray[Any]]
"""Output name to array, first axis the samples."""


def variance_of(parts: Sequence[NDArray[Any]]) -> float:
    """Mean squared deviation from the mean: element by element where all samples have one shape, else over all.

    Of what never varies the mean square, and 1 of what is always zero.
    """
    elements = sum(part.size for part in parts)
    if len(parts) == 1:
        center = parts[0].mean(axis=0, dtype=np.float64)
    else:
        center = sum(part.sum(dtype=np.float64) for part in parts) / elements
    for origin in (center, 0.0):
        squares = sum(float(np.square(part.astype(np.float64) - origin).sum()) for part in parts)
        if squares > 0:
            return squares / elements
    return 1.0


def divergence_of(
    parts: Sequence[Outputs], reference: Sequence[Outputs], variances: Mapping[str, float]
) -> NDArray[np.float64] | None:
    """Each sample's squared distance from the reference, over the variances, averaged over elements and outputs.

    Args:
        parts: Outputs in order; consecutive samples of one shape stand together.
        reference: Outputs of the same samples, or of more of which these are the first.
        variances: Of the reference's floating-point outputs, by name; None is the answer where there are none.

    Raises:
        WorkloadError: An output is missing or has another shape.
    """
    if not variances:
        return None
    pieces = []
    for ours, theirs in _aligned(parts, reference):
        distances = [_distance(ours, theirs, name) / variance for name, variance in variances.items()]
        pieces.append(np.mean(distances, axis=0))
    return np.concatenate(pieces)


def _distance(ours: Outputs, theirs: Outputs, name: str) -> NDArray[np.float64]:
    if name not in ours or ours[name].shape != theirs[name].shape:
        given = ours[name].shape[1:] if name in ours else f"only {sorted(ours)}"
        raise WorkloadError(
            f"output {name!r} must have FP32's shape {theirs[name].shape[1:]} per sample, got {given}; "
            "compare networks with the same outputs"
        )
    difference = ours[name].astype(np.float64) - theirs[name]
    squares: NDArray[np.float64] = np.square(difference).reshape(len(difference), -1).mean(axis=1)
    return squares


def _aligned(ours: Sequence[Outputs], theirs: Sequence[Outputs]) -> Iterator[tuple[Outputs, Outputs]]:
    """Cut both sequences at the boundaries of either, as far as `ours` goes."""
    ends = [set(np.cumsum([len(next(iter(part.values()))) for part in parts]).tolist()) for parts in (ours, theirs)]
    start = 0
    for stop in sorted(end for end in ends[0] | ends[1] if end <= max(ends[0])):
        yield _between(ours, start, stop), _between(theirs, start, stop)
        start = stop


def _between(parts: Sequence[Outputs], start: int, stop: int) -> Outputs:
    """Samples `start` to `stop`, which stand in one part."""
    offset = 0
    for part in parts:
        length = len(next(iter(part.values())))
        if start < offset + length:
            return {name: array[start - offset : stop - offset] for name, array in part.items()}
        offset += length
    raise ValueError(f"no sample {start}; there are {offset}")
