"""What a problem has to say, so that samplers can be compared on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from search.pareto import Pair
from search.space import Choice, SearchSpace


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One evaluation of a policy.

    Attributes:
        outcome: What a search would keep of the trial, as its user attribute; with the noise of measuring.
        exact: Cost ratio and metric without that noise.
    """

    outcome: Mapping[str, Any]
    exact: Pair

    @property
    def values(self) -> Pair:
        """What the study is told."""
        return float(self.outcome["latency_ratio"]), float(self.outcome["metric"])


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
