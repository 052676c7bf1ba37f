"""What a trial leaves in the study, and points read back from it."""

from __future__ import annotations

import json
import math
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution
from optuna.trial import TrialState, create_trial

from search.space.space import Knob, SearchSpace
from search.study.partial import PartialOutcome, is_partial
from search.study.trials import (
    Outcome,
    count_finished,
    is_finished,
    is_unfinished,
    outcomes_of,
    policies_by_digest,
    read_points,
)

SPACE = SearchSpace(layers=("l0", "l1"), knobs=(Knob(name="bits/l0", layers=("l0",), choices=("fp32", "int8")),))
OUTCOME = Outcome(
    digest="abc", latency_ms=1.5, latency_ratio=0.5, latency_ratio_low=0.49, latency_ratio_high=0.51, grade="clean",
    grade_reason="quiet", metric=0.9, metric_drop=0.01, metric_drop_low=0.0, metric_drop_high=0.02, divergence=0.1,
    model_bytes=1000, kernels={"l0": ("QLinearConv",)}, ranks={"l0": 16}, rounding=0.001,
)  # fmt: skip


def trial(state: TrialState, attributes: dict[str, Any]) -> optuna.trial.FrozenTrial:
    made = create_trial(
        state=state,
        values=OUTCOME.values if state == TrialState.COMPLETE else None,
        params={"bits/l0": "int8"},
        distributions={"bits/l0": CategoricalDistribution(("fp32", "int8"))},
        user_attrs=attributes,
    )
    made.number = 7
    return made


COMPLETE = trial(TrialState.COMPLETE, {"outcome": OUTCOME.to_attribute(), "label": "all 8-bit"})
FAILED = trial(TrialState.FAIL, {"reason": "did not load"})
OTHERS = [
    trial(TrialState.FAIL, {"duplicate_of": "abc"}),
    trial(TrialState.FAIL, {"outcome": OUTCOME.to_attribute()}),
    trial(TrialState.FAIL, {"postponed": "noise"}),
    trial(TrialState.RUNNING, {"reason": "did not load"}),
]


def test_an_outcome_survives_its_json() -> None:
    (back,) = outcomes_of([COMPLETE])
    assert json.loads(json.dumps(OUTCOME.to_attribute())) == back.to_attribute() == OUTCOME.to_attribute()
    assert back.values == (1.5, 0.9)


def test_figures_and_failures_count_and_nothing_else_does() -> None:
    assert is_finished(COMPLETE)
    assert is_finished(FAILED)
    assert count_finished([COMPLETE, FAILED, *OTHERS]) == 2
    assert [outcome.digest for outcome in outcomes_of([COMPLETE, FAILED, *OTHERS])] == ["abc"]


def test_what_ended_without_a_word_about_its_policy_is_unfinished() -> None:
    assert [is_unfinished(each) for each in (COMPLETE, FAILED, *OTHERS)] == [False, False, False, True, True, False]


def test_points_say_what_was_tried_and_what_came_of_it() -> None:
    complete, failed = read_points([COMPLETE, *OTHERS, FAILED], SPACE)
    assert (complete.digest, complete.state, complete.label) == ("abc", "complete", "all 8-bit")
    assert (complete.latency_ratio, complete.metric_drop, complete.model_bytes) == (0.5, 0.01, 1000)
    assert complete.layers == {
        "l0": {"bits": 8, "format": "int8", "sparsity": 0.0, "rank": None},
        "l1": {"bits": 32, "format": "fp32", "sparsity": 0.0, "rank": None},
    }
    assert complete.policy_summary == "1 of 2 layers int8"
    assert (failed.state, failed.reason, failed.digest, failed.model_bytes) == ("failed", "did not load", "", None)
    assert math.isnan(failed.latency_ms)


def test_a_candidates_policy_is_found_by_its_digest() -> None:
    policies = policies_by_digest([COMPLETE, FAILED, *OTHERS], SPACE)
    assert list(policies) == ["abc"]
    assert [policies["abc"][name].weight_bits for name in ("l0", "l1")] == [8, 32]


STOPPED = PartialOutcome(
    digest="abc", samples=32, metric=0.2, metric_drop=0.7, metric_drop_low=0.5, metric_drop_high=0.8, divergence=1.2,
    model_bytes=1000, kernels={"l0": ("QLinearConv",)}, reason="dominated by #1",
)  # fmt: skip


def test_a_stopped_trial_is_a_finished_point_with_what_was_taken_and_no_outcome() -> None:
    stopped = trial(TrialState.PRUNED, {"outcome": STOPPED.to_attribute(), "reason": STOPPED.reason})
    assert is_finished(stopped)
    assert not is_unfinished(stopped)
    assert count_finished([stopped, COMPLETE, FAILED]) == 3
    assert outcomes_of([stopped]) == []
    assert policies_by_digest([stopped], SPACE) == {}
    (point,) = read_points([stopped], SPACE)
    assert (point.state, point.reason, point.digest) == ("pruned", "dominated by #1", "abc")
    assert (point.metric, point.metric_drop_high) == (0.2, 0.8)
    assert math.isnan(point.latency_ratio)
    assert not point.rankable


def test_what_was_taken_of_a_stopped_trial_is_told_from_a_whole_outcome() -> None:
    attribute = json.loads(json.dumps(STOPPED.to_attribute()))
    assert is_partial(attribute)
    assert not is_partial(json.loads(json.dumps(OUTCOME.to_attribute())))
    assert attribute["samples"] == 32
    assert not {"latency_ms", "latency_ratio", "grade", "grade_reason", "reason"} & set(attribute)
