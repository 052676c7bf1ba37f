"""The tabulated network as a problem: figures are the table's, latencies as uncertain as they were measured."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from benchmarks.samplers.problem import Reading, outcome_of
from benchmarks.tabulated.table import Table
from search.layers.effects import DAMAGE_EFFECTS
from search.layers.table import LAYER_TABLE
from search.pareto import Pair
from search.space.space import Choice, SearchSpace

LEAST = 0.1
"""What loses more of the metric than this is of no use: gain begins there."""


class TableReplay:
    """Searches look policies up.

    Accuracy and divergence are what the same samples always say; latency has the noise of one measurement.

    Args:
        table: The figures.
    """

    name = "small-resnet, tabulated"
    chance: Pair = (1.05, 0.1)
    """From the share of right answers of who guesses one of ten digits."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self.reference: Pair = (1.05, table.fp32_metric - LEAST)
        self.space: SearchSpace = table.space

    def records(self, *, swept: bool, timed: bool, rng: np.random.Generator) -> Mapping[str, Any]:
        """What the search of this network recorded; the figures' noise is theirs."""
        left_out = {DAMAGE_EFFECTS: not swept, LAYER_TABLE: not timed}
        return {name: record for name, record in self._table.records.items() if not left_out.get(name, False)}

    def read(self, params: Mapping[str, Choice], rng: np.random.Generator) -> Reading:
        """The table's figures, the ratio with the noise of a measurement."""
        table = self._table
        position = table.position(params)
        error = float(table.ratio_error[position])
        ratio, metric = table.pair(position)
        seen = max(ratio + error * float(rng.normal()), 0.1 * ratio)
        outcome = outcome_of(
            digest=f"row {table.same_as[position]}",
            ratio=seen,
            ratio_error=error,
            divergence=float(table.divergence[position]),
            metric=metric,
            fp32_metric=table.fp32_metric,
            samples=int(table.facts["samples"]),
        )
        return Reading(outcome=outcome, exact=(ratio, metric))
