"""Trials as the study keeps them: what is written when one ends, and points read back from any study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from compress.policy import LayerPolicy, Policy
from search.point import TrialPoint
from search.space import policy_of, summarize

if TYPE_CHECKING:
    import optuna

# User attributes of a trial. Values are (latency_ms, metric), so that every Optuna tool reads our studies.
OUTCOME = "outcome"
POLICY = "policy_digest"
LABEL = "label"
REASON = "reason"
DUPLICATE_OF = "duplicate_of"
INTERRUPTED = "interrupted"
POSTPONED = "postponed"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What one trial found.

    Attributes:
        digest: The candidate's.
        latency_ms: Ratio times the run's FP32 reference.
        latency_ratio: Candidate over FP32, measured in the same processes; `_low`, `_high` its 95% interval.
        grade: `clean`, `contended` or `unreliable`, with `grade_reason`.
        metric: Mean score on the part of the validation data that the search sees.
        metric_drop: FP32 minus candidate on the same samples; `_low`, `_high` its paired 95% interval.
        divergence: Mean squared error of the outputs against FP32's, relative to their variance.
        model_bytes: Size of the ONNX file.
        kernels: Layer name to the runtime kernels that execute it.
        ranks: Layer name to rank, for factorized layers.
        rounding: Relative difference of outputs with graph optimizations on and off.
    """

    digest: str
    latency_ms: float
    latency_ratio: float
    latency_ratio_low: float
    latency_ratio_high: float
    grade: str
    grade_reason: str
    metric: float
    metric_drop: float
    metric_drop_low: float
    metric_drop_high: float
    divergence: float
    model_bytes: int
    kernels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    rounding: float = 0.0

    @property
    def values(self) -> tuple[float, float]:
        """The two objectives: latency in ms (down), metric (up)."""
        return self.latency_ms, self.metric

    def to_attribute(self) -> dict[str, Any]:
        """As a JSON-able user attribute."""
        return {**asdict(self), "kernels": {k: list(v) for k, v in self.kernels.items()}}


def is_finished(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether the trial counts towards the number asked for: it has figures, or failed for a reason of its own."""
    return trial.state.name == "COMPLETE" or (trial.state.name == "FAIL" and REASON in trial.user_attrs)


def count_finished(trials: Sequence["optuna.trial.FrozenTrial"]) -> int:
    """How many trials count towards the number asked for."""
    return sum(is_finished(trial) for trial in trials)


def outcomes_of(trials: Sequence["optuna.trial.FrozenTrial"]) -> list[Outcome]:
    """The outcomes of completed trials."""
    return [Outcome(**trial.user_attrs[OUTCOME]) for trial in trials if trial.state.name == "COMPLETE"]


def policies_by_digest(trials: Sequence["optuna.trial.FrozenTrial"], layers: Sequence[str]) -> dict[str, Policy]:
    """Candidate digest to the policy that built it, for completed trials."""
    return {
        trial.user_attrs[OUTCOME]["digest"]: policy_of(layers, trial.params)
        for trial in trials
        if trial.state.name == "COMPLETE"
    }


def read_points(trials: Sequence["optuna.trial.FrozenTrial"], layers: Sequence[str]) -> list[TrialPoint]:
    """Finished trials as points, in the order of their numbers; duplicates and interrupted trials left out."""
    return [_point(trial, layers) for trial in trials if is_finished(trial)]


def _point(trial: "optuna.trial.FrozenTrial", layers: Sequence[str]) -> TrialPoint:
    policy = policy_of(layers, trial.params)
    outcome = trial.user_attrs.get(OUTCOME, {})
    figures: dict[str, Any] = {
        name: float(outcome.get(name, math.nan))
        for name in (
            "latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high",
            "metric", "metric_drop", "metric_drop_low", "metric_drop_high",
        )
    }  # fmt: skip
    return TrialPoint(
        number=trial.number,
        digest=str(outcome.get("digest", "")),
        grade=str(outcome.get("grade", "")),
        model_bytes=outcome.get("model_bytes"),
        state="complete" if trial.state.name == "COMPLETE" else "failed",
        reason=str(trial.user_attrs.get(REASON, "")),
        label=str(trial.user_attrs.get(LABEL, "")),
        policy_summary=summarize(policy),
        layers={name: _shown(policy[name]) for name in layers},
        **figures,
    )


def _shown(choice: LayerPolicy) -> dict[str, float | None]:
    """A layer's choice as reports show it; a rank only where the layer was factorized."""
    rank = choice.rank if choice.rank < 1.0 else None
    return {"bits": choice.weight_bits, "sparsity": choice.sparsity, "rank": rank}
