"""What a candidate must beat: the finished points of a run, with their scores sample by sample."""

import math
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from search import pareto

Scores = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Rival:
    """A finished point.

    Attributes:
        number: Of its trial.
        cost_ratio: To FP32's.
        cost_ratio_high: Upper end of its interval.
        metric: On all samples.
        scores: Sample by sample, in their fair order; None where they are not known, or no longer needed.
    """

    number: int
    cost_ratio: float
    cost_ratio_high: float
    metric: float
    scores: Scores | None = field(repr=False)


@dataclass(frozen=True, kw_only=True, eq=False)
class Opposition:
    """The rivals that certainly cost no more than some candidate.

    Attributes:
        rivals: Those to compare with: of the front as it is, the most accurate first.
        compared: Out of how many they were chosen.
    """

    rivals: tuple[Rival, ...]
    compared: int


# Further ones are less accurate; what they add to the evidence is little, and every one takes time.
_MOST_RIVALS = 8


class Rivals:
    """All finished points; scores are kept of those on the front only, so that memory does not grow with trials."""

    def __init__(self) -> None:
        self._points: list[Rival] = []
        self._front: list[int] = []
        self._worst, self._best = math.inf, -math.inf

    def __len__(self) -> int:
        return len(self._points)

    @property
    def worst(self) -> float:
        """The lowest score that a point which was on the front has had on any sample."""
        return self._worst

    @property
    def best(self) -> float:
        """The highest."""
        return self._best

    def is_on_front(self, cost_ratio: float, metric: float) -> bool:
        """Whether a point would be on the front if it were added."""
        points = [self._points[position] for position in self._front]
        return not any(point.cost_ratio <= cost_ratio and point.metric >= metric for point in points)

    def add(self, rival: Rival) -> None:
        """Add a finished point."""
        self._points.append(rival)
        candidates = [*self._front, len(self._points) - 1]
        pairs = [(self._points[position].cost_ratio, self._points[position].metric) for position in candidates]
        self._front = [candidates[member] for member in pareto.front(pairs)]
        for left in set(candidates) - set(self._front):
            self._points[left] = replace(self._points[left], scores=None)
        if self._points[-1].scores is not None:
            self._worst = min(self._worst, float(self._points[-1].scores.min()))
            self._best = max(self._best, float(self._points[-1].scores.max()))

    def most_accurate(self, cost_ratio_low: float) -> Rival | None:
        """Of those that cost no more than a candidate does even if it costs so little; None where there are none."""
        on_front = (self._points[position] for position in self._front)
        cheaper = [rival for rival in on_front if rival.cost_ratio_high <= cost_ratio_low]
        return max(cheaper, key=lambda rival: rival.metric, default=None)

    def opposition(self, cost_ratio_low: float) -> Opposition:
        """Those that cost no more than a candidate does even if it costs as little as `cost_ratio_low`."""
        on_front = [self._points[position] for position in self._front]
        usable = [rival for rival in on_front if rival.scores is not None and rival.cost_ratio_high <= cost_ratio_low]
        usable.sort(key=lambda rival: rival.metric, reverse=True)
        compared = sum(rival.cost_ratio_high <= cost_ratio_low for rival in self._points)
        return Opposition(rivals=tuple(usable[:_MOST_RIVALS]), compared=compared)
