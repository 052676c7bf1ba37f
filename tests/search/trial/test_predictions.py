"""Predictions are trusted as far as they were right, and not where there is no precedent."""

from __future__ import annotations

import math

import numpy as np
import pytest

from search.trial.predictions import LEAST_RECORD, PREDICTED, Prediction, PredictionRecord


def record_of(errors: list[float], deviation: float = 0.02) -> PredictionRecord:
    record = PredictionRecord()
    for error in errors:
        record.add(Prediction(cost_ratio=0.5, cost_deviation=deviation), 0.5 * math.exp(error))
    return record


def test_nothing_is_trusted_before_there_is_a_record() -> None:
    prediction = Prediction(cost_ratio=0.5, cost_deviation=0.02)
    assert record_of([0.01, -0.01] * (LEAST_RECORD // 2 - 1)).lowest(prediction) is None
    low = record_of([0.01, -0.01] * (LEAST_RECORD // 2)).lowest(prediction)
    assert low is not None
    assert 0.45 < low < 0.49


def test_a_model_that_was_wrong_is_trusted_less() -> None:
    prediction = Prediction(cost_ratio=0.5, cost_deviation=0.02)
    good, bad = record_of([0.01, -0.01] * 20).lowest(prediction), record_of([0.2, -0.2] * 20).lowest(prediction)
    assert good is not None
    assert bad is not None
    assert bad < 0.5 * math.exp(-0.2) < good


def test_one_gross_error_is_the_limit_as_long_as_it_is_remembered() -> None:
    prediction = Prediction(cost_ratio=0.5, cost_deviation=0.02)
    low = record_of([-1.0, *([0.01, -0.01] * 40)]).lowest(prediction)
    assert low is not None
    assert low <= 0.5 * math.exp(-1.0)
    low = record_of([-1.0, *([0.01, -0.01] * 60)]).lowest(prediction)
    assert low is not None
    assert low > 0.45


def test_costs_that_were_predicted_too_low_do_no_harm() -> None:
    prediction = Prediction(cost_ratio=0.5, cost_deviation=0.02)
    low = record_of([0.01, -0.01, 1.5] * 10).lowest(prediction)
    assert low is not None
    assert low > 0.45


@pytest.mark.parametrize(("ratio", "deviation"), [(0.5, 0.03), (0.05, 0.003), (0.0, 0.001), (-0.1, 0.02)])
def test_a_prediction_with_more_doubt_than_any_before_has_no_precedent(ratio: float, deviation: float) -> None:
    record = record_of([0.01, -0.01] * 20)
    assert record.lowest(Prediction(cost_ratio=ratio, cost_deviation=deviation)) is None


@pytest.mark.parametrize("spread", [0.02, 0.2])
def test_few_candidates_cost_less_than_the_lowest_cost(spread: float) -> None:
    """As often as it says for normal errors, a twentieth at most for others, which have more outliers."""
    generator = np.random.default_rng(0)
    for draw, most in ((generator.standard_normal, 0.012), (lambda: generator.standard_t(3), 0.05)):
        below = 0
        for _ in range(600):
            record = record_of([spread * draw() for _ in range(30)])
            low = record.lowest(Prediction(cost_ratio=0.5, cost_deviation=0.02))
            assert low is not None
            below += 0.5 * math.exp(spread * draw()) < low
        assert below / 600 <= most


def test_a_prediction_goes_through_a_trials_attributes() -> None:
    prediction = Prediction(cost_ratio=0.5, cost_deviation=0.02)
    assert Prediction.from_attributes({PREDICTED: prediction.to_attribute()}) == prediction
    for strange in (None, 0.5, {}, {"cost_ratio": "0.5", "cost_deviation": 0.1}, {"cost_ratio": math.nan}):
        assert Prediction.from_attributes({PREDICTED: strange}) is None
    assert Prediction.from_attributes({}) is None
