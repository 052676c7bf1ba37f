"""What is worth a training: all that may come to something, and whatever the search must beat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from search.recovery.promise import Promise
from search.trial.rivals import Rival, Rivals

SCORES = np.array([1.0, 0.0])


def rivals(*points: tuple[float, float]) -> Rivals:
    found = Rivals()
    for number, (cost, metric) in enumerate(points):
        found.add(Rival(number=number, cost_ratio=cost, cost_ratio_high=1.01 * cost, metric=metric, scores=None))
    return found


def promise(**changes: Any) -> Promise:
    values: dict[str, Any] = {"rivals": rivals((1.0, 0.99), (0.1, 0.97), (0.05, 0.9)), "samples": 2, "hope": 0.95}
    return Promise(**{**values, **changes})


def test_what_a_cheaper_one_is_better_than_even_if_its_training_goes_well_is_given_up() -> None:
    watch = promise()
    assert watch.verdict(SCORES, 0.2) == watch.reason
    assert watch.reason == (
        "not trained: #1 scores 0.97 at no higher cost, and this is expected to come to 0.95 at best; "
        "that costs at most 0.101 of FP32 and this at least 0.200"
    )


@pytest.mark.parametrize(
    ("changes", "cost"),
    [({}, 0.08), ({}, 0.1005), ({"hope": 0.98}, 0.2), ({"hope": None}, 0.2), ({"may_stop": False}, 0.2)],
    ids=["what is better costs more", "or may", "it may be better", "nothing is known of trainings", "it is a line"],
)
def test_whatever_may_come_to_something_is_trained(changes: dict[str, Any], cost: float) -> None:
    watch = promise(**changes)
    assert not watch.verdict(SCORES, cost)
    assert not watch.reason


def test_to_answer_like_chance_untrained_is_no_reason() -> None:
    assert not promise(hope=0.98).verdict(np.zeros(2), 0.2)


def test_its_cost_is_measured_where_no_prediction_can_be_relied_on() -> None:
    watch = promise()
    assert not watch.verdict(SCORES)
    assert watch.wants_cost
    assert promise(predicted_low=0.2).verdict(SCORES).endswith("at least 0.200, as predicted")


def test_its_divergence_is_known_before_it_is_given_up() -> None:
    assert not promise(predicted_low=0.2).verdict(np.zeros(0), 0.2)
