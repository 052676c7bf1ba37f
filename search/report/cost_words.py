"""What reports call a cost: latency where time was taken, instructions where they were counted under emulation.

Nothing that names time is said of instructions, anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

from search.cost import Cost
from search.facts import ReportFacts
from search.notation import instructions_text, latency_text, speedup_text

NOT_TIME = "instructions (emulated), not time"

README = """The target of this run is emulated: no device was at hand, and no time was measured.

What stands in trials.csv and pareto.csv as `instructions` is how many instructions one inference executes, counted in
an emulator that runs the target's own runtime; `instructions_ratio` is that number over FP32's. The columns
`latency_ms` and `latency_ratio` are empty. Instructions are a cost that can be compared between candidates of this run.
They are not time: how many instructions a processor executes at once, and how long its memory takes, is not in them.
Accuracy was taken with the target's own runtime in the emulator too (`target_metric`).

Search again on the device itself before you promise anybody a latency.
"""


@dataclass(frozen=True, kw_only=True)
class CostWords:
    """The words for one kind of cost.

    Attributes:
        cost: Heads a column of costs, without their unit.
        unit: Of a cost as `text` writes it.
        cost_axis: Names an axis of costs, in `axis_unit`s of the cost.
        axis_unit: How many of the cost's own units (ms, instructions) one on the axis is.
        gain: Heads a column of gains.
        gain_axis: Names an axis of gains.
        gained: Follows a gain in running text.
        subject: What the plot sets against the metric.
        kind_note: What must stand beside every title; '' where nothing must.
    """

    cost: str
    unit: str
    cost_axis: str
    axis_unit: float
    gain: str
    gain_axis: str
    gained: str
    subject: str
    kind_note: str = ""

    def text(self, value: float) -> str:
        """Write a cost with its unit."""
        return f"{self.number(value)} {self.unit}"

    def number(self, value: float) -> str:
        """Write a cost without its unit."""
        return latency_text(value) if self.unit == "ms" else instructions_text(value)

    def of(self, point: Cost) -> str:
        """Write a point's cost."""
        return self.text(point.cost)

    def gained_text(self, gain: float) -> str:
        """Write a gain in running text: '2.10× as fast'."""
        return f"{speedup_text(gain)} {self.gained}"


LATENCY = CostWords(
    cost="latency",
    unit="ms",
    cost_axis="Latency (ms)",
    axis_unit=1.0,
    gain="speedup",
    gain_axis="Speedup over FP32 (×), more is faster",
    gained="as fast",
    subject="Speed",
)
INSTRUCTIONS = CostWords(
    cost="instructions",
    unit="M instr.",
    cost_axis="Millions of instructions per inference (emulated), not time",
    axis_unit=1e6,
    gain="fewer",
    gain_axis="FP32's instructions over the candidate's (×), more is fewer: emulated, not time",
    gained="fewer instructions",
    subject="Instructions",
    kind_note=NOT_TIME,
)


def words_of(facts: ReportFacts) -> CostWords:
    """The words for what a run's costs are."""
    return INSTRUCTIONS if facts.is_emulated else LATENCY
