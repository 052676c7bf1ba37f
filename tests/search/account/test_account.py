"""How a search went: convergence, the model's fit and the layers' worth, read from a study alone."""

from __future__ import annotations

import datetime as dt
import itertools
import math
from typing import Any

import optuna
import pytest

from search.account.account import account_of
from search.account.convergence import REFERENCE_RATIO, converge
from search.account.prediction_fit import Foreseen, PredictionFit, fit_of
from search.layers.graph import LayerGraph, record_layer_graph
from search.point import FP32_LABEL, TrialPoint
from search.space.space import Knob, SearchSpace
from search.trial.predictions import PREDICTED

START = dt.datetime(2026, 11, 20, 21, tzinfo=dt.UTC)
LAYERS = tuple(f"conv{number}" for number in range(6))
SAVES = dict(zip(LAYERS, (0.01, 0.30, 0.02, 0.15, 0.08, -0.05), strict=True))
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(Knob(name=f"bits/{layer}", layers=(layer,), choices=("fp32", "int8")) for layer in LAYERS),
)


def trial(number: int, params: dict[str, str], **attributes: Any) -> optuna.trial.FrozenTrial:
    begin = (START + dt.timedelta(seconds=10 * number)).astimezone().replace(tzinfo=None)
    distribution = optuna.distributions.CategoricalDistribution(("fp32", "int8"))
    made = optuna.trial.create_trial(
        params=params, distributions=dict.fromkeys(params, distribution), values=[1.0, 0.9], user_attrs=attributes
    )
    made.number, made.datetime_start, made.datetime_complete = number, begin, begin + dt.timedelta(seconds=10)
    return made


def outcome(ratio: float, drop: float, digest: str) -> dict[str, Any]:
    return {
        "digest": digest, "grade": "clean", "grade_reason": "", "latency_ms": 2 * ratio, "latency_ratio": ratio,
        "latency_ratio_low": 0.995 * ratio, "latency_ratio_high": 1.005 * ratio, "metric": 0.9 - drop,
        "metric_drop": drop, "metric_drop_low": drop - 0.002, "metric_drop_high": drop + 0.002, "model_bytes": 1000,
        "divergence": drop,
    }  # fmt: skip


@pytest.fixture
def study() -> optuna.Study:
    """Layers that save what `SAVES` says, each alone, tried in many mixes."""
    from search.study.space_record import adopt_space

    made = optuna.create_study(directions=["minimize", "maximize"], study_name="made up")
    adopt_space(made, SPACE, "nowhere")  # type: ignore[arg-type]  # named in errors only
    chain = tuple(itertools.pairwise(LAYERS))
    record_layer_graph(made, LayerGraph(neighbours=chain, macs=dict.fromkeys(LAYERS, 1000)))
    for number in range(40):
        mixed = number if number < 1 else (number * 37 + 11) % 64
        params = {f"bits/{name}": ("fp32", "int8")[mixed >> at & 1] for at, name in enumerate(LAYERS)}
        fast = [name for name in LAYERS if params[f"bits/{name}"] == "int8"]
        ratio, drop = 1 - sum(SAVES[name] for name in fast), 0.002 * len(fast)
        label = {"label": FP32_LABEL} if not number else {}
        made.add_trial(trial(number, params, outcome=outcome(ratio, drop, f"{number:064x}"), **label))
    return made


def test_layers_are_ranked_by_what_they_save(study: optuna.Study) -> None:
    account = account_of(study, SPACE, [START])
    assert [worth.layer for worth in account.worths[:3]] == ["conv1", "conv3", "conv4"]
    assert account.worths[-1].layer == "conv5"
    assert account.worths[-1].saved_share < 0
    for worth in account.worths:
        assert worth.saved_share == pytest.approx(SAVES[worth.layer], abs=0.02)
        assert worth.format == "int8"
        assert 0 <= worth.chosen <= worth.front_size
    assert account.worths[0].chosen == max(worth.chosen for worth in account.worths)


def test_the_harm_that_was_measured_stands_beside(study: optuna.Study) -> None:
    from search.layers.effects import Effect, record_damage_effects

    record_damage_effects(study, {("bits/conv1", "int8"): Effect(mean=0.003, deviation=0.001)})
    worths = {worth.layer: worth for worth in account_of(study, SPACE, [START]).worths}
    assert worths["conv1"].divergence == 0.003
    assert worths["conv3"].divergence is None


def test_a_study_of_an_older_paretune_has_no_ranking_and_everything_else() -> None:
    made = optuna.create_study(directions=["minimize", "maximize"])
    made.set_user_attr("layers", list(LAYERS))
    for number in range(12):
        fast = number % 7
        params = {f"bits/{name}": "int8" if at < fast else "fp32" for at, name in enumerate(LAYERS)}
        label = {"label": FP32_LABEL} if not number else {}
        made.add_trial(trial(number, params, outcome=outcome(1 - 0.1 * fast, 0.01 * fast, f"{number:064x}"), **label))
    account = account_of(made, SPACE, [START])
    assert account.worths == ()
    assert account.fit is None
    assert account.convergence is not None


def points(*pairs: tuple[float, float], state: str = "complete") -> list[TrialPoint]:
    made = []
    for number, (ratio, drop) in enumerate(pairs):
        figures = {name: value for name, value in outcome(ratio, drop, f"{number:064x}").items() if name in FIELDS}
        made.append(TrialPoint(number=number, state=state, label=FP32_LABEL if not number else "", **figures))
    return made


FIELDS = {
    "digest", "grade", "latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high", "metric",
    "metric_drop", "metric_drop_low", "metric_drop_high", "model_bytes",
}  # fmt: skip


def trials(count: int, gap: int = 0) -> list[optuna.trial.FrozenTrial]:
    made = [trial(number, {}, outcome={}) for number in range(count)]
    for late in made[2:]:
        late.datetime_start += dt.timedelta(seconds=gap)
        late.datetime_complete += dt.timedelta(seconds=gap)
    return made


def test_the_hypervolume_is_the_area_from_the_stated_point() -> None:
    found = converge(trials(4), points((1.0, 0.0), (0.5, 0.01), (0.8, 0.02), (0.25, 0.02)), [START])
    assert found is not None
    reference = 1.1 * 0.022
    assert found.reference_drop == pytest.approx(reference)
    first = (REFERENCE_RATIO - 0.5) * (reference - 0.01)
    assert [step.hypervolume for step in found.steps] == pytest.approx(
        [0.0, first, first, first + (0.5 - 0.25) * (reference - 0.02)]
    )
    assert [step.trials for step in found.steps] == [1, 2, 3, 4]
    assert [step.seconds for step in found.steps] == [10, 20, 30, 40]
    assert found.reaching(0.5).trials == 2
    assert found.reaching(1.0).trials == 4


def test_a_pause_between_sessions_is_left_out() -> None:
    pairs = ((1.0, 0.0), (0.5, 0.01), (0.8, 0.02), (0.25, 0.02))
    found = converge(trials(4, gap=5000), points(*pairs), [START, START + dt.timedelta(seconds=5020)])
    assert found is not None
    assert [step.seconds for step in found.steps] == [10, 20, 30, 40]


def test_a_search_that_found_nothing_faster_has_no_hypervolume() -> None:
    assert converge(trials(2), points((1.0, 0.0), (1.2, 0.01)), [START]) is None
    assert converge([], [], [START]) is None


def test_what_never_ranks_counts_as_a_trial_and_adds_nothing() -> None:
    some = points((1.0, 0.0), (0.5, 0.01), (0.1, -0.5))
    stopped = TrialPoint(number=2, digest="", state="pruned", metric_drop=-0.5, latency_ratio=0.1)
    found = converge(trials(3), [*some[:2], stopped], [START])
    assert found is not None
    assert [step.trials for step in found.steps] == [1, 2, 3]
    assert found.steps[1].hypervolume == found.steps[2].hypervolume


def test_predictions_stand_beside_what_was_taken() -> None:
    predicted = [None, 0.55, 0.80, 0.50]
    made = trials(4)
    for one, ratio in zip(made, predicted, strict=True):
        if ratio is not None:
            one.set_user_attr(PREDICTED, {"cost_ratio": ratio, "cost_deviation": 0.02})
    some = points((1.0, 0.0), (0.5, 0.01), (0.8, 0.02), (0.25, 0.02))
    fit = fit_of(made, some)
    assert fit is not None
    assert [one.error for one in fit.predictions] == pytest.approx([0.1, 0.0, 1.0])
    assert fit.median_error == pytest.approx(0.1)
    assert fit.within(0.05) == pytest.approx(1 / 3)
    assert fit.within(0.11) == pytest.approx(2 / 3)
    unmeasured = TrialPoint(number=3, digest="", state="pruned")
    assert math.isnan(unmeasured.cost_ratio)
    again = fit_of(made, [*some[:3], unmeasured])
    assert again is not None
    assert len(again.predictions) == 2
    assert fit_of(trials(4), some) is None


def test_half_of_the_predictions_are_at_least_as_close_as_the_median() -> None:
    fit = PredictionFit(predictions=tuple(Foreseen(number=i, predicted=1 + i / 100, measured=1.0) for i in range(101)))
    assert fit.within(fit.median_error + 1e-9) >= 0.5
