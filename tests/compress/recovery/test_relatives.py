"""Weights are taken over from relatives of other widths, channel by channel of the network that both were cut from."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from compress.network import serialize
from compress.policy import Policy
from compress.recovery.float_structure import FloatStructure
from compress.recovery.relatives import first_weights, kinship, seats_of
from compress.runtime import open_session
from compress.stitch import Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import masked, mixed, narrowed, uniform_rank

NETWORKS = ["residual", "depthwise_clip", "transformer_block"]

Weights = dict[str, NDArray[np.float32]]


def _trained(structure: FloatStructure) -> Weights:
    random = np.random.default_rng(0)
    return {
        name: (array + random.normal(0, 0.1, array.shape)).astype(np.float32)
        for name, array in structure.learnable().items()
    }


def _structures(compressor: Compressor, *policies: Policy) -> list[FloatStructure]:
    return [FloatStructure.of(compressor, policy) for policy in policies]


def _answers(loaded: Loaded, model: ir.Model) -> list[NDArray[np.float32]]:
    found: list[NDArray[np.float32]] = open_session(serialize(model)).run(None, dict(loaded.case.example))
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_a_wider_network_answers_as_its_narrow_relative(load: Callable[[str], Loaded], name: str) -> None:
    """Channels that the relative lacks are silent at first."""
    loaded = load(name)
    compressor = loaded.compressor()
    wide, narrow = _structures(compressor, mixed(loaded.network), narrowed(compressor, 0.5))
    weights = _trained(narrow)
    first = first_weights(wide, narrow, weights)
    assert 0.0 < kinship(seats_of(wide), seats_of(narrow)) < 1.0
    answers = [_answers(loaded, model) for model in (narrow.with_weights(weights), wide.with_weights(first))]
    for theirs, ours in zip(*answers, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_narrow_network_takes_its_channels_of_a_wider_one(load: Callable[[str], Loaded], name: str) -> None:
    """Cut from the trained network at the same channels, nothing else is in it."""
    loaded = load(name)
    compressor = loaded.compressor()
    wide, narrow = _structures(compressor, mixed(loaded.network), narrowed(compressor, 0.5))
    weights = _trained(wide)
    first = first_weights(narrow, wide, weights)
    shares = [kinship(*map(seats_of, pair)) for pair in ((narrow, wide), (wide, narrow), (narrow, narrow))]
    assert shares[0] == shares[1] < shares[2] == 1.0
    for name_, array in first.items():
        values = set(np.concatenate([found.ravel() for found in weights.values()]).tolist())
        assert set(array.ravel().tolist()) <= values, name_
    for plan in narrow.plans:
        seat = seats_of(narrow)[plan.layer.node_name, 1]
        if plan.kept_outputs is not None and plan.kept_inputs is None:
            theirs = weights[seats_of(wide)[plan.layer.node_name, 1].name]
            kept = np.take(theirs, plan.kept_outputs, axis=plan.layer.output_axis)
            np.testing.assert_array_equal(first[seat.name], kept)


def test_as_many_other_channels_are_nothing_in_common(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = loaded.compressor()
    structure = FloatStructure.of(compressor, narrowed(compressor, 0.5))
    plan = next(plan for plan in structure.plans if plan.kept_outputs is not None)
    seats = seats_of(structure)
    own = seats[plan.layer.node_name, 1]
    others = np.setdiff1d(np.arange(plan.layer.output_channels), plan.kept_outputs)[: own.shape[0]]
    assert len(others) == own.shape[0]
    elsewhere = {key: seat for key, seat in seats.items() if key[0] != plan.layer.node_name}
    moved = type(own)(name=own.name, channels=(others, *own.channels[1:]), shape=own.shape, input_axis=own.input_axis)
    assert kinship({(plan.layer.node_name, 1): own}, {**elsewhere, (plan.layer.node_name, 1): moved}) == 0.0


def test_masked_weights_stay_zero_and_factors_need_the_same_rank(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = loaded.compressor()
    whole, mask, factors = _structures(
        compressor,
        mixed(loaded.network),
        masked(loaded.network, "unstructured", 0.75),
        uniform_rank(compressor, 0.5),
    )
    before, first = mask.learnable(), first_weights(mask, whole, _trained(whole))
    for name, array in before.items():
        if array.ndim > 1:
            assert ((first[name] == 0) | (array != 0)).all()
            assert (first[name] != array).any()
    weights = _trained(factors)
    again = first_weights(factors, factors, weights)
    for name, array in weights.items():
        np.testing.assert_array_equal(again[name], array)
    own, taken = whole.learnable(), first_weights(whole, factors, weights)
    for plan in whole.plans:
        if plan.layer.name in factors.ranks:
            weight = seats_of(whole)[plan.layer.node_name, 1].name
            np.testing.assert_array_equal(taken[weight], own[weight])
