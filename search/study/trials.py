"""Trials as the study keeps them: what is written when one ends, and points read back from any study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from compress.policy import LayerPolicy, Policy
from compress.recovery.lineage import Lineage
from search.as_read import AsRead
from search.cost import without_missing
from search.figures import FIGURE_NAMES, Figures
from search.lineage_words import how_recovered
from search.point import TrialPoint
from search.space.space import SearchSpace, summarize

if TYPE_CHECKING:
    import optuna

# User attributes of a trial. Values are (cost, metric), so that every Optuna tool reads our studies.
OUTCOME = "outcome"
LABEL = "label"
REASON = "reason"
DUPLICATE_OF = "duplicate_of"
YIELDED_TO = "yielded_to"
POSTPONED = "postponed"
TRAINED_FROM = "trained_from"
"""Of a trial whose outcome is a trained candidate's (`search.study.training_record`): what the policy gives untrained,
in full, and how the weights came about: `{"outcome": ..., "lineage": ...}`."""
NOT_TRAINED = "not_trained"
"""Of a complete trial in such a study whose outcome is the untrained candidate's: why that is what training makes of
it."""

# Optuna's names of states, and those of points.
_STATES = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}

_FIRST_BITS: Mapping[float | str, str] = {32.0: "fp32", 8.0: "int8"}


@dataclass(frozen=True, kw_only=True)
class Outcome(Figures, AsRead):
    """What one trial found, on the part of the validation data that the search sees.

    Latencies are at the study's reference speed; how they were read stands in the fields of `AsRead`.

    Attributes:
        digest: The candidate's.
        grade_reason: Why the latency has its grade.
        divergence: Mean squared error of the outputs against FP32's, relative to their variance.
        model_bytes: Size of the ONNX file.
        kernels: Layer name to the runtime kernels that execute it.
        ranks: Layer name to rank, for factorized layers.
        rounding: Relative difference of outputs with graph optimizations on and off.
        readings: Ratios at the speeds that the target had meanwhile, of this candidate and of one that was measured
            again because of it: the fields of `latency.elasticity.SpeedReading`.
    """

    digest: str
    grade_reason: str
    divergence: float
    model_bytes: int
    kernels: Mapping[str, Sequence[str]] = field(default_factory=dict)
    ranks: Mapping[str, int] = field(default_factory=dict)
    rounding: float = 0.0
    readings: Sequence[Mapping[str, Any]] = ()

    @property
    def values(self) -> tuple[float, float]:
        """The two objectives: latency in ms, or instructions (down), and metric (up)."""
        return self.cost, self.metric

    def to_attribute(self) -> dict[str, Any]:
        """As a JSON-able user attribute."""
        found = {**without_missing(asdict(self)), "kernels": {k: list(v) for k, v in self.kernels.items()}}
        return {name: value for name, value in found.items() if name != "readings" or value}


def is_finished(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether the trial counts towards the number asked for: it has figures, was stopped, or failed for a reason."""
    return trial.state.name in _STATES and (trial.state.name != "FAIL" or REASON in trial.user_attrs)


def is_unfinished(trial: "optuna.trial.FrozenTrial") -> bool:
    """Whether the trial ended without saying anything about its policy: interrupted, or put off for a second try."""
    return trial.state.name == "FAIL" and not {REASON, DUPLICATE_OF, YIELDED_TO} & set(trial.user_attrs)


def count_finished(trials: Sequence["optuna.trial.FrozenTrial"]) -> int:
    """How many trials count towards the number asked for."""
    return sum(is_finished(trial) for trial in trials)


def outcomes_of(trials: Sequence["optuna.trial.FrozenTrial"]) -> list[Outcome]:
    """The outcomes of completed trials."""
    return [Outcome(**trial.user_attrs[OUTCOME]) for trial in trials if trial.state.name == "COMPLETE"]


def params_of(trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
    """The trial's parameters as the space knows them; the first studies gave bits as numbers."""
    return {
        name: _FIRST_BITS.get(value, value) if name.startswith("bits/") else value
        for name, value in trial.params.items()
    }


def policies_by_digest(trials: Sequence["optuna.trial.FrozenTrial"], space: SearchSpace) -> dict[str, Policy]:
    """Candidate digest to the policy that built it, for completed trials; untrained and trained candidates alike."""
    return {
        digest: space.policy(params_of(trial))
        for trial in trials
        if trial.state.name == "COMPLETE"
        for digest in (built_digest(trial), trial.user_attrs[OUTCOME]["digest"])
    }


def built_digest(trial: "optuna.trial.FrozenTrial") -> str:
    """The digest of the candidate that the trial's policy gives untrained; empty where there is none."""
    outcome = untrained_of(trial)
    return "" if outcome is None else str(outcome.get("digest", ""))


def untrained_of(trial: "optuna.trial.FrozenTrial") -> Mapping[str, Any] | None:
    """What was taken of the trial's candidate untrained, as its attribute has it; None where nothing was."""
    trained = trial.user_attrs.get(TRAINED_FROM)
    found: Mapping[str, Any] | None = trial.user_attrs.get(OUTCOME) if trained is None else trained["outcome"]
    return found


def read_points(trials: Sequence["optuna.trial.FrozenTrial"], space: SearchSpace) -> list[TrialPoint]:
    """Finished trials as points, in the order of their numbers; duplicates and interrupted trials left out."""
    return [_point(trial, space) for trial in trials if is_finished(trial)]


def _point(trial: "optuna.trial.FrozenTrial", space: SearchSpace) -> TrialPoint:
    policy = space.policy(params_of(trial))
    outcome = trial.user_attrs.get(OUTCOME, {})
    figures: dict[str, Any] = {name: float(outcome.get(name, math.nan)) for name in FIGURE_NAMES}
    figures["instructions"] = outcome.get("instructions")
    return TrialPoint(
        number=trial.number,
        digest=str(outcome.get("digest", "")),
        grade=str(outcome.get("grade", "")),
        model_bytes=outcome.get("model_bytes"),
        state=_STATES[trial.state.name],
        reason=str(trial.user_attrs.get(REASON, "")),
        label=str(trial.user_attrs.get(LABEL, "")),
        policy_summary=summarize(policy),
        layers={name: _shown(policy[name]) for name in space.layers},
        **figures,
        **_training(trial),
    )


def _training(trial: "optuna.trial.FrozenTrial") -> dict[str, Any]:
    """The fields of a trained candidate; none of another."""
    trained = trial.user_attrs.get(TRAINED_FROM)
    if trained is None or trial.state.name != "COMPLETE":
        return {}
    said = how_recovered(Lineage.from_dict(trained["lineage"]))
    return {"recovered_from": trained["outcome"]["digest"], "recovery": said, "trained_in_search": True}


def _shown(choice: LayerPolicy) -> dict[str, Any]:
    """A layer's choice as reports show it; a rank only where the layer was factorized."""
    rank = choice.rank if choice.rank < 1.0 else None
    return {"bits": choice.weight_bits, "format": choice.format, "sparsity": choice.sparsity, "rank": rank}
