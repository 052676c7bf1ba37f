"""A sum is learned from few observations, its noise from the observations themselves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from search.layers.effects import Effect
from search.layers.graph import LayerGraph
from search.samplers.frontier.design import build_design
from search.samplers.frontier.energy import Choices
from search.samplers.frontier.priors import Priors
from search.samplers.frontier.regression import Regression
from search.samplers.frontier.variables import Variables, lay_out
from search.space.space import Knob, SearchSpace

LAYERS = tuple(f"l{index}" for index in range(8))
MISFITS = (0.003, 0.03, 0.3)


@pytest.fixture(scope="module")
def variables() -> Variables:
    knobs = tuple(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "fp16", "int8")) for name in LAYERS)
    graph = LayerGraph(macs=dict.fromkeys(LAYERS, 10), neighbours=tuple(pairwise(LAYERS)))
    return lay_out(SearchSpace(layers=LAYERS, knobs=knobs), graph)


def truth(choices: Choices) -> np.ndarray:
    """Layers differ, and a change of format costs."""
    saved = np.outer(1.0 + np.arange(8), [0.0, 0.3, 0.7]) / 36.0
    changes = (choices[:, :-1] != choices[:, 1:]).sum(axis=1)
    return 1.0 - saved[np.arange(8), choices].sum(axis=1) + 0.02 * changes


def learned(variables: Variables, count: int, noise: float, seed: int = 0) -> Regression:
    rng = np.random.default_rng(seed)
    regression = Regression(design=build_design(variables, Priors(kind="cost")), misfits=MISFITS)
    for choices in rng.integers(0, 3, (count, 8)):
        exact = float(truth(choices[None])[0])
        regression.add(choices, exact * (1 + noise * rng.normal()), 0.0)
        regression.predict(choices[None])  # a search looks after every trial: most are updates, some are fits
    return regression


def error(regression: Regression) -> float:
    unseen = np.random.default_rng(99).integers(0, 3, (100, 8))
    return float(np.median(np.abs(regression.predict(unseen)[0] / truth(unseen) - 1.0)))


def test_each_observation_makes_it_better(variables: Variables) -> None:
    errors = [error(learned(variables, count, 0.002)) for count in (0, 5, 20, 80)]
    assert errors == sorted(errors, reverse=True)
    assert errors[0] > 0.05
    assert errors[-1] < 0.005


def test_noise_makes_it_doubt(variables: Variables) -> None:
    at = np.zeros((1, 8), np.int64) + 1
    calm, noisy = (learned(variables, 60, noise).predict(at)[1][0] for noise in (0.002, 0.2))
    assert noisy > 5 * calm


def test_its_own_doubt_covers_its_errors(variables: Variables) -> None:
    unseen = np.random.default_rng(98).integers(0, 3, (200, 8))
    for count in (10, 40):
        mean, deviation = learned(variables, count, 0.03).predict(unseen)
        assert 0.3 < np.sqrt(np.mean(np.square((mean - truth(unseen)) / deviation))) < 1.6


def test_a_measurement_s_own_deviation_counts(variables: Variables) -> None:
    at = np.ones((1, 8), np.int64)
    expected = []
    for deviation in (0.001, 1.0):
        regression = Regression(design=build_design(variables, Priors(kind="cost")), misfits=(0.001,))
        regression.add(at[0], 2.0, deviation)
        expected.append(regression.predict(at)[0][0])
    assert expected[0] == pytest.approx(2.0, abs=0.02)
    assert expected[1] < 1.0  # the prior's 0.7 and a little


def test_a_few_policies_that_turn_all_layers_say_something_of_each(variables: Variables) -> None:
    """Damage whose size nobody knew: from all layers in int8 follows about what one layer in int8 does."""
    for size in (0.001, 1.0):
        regression = Regression(design=build_design(variables, Priors(kind="damage")), misfits=MISFITS)
        for choice in range(3):
            regression.add(np.full(8, choice), size * choice / 2, 0.0)
        one = np.zeros((1, 8), np.int64)
        one[0, 3] = 2
        assert regression.predict(one)[0][0] == pytest.approx(size / 8, rel=0.25)


def test_a_sweep_is_believed_until_trials_say_otherwise(variables: Variables) -> None:
    effects = {(knob.name, "int8"): Effect(mean=0.01, deviation=0.003) for knob in variables.knobs}
    design = build_design(variables, Priors(kind="damage", effects=effects))
    regression = Regression(design=design, misfits=MISFITS)
    int8 = np.full((1, 8), 2)
    assert regression.predict(int8)[0][0] == pytest.approx(0.08)
    regression.add(int8[0], 0.12, 0.0)
    assert regression.predict(int8)[0][0] == pytest.approx(0.12, rel=0.1)
    one = np.zeros((1, 8), np.int64)
    one[0, 0] = 2
    assert 0.01 < regression.predict(one)[0][0] < 0.02


def test_samples_stray_by_a_root_of_the_knobs_less_than_is_believed(variables: Variables) -> None:
    regression = Regression(design=build_design(variables, Priors(kind="cost")), misfits=MISFITS)
    uniform = np.full((1, len(LAYERS)), 2)  # without changes of format, which no sample makes a gain of
    generator = np.random.default_rng(0)
    drawn = [float(regression.draw(generator).values(uniform)[0]) for _ in range(2000)]
    believed = float(regression.predict(uniform)[1][0])
    assert np.std(drawn) == pytest.approx(believed / np.sqrt(len(LAYERS)), rel=0.1)
