"""What a study's trials say, as far as a sampler needs it; each is read once."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from search.errors import SearchError
from search.samplers.frontier.energy import Choices
from search.samplers.frontier.neighbourhood import key
from search.samplers.frontier.variables import Variables
from search.study.trials import OUTCOME, untrained_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import optuna

# A 95% interval spans this many standard deviations of a normal.
_INTERVAL = 2 * 1.959964

# Outputs this far from FP32's, in units of their variance, are rubbish; how much of it, even infinitely much, is noise.
_MOST_DIVERGENCE = 10.0


@dataclass(frozen=True, kw_only=True)
class Observed:
    """A finished trial.

    Attributes:
        choices: Of every knob.
        cost_ratio: To FP32's; NaN where it was not taken.
        cost_deviation: Standard deviation of its measurement.
        divergence: From FP32's outputs, of the candidate as its policy gives it; NaN where it was not taken.
        metric: The user's; NaN where it was not taken.
        constraints: By name; up to 0 is allowed.
        is_partial: Whether the trial was stopped: divergence and metric are of some of the samples.
        final_divergence: Of the candidate that the metric is of: where the study trains its candidates, of the trained
            one, and NaN where the trial was stopped before.
    """

    choices: Choices
    cost_ratio: float
    cost_deviation: float
    divergence: float
    metric: float
    constraints: Mapping[str, float]
    is_partial: bool = False
    final_divergence: float = math.nan


@dataclass(kw_only=True, eq=False)
class TrialReader:
    """Reads a study's trials, the new ones only.

    Attributes:
        variables: What their parameters mean.
        trains: Whether the study trains its candidates.
        seen: Keys of all assignments that were ever asked for, whatever became of them.
    """

    variables: Variables
    trains: bool = False
    seen: set[bytes] = field(default_factory=set)
    _next: int = 0
    _unfinished: set[int] = field(default_factory=set)

    def read(self, study_name: str, trials: "Sequence[optuna.trial.FrozenTrial]") -> Iterator[Observed]:
        """Those that have finished since the last call, oldest first.

        Args:
            study_name: For messages.
            trials: All of the study, by number.

        Raises:
            SearchError: A completed trial has no figures: another program wrote it.
        """
        waiting = sorted(self._unfinished)
        self._unfinished.clear()
        for number in (*waiting, *range(self._next, len(trials))):
            trial = trials[number]
            choices = self.variables.encode(trial.params)
            if choices is not None:
                self.seen.add(key(choices))
            if not trial.state.is_finished():
                self._unfinished.add(number)
            elif choices is not None and trial.state.name in {"COMPLETE", "PRUNED"}:
                yield self._observe(study_name, trial, choices)
        self._next = len(trials)

    def _observe(self, study_name: str, trial: "optuna.trial.FrozenTrial", choices: Choices) -> Observed:
        outcome = trial.user_attrs.get(OUTCOME, {})
        ratio, low, high = (_ratio(outcome, end) for end in ("", "_low", "_high"))
        figures = {"divergence": _divergence(outcome), "metric": float(outcome.get("metric", math.nan))}
        if trial.state.name == "COMPLETE" and any(map(math.isnan, (ratio, *figures.values()))):
            raise SearchError(
                f"the study {study_name!r} is not the frontier sampler's: trial {trial.number} has no outcome with a "
                f"cost ratio, a divergence and a metric (user attribute {OUTCOME!r}); choose another sampler"
            )
        deviation = (high - low) / _INTERVAL
        is_partial = trial.state.name == "PRUNED"
        return Observed(
            choices=choices,
            cost_ratio=ratio,
            cost_deviation=0.0 if math.isnan(deviation) else deviation,
            constraints=trial.constraints,
            divergence=_divergence(untrained_of(trial) or {}),
            metric=figures["metric"],
            is_partial=is_partial,
            final_divergence=math.nan if is_partial and self.trains else figures["divergence"],
        )


def _divergence(outcome: Mapping[str, float]) -> float:
    return min(float(outcome.get("divergence", math.nan)), _MOST_DIVERGENCE)


def _ratio(outcome: Mapping[str, float], end: str) -> float:
    """A figure of the cost that was taken, time or instructions."""
    return float(outcome.get(f"latency_ratio{end}", outcome.get(f"instructions_ratio{end}", math.nan)))
