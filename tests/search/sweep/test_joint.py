"""How single damages come to a joint one: which power of them is a sum."""

from __future__ import annotations

import numpy as np
import pytest

from search.layers.effects import Effect
from search.space.space import Knob, SearchSpace
from search.sweep.joint import Joint, fit_exponent, joint_policies
from search.sweep.readings import Reading

LAYERS = tuple(f"l{number}" for number in range(12))
CHOICES = (0.0, 0.25, 0.5, 0.75)
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(
        knob
        for name in LAYERS
        for knob in (
            Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8", "int8-dynamic")),
            Knob(name=f"sparsity/{name}", layers=(name,), choices=CHOICES),
        )
    ),
)


def singles(size: float) -> dict[tuple[str, str | float], Effect]:
    """Effects of every choice, from layer to layer of another size."""
    rng = np.random.default_rng(0)
    return {
        (knob.name, choice): Effect(mean=size * 10.0**place * rng.lognormal(), deviation=1.0)
        for knob in SPACE.knobs
        for place, choice in enumerate(knob.choices[1:])
    }


def joints(effects: dict[tuple[str, str | float], Effect], exponent: float, noise: float = 0.2) -> list[Joint]:
    """What comes of policies where this power of damages adds up, to a fifth."""
    rng = np.random.default_rng(1)
    found = []
    for params in joint_policies(SPACE, effects):
        total = sum(effects[key].mean ** exponent for key in params.items()) ** (1 / exponent)
        found.append(Joint(params=params, reading=Reading(mean=total * rng.lognormal(0, noise), standard_error=0.0)))
    return found


@pytest.mark.parametrize("exponent", [0.7, 1.0, 1.5, 2.0])
def test_the_exponent_is_found(exponent: float) -> None:
    effects = singles(1e-6)
    assert fit_exponent(effects, joints(effects, exponent)) == pytest.approx(exponent, rel=0.15)


def test_little_evidence_leaves_a_sum() -> None:
    effects = singles(1e-6)
    assert fit_exponent(effects, []) == 1.0
    assert fit_exponent(effects, joints(effects, 2.0)[:2]) == 1.0


def test_outputs_that_have_nothing_more_to_do_with_fp32_s_say_nothing() -> None:
    effects = singles(1e-6)
    policies = joint_policies(SPACE, effects)
    saturated = [Joint(params=params, reading=Reading(mean=1.3, standard_error=0.0)) for params in policies]
    assert fit_exponent(effects, saturated) == 1.0


def test_what_changes_nothing_says_nothing() -> None:
    effects = {key: Effect(mean=0.0, deviation=1e-9) for key in singles(1.0)}
    policies = joint_policies(SPACE, effects)
    nothing = [Joint(params=params, reading=Reading(mean=0.0, standard_error=0.0)) for params in policies]
    assert fit_exponent(effects, nothing) == 1.0


def test_all_layers_are_turned_alike_as_far_as_each_is_known() -> None:
    effects = singles(1e-6)
    policies = joint_policies(SPACE, effects)
    assert {params["bits/l0"] for params in policies if "bits/l0" in params} == {"int8"}
    assert {params.get("sparsity/l0") for params in policies} == {None, *CHOICES[1:]}
    known = {key: effect for key, effect in effects.items() if key[0] != "bits/l0"}
    assert all("bits/l0" not in params for params in joint_policies(SPACE, known))
    assert joint_policies(SPACE, {}) == ()
