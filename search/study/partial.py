"""What was taken of a candidate whose trial was stopped on the way."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from search.as_read import AsRead
from search.cost import Cost, without_missing


@dataclass(frozen=True, kw_only=True)
class PartialOutcome(Cost, AsRead):
    """Figures of the samples that were run; those of the cost where it was measured, else NaN.

    Latencies are at the study's reference speed; how they were read stands in the fields of `AsRead`.

    Attributes:
        digest: The candidate's.
        samples: How many samples the metric and the divergence are of.
        metric: Their mean score; NaN where there are none.
        metric_drop: FP32 minus candidate on the same samples; `_low`, `_high` its paired 95% interval.
        divergence: Mean squared error of the outputs against FP32's, relative to their variance.
        model_bytes: Size of the ONNX file.
        grade: Of the cost; empty where it was not measured.
        grade_reason: Why it has that grade.
        kernels: Layer name to the runtime kernels that execute it.
        ranks: Layer name to rank, for factorized layers.
        rounding: Relative difference of outputs with graph optimizations on and off.
        readings: Ratios at the speeds that the target had meanwhile, as in `search.study.trials.Outcome`.
        reason: Why the trial was stopped, in words; it is an attribute of the trial of its own.
    """

    digest: str
    samples: int
    metric: float = math.nan
    metric_drop: float = math.nan
    metric_drop_low: float = math.nan
    metric_drop_high: float = math.nan
    divergence: float = math.nan
    model_bytes: int
    grade: str = ""
    grade_reason: str = ""
    kernels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    rounding: float = 0.0
    readings: Sequence[Mapping[str, Any]] = ()
    reason: str

    def to_attribute(self) -> dict[str, Any]:
        """As a JSON-able user attribute; without its reason."""
        found = {**without_missing(asdict(self)), "kernels": {k: list(v) for k, v in self.kernels.items()}}
        return {name: value for name, value in found.items() if name != "reason" and value not in ("", ())}


def is_partial(outcome: Mapping[str, Any]) -> bool:
    """Whether the outcome that a trial's attribute holds is of a stopped one."""
    return "samples" in outcome
