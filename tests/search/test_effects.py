"""What single choices do travels in the study."""

from __future__ import annotations

import math

import optuna
import pytest

from search.effects import DAMAGE_EFFECTS, Effect, has_damage_effects, record_damage_effects, recorded_damage_effects
from search.errors import SearchError

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


def test_a_sweep_that_found_nothing_is_a_record_too() -> None:
    study = optuna.create_study()
    record_damage_effects(study, {})
    assert has_damage_effects(study)
    assert not recorded_damage_effects(study)


def test_a_newer_record_is_refused() -> None:
    study = optuna.create_study()
    study.set_user_attr(DAMAGE_EFFECTS, {"format_version": 2, "effects": []})
    with pytest.raises(SearchError, match="format_version 2, this paretune reads 1; upgrade"):
        recorded_damage_effects(study)


@pytest.mark.parametrize(("mean", "deviation"), [(math.nan, 1.0), (0.1, 0.0), (0.1, math.inf), (0.1, -1.0)])
def test_an_effect_is_finite_and_uncertain(mean: float, deviation: float) -> None:
    with pytest.raises(ValueError, match=f"got {mean} and {deviation}"):
        Effect(mean=mean, deviation=deviation)
