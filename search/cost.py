"""What a candidate costs on its target: time, or instructions where the target is emulated. Never one as the other."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latency import Measurement
    from latency.emulation.instruction_count import InstructionCount

    Measured = Measurement | InstructionCount

LATENCY_NAMES = ("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high")
INSTRUCTION_NAMES = ("instructions", "instructions_ratio", "instructions_ratio_low", "instructions_ratio_high")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Latency or instructions per inference, whichever was taken; the fields of the other are NaN (None for a count).

    Attributes:
        latency_ms: Ratio times the run's FP32 reference.
        latency_ratio: Candidate over FP32, measured in the same processes; `_low`, `_high` its 95% interval.
        instructions: Of one inference, counted under emulation. They say nothing certain about time.
        instructions_ratio: Candidate over FP32; `_low`, `_high` its interval.
    """

    latency_ms: float = math.nan
    latency_ratio: float = math.nan
    latency_ratio_low: float = math.nan
    latency_ratio_high: float = math.nan
    instructions: int | None = None
    instructions_ratio: float = math.nan
    instructions_ratio_low: float = math.nan
    instructions_ratio_high: float = math.nan

    @property
    def is_emulated(self) -> bool:
        """Whether the cost is instructions under emulation, not time."""
        return self.instructions is not None

    @property
    def cost(self) -> float:
        """Milliseconds, or instructions: what a study minimizes."""
        return self.latency_ms if self.instructions is None else float(self.instructions)

    @property
    def cost_ratio(self) -> float:
        """Candidate over FP32, in the cost that was taken: what candidates are ranked by."""
        return self.instructions_ratio if self.is_emulated else self.latency_ratio

    @property
    def cost_ratio_low(self) -> float:
        """The lower end of the ratio's interval."""
        return self.instructions_ratio_low if self.is_emulated else self.latency_ratio_low

    @property
    def cost_ratio_high(self) -> float:
        """The upper end of the ratio's interval."""
        return self.instructions_ratio_high if self.is_emulated else self.latency_ratio_high

    @property
    def gain(self) -> float:
        """FP32's cost over the candidate's: the speedup where time was taken."""
        return 1.0 / self.cost_ratio


def cost_fields(measured: Measured, reference_ms: float | None) -> dict[str, Any]:
    """The fields of `Cost` that a measurement gives.

    Args:
        measured: A latency, or a count of instructions.
        reference_ms: FP32's latency that a ratio of latencies is multiplied with; None takes this measurement's own.
    """
    from latency.emulation.instruction_count import InstructionCount

    value: dict[str, Any]
    if isinstance(measured, InstructionCount):
        kind, value = "instructions", {"instructions": round(measured.candidate_instructions)}
    else:
        kind, value = "latency", {"latency_ms": measured.ratio * (reference_ms or measured.baseline_ms)}
    ratios = {"": measured.ratio, "_low": measured.ratio_low, "_high": measured.ratio_high}
    return {**value, **{f"{kind}_ratio{end}": ratio for end, ratio in ratios.items()}}


def without_missing(values: dict[str, Any]) -> dict[str, Any]:
    """The values that are there: JSON has no NaN, and what is left out reads back as missing."""
    return {
        name: value
        for name, value in values.items()
        if value is not None and not (isinstance(value, float) and math.isnan(value))
    }
