"""What single choices do travels in the study."""

from __future__ import annotations

import math

import optuna
import pytest

from search.errors import SearchError
from search.layers.effects import (
    DAMAGE_EFFECTS,
    Effect,
    has_damage_effects,
    record_damage_effects,
    recorded_damage_effects,
    recorded_damage_exponent,
)

EFFECTS = {
    ("bits/a", "int8"): Effect(mean=0.25, deviation=0.1),
    ("sparsity/a", 0.375): Effect(mean=0.0, deviation=1e-9),
    ("sparsity/a", "2:4"): Effect(mean=1e-7, deviation=1e-8),
}


def test_what_is_recorded_is_read_back_from_the_storage_alone() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="s", storage=storage)
    assert not has_damage_effects(study)
    assert not recorded_damage_effects(study)
    record_damage_effects(study, EFFECTS)
    joined = optuna.load_study(study_name="s", storage=storage)
    assert has_damage_effects(joined)
    assert dict(recorded_damage_effects(joined)) == EFFECTS


def test_the_exponent_is_recorded_beside_them() -> None:
    study = optuna.create_study()
    assert recorded_damage_exponent(study) == 1.0
    record_damage_effects(study, EFFECTS)
    assert recorded_damage_exponent(study) == 1.0
    record_damage_effects(study, EFFECTS, exponent=1.5)
    assert recorded_damage_exponent(study) == 1.5
    study.set_user_attr(DAMAGE_EFFECTS, {"format_version": 1, "effects": []})  # before there was one
    assert recorded_damage_exponent(study) == 1.0


@pytest.mark.parametrize("exponent", [0.0, -1.0, math.nan, math.inf])
def test_an_exponent_is_above_0(exponent: float) -> None:
    with pytest.raises(ValueError, match=f"above 0, got {exponent}"):
        record_damage_effects(optuna.create_study(), EFFECTS, exponent=exponent)


def test_a_sweep_that_found_nothing_is_a_record_too() -> None:
    study = optuna.create_study()
    record_damage_effects(study, {})
    assert has_damage_effects(study)
    assert not recorded_damage_effects(study)


def test_a_newer_record_is_refused() -> None:
    study = optuna.create_study()
    study.set_user_attr(DAMAGE_EFFECTS, {"format_version": 2, "effects": []})
    for read in (recorded_damage_effects, recorded_damage_exponent):
        with pytest.raises(SearchError, match="format_version 2, this paretune reads 1; upgrade"):
            read(study)


@pytest.mark.parametrize(("mean", "deviation"), [(math.nan, 1.0), (0.1, 0.0), (0.1, math.inf), (0.1, -1.0)])
def test_an_effect_is_finite_and_uncertain(mean: float, deviation: float) -> None:
    with pytest.raises(ValueError, match=f"got {mean} and {deviation}"):
        Effect(mean=mean, deviation=deviation)
