"""From readings of some choices to effects of more of them, each as sure as it can be."""

from __future__ import annotations

import math

import pytest

from search.layers.effects import Effect
from search.space.space import Knob, SearchSpace
from search.sweep.readings import MISFIT, Reading, count_settled, effects_of, next_between

RATIOS = Knob(name="sparsity/a", layers=("a",), choices=(0.0, 0.2, 0.4, 0.6, 0.8, 1.0))
BITS = Knob(name="bits/a", layers=("a",), choices=("fp32", "int8"))
SPACE = SearchSpace(layers=("a",), knobs=(BITS, RATIOS))


def at(ratio: float, mean: float, error: float = 0.0) -> dict[tuple[str, float | str], Reading | None]:
    return {("sparsity/a", ratio): Reading(mean=mean, standard_error=error)}


def relative(effect: Effect) -> float:
    return effect.deviation / effect.mean


def test_a_measured_choice_may_be_off_by_what_sums_miss_and_by_its_samples() -> None:
    effects = effects_of(SPACE, {("bits/a", "int8"): Reading(mean=0.1, standard_error=0.04)})
    assert effects == {("bits/a", "int8"): Effect(mean=0.1, deviation=math.hypot(MISFIT * 0.1, 0.04))}


def test_between_two_measured_choices_damage_grows_by_factors_and_is_less_certain() -> None:
    effects = effects_of(SPACE, {**at(0.2, 0.001), **at(0.8, 0.064)})
    means = [effects["sparsity/a", ratio].mean for ratio in (0.2, 0.4, 0.6, 0.8)]
    assert means == pytest.approx([0.001, 0.004, 0.016, 0.064])
    ends, middle = relative(effects["sparsity/a", 0.2]), relative(effects["sparsity/a", 0.4])
    assert ends == pytest.approx(MISFIT)
    assert middle > 1.5 * ends


def test_the_nearest_measured_choices_count() -> None:
    rough = effects_of(SPACE, {**at(0.2, 0.001), **at(0.8, 0.064)})
    finer = effects_of(SPACE, {**at(0.2, 0.001), **at(0.6, 0.002), **at(0.8, 0.064)})
    assert finer["sparsity/a", 0.4].mean == pytest.approx(math.sqrt(0.001 * 0.002))
    assert relative(finer["sparsity/a", 0.4]) < relative(rough["sparsity/a", 0.4])


def test_nothing_is_said_beyond_what_was_measured() -> None:
    assert set(effects_of(SPACE, at(0.4, 0.01))) == {("sparsity/a", 0.4)}
    assert ("sparsity/a", 1.0) not in effects_of(SPACE, {**at(0.2, 0.001), **at(0.8, 0.064)})


def test_a_choice_that_cannot_be_measured_has_no_effect_and_none_is_made_up_for_it() -> None:
    effects = effects_of(SPACE, {**at(0.2, 0.001), ("sparsity/a", 0.4): None, **at(0.8, 0.064)})
    assert set(effects) == {("sparsity/a", ratio) for ratio in (0.2, 0.6, 0.8)}


def test_a_choice_that_changes_nothing_has_an_effect_of_nothing() -> None:
    effects = effects_of(SPACE, {**at(0.2, 0.0), **at(0.8, 0.0)})
    assert effects["sparsity/a", 0.2].mean == 0.0
    assert all(0 < effect.deviation < 1e-6 and effect.mean < 1e-6 for effect in effects.values())


def test_what_lies_between_ends_far_apart_is_measured_the_least_certain_first() -> None:
    readings = {**at(0.2, 1e-5), **at(0.8, 0.1), ("bits/a", "int8"): Reading(mean=0.1, standard_error=0.0)}
    readings[("sparsity/a", 1.0)] = Reading(mean=1.0, standard_error=0.0)
    assert next_between(SPACE, readings) in {("sparsity/a", 0.4), ("sparsity/a", 0.6)}
    assert count_settled(SPACE, readings) == 4
    readings |= at(0.4, 5e-3)
    assert next_between(SPACE, readings) == ("sparsity/a", 0.6)
    readings |= at(0.6, 2e-2)
    assert next_between(SPACE, readings) is None
    assert count_settled(SPACE, readings) == 6


def test_what_lies_between_ends_close_together_is_not_measured() -> None:
    readings = {**at(0.2, 0.01), **at(0.8, 0.02)}
    assert next_between(SPACE, readings) is None
    assert count_settled(SPACE, readings) == 4


def test_where_an_end_cannot_be_measured_what_is_left_of_the_axis_is() -> None:
    readings = {**at(0.2, 0.01), ("sparsity/a", 0.8): None}
    assert next_between(SPACE, readings) == ("sparsity/a", 0.4)


@pytest.mark.parametrize(("mean", "error"), [(math.nan, 0.1), (-0.1, 0.1), (0.1, math.inf)])
def test_a_reading_is_finite(mean: float, error: float) -> None:
    with pytest.raises(ValueError, match="a reading is finite"):
        Reading(mean=mean, standard_error=error)
