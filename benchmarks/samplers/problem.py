"""What a problem has to say, so that samplers can be compared on it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from search.pareto import Pair
from search.space.space import Choice, SearchSpace
from search.study.trials import Outcome

_INTERVAL = 1.959964
"""Half of a normal's 95% interval, in standard deviations."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One evaluation of a policy.

    Attributes:
        outcome: What a search would keep of the trial, with the noise of measuring.
        exact: Cost ratio and metric without that noise.
    """

    outcome: Outcome
    exact: Pair

    @property
    def values(self) -> Pair:
        """What the study is told."""
        return self.outcome.values


def outcome_of(
    *, digest: str, ratio: float, ratio_error: float, divergence: float, metric: float, fp32_metric: float, samples: int
) -> Outcome:
    """What a search would keep of a trial that read these figures.

    Args:
        digest: Of the bytes.
        ratio: Latency over FP32's, which counts as one millisecond.
        ratio_error: Its standard error.
        divergence: From FP32's outputs.
        metric: Share of right answers.
        fp32_metric: FP32's.
        samples: Of how many answers.
    """
    drop = fp32_metric - metric
    # Paired with FP32's answers: only those that flipped are luck.
    drop_error = math.sqrt(max(abs(drop), 1.0 / samples) / samples)
    return Outcome(
        digest=digest,
        latency_ms=ratio,
        latency_ratio=ratio,
        latency_ratio_low=ratio - _INTERVAL * ratio_error,
        latency_ratio_high=ratio + _INTERVAL * ratio_error,
        grade="clean",
        grade_reason="",
        divergence=divergence,
        metric=metric,
        metric_drop=drop,
        metric_drop_low=drop - _INTERVAL * drop_error,
        metric_drop_high=drop + _INTERVAL * drop_error,
        model_bytes=0,
    )


class Problem(Protocol):
    """A network and a device, or what stands for them."""

    @property
    def name(self) -> str:
        """As pictures and figures call it."""

    @property
    def space(self) -> SearchSpace:
        """Its policies."""

    @property
    def reference(self) -> Pair:
        """Cost ratio and metric that hypervolumes are measured from."""

    def records(self, *, swept: bool, timed: bool, rng: np.random.Generator) -> Mapping[str, Any]:
        """User attributes of a study as a search begins it.

        Args:
            swept: With what a sweep over single choices finds.
            timed: With each layer's time under a few policies.
            rng: For the noise of either.
        """

    def read(self, params: Mapping[str, Choice], rng: np.random.Generator) -> Reading:
        """Evaluate a policy."""
