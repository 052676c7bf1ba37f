"""Least squares over what an operator reads and should answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.formats.scheme import SCHEMES
from compress.layers import Layer
from compress.recovery.reconstruct_fit import Fit, Rows, fit
from compress.recovery.reconstruct_rounding import on_grid
from compress.weight_rows import from_rows, to_rows
from compress.weights.layer_state import LayerState
from compress.weights.round_layer import elimination_of, round_layer
from compress.weights.weight_grid import grid_of


def _rows(
    seed: int, *, groups: int = 1, count: int = 400, outputs: int = 3, length: int = 6
) -> tuple[Rows, np.ndarray]:
    """Correlated inputs, answers that are no linear function of them, and weights to begin with."""
    random = np.random.default_rng(seed)
    mixed = random.normal(0, 1, (groups, count, length)) @ random.normal(0, 1, (groups, length, length)) + 0.5
    answers = np.tanh(mixed @ random.normal(0, 1, (groups, length, outputs))).swapaxes(0, 1).reshape(count, -1) + 1.0
    given = Rows(inputs=mixed.astype(np.float32), answers=answers.astype(np.float32))
    return given, random.normal(0, 1, (groups, outputs, length)).astype(np.float32)


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 10**6),
    groups=st.integers(1, 3),
    count=st.integers(2, 60),
    has_bias=st.booleans(),
    masked=st.booleans(),
)
def test_never_worse_than_the_weights_as_they_were(
    seed: int, groups: int, count: int, has_bias: bool, masked: bool
) -> None:
    """However few rows there are; masked weights stay zero."""
    rows, before = _rows(seed, groups=groups, count=count)
    if masked:
        before[np.random.default_rng(seed).random(before.shape) < 0.4] = 0.0
    found = fit(rows, before, has_bias=has_bias, keep_zeros=masked)
    bias = np.zeros(before.shape[0] * before.shape[1]) if has_bias else None
    assert rows.error(found.rows, found.bias) <= rows.error(before, bias) * (1 + 1e-4) + 1e-6
    assert (found.bias is None) == (not has_bias)
    if masked:
        assert (found.rows[before == 0] == 0).all()


@pytest.mark.parametrize("has_bias", [True, False])
def test_the_answer_is_that_of_least_squares(has_bias: bool) -> None:
    rows, before = _rows(1, count=4000)
    found = fit(rows, before, has_bias=has_bias)
    columns = [rows.inputs[0], np.ones((4000, 1))] if has_bias else [rows.inputs[0]]
    solution, *_ = np.linalg.lstsq(np.concatenate(columns, axis=1), rows.answers, rcond=None)
    bias = solution[6] if has_bias else None
    assert rows.error(found.rows, found.bias) == pytest.approx(rows.error(solution[:6].T[None], bias), rel=1e-3)


def test_masked_rows_are_each_fitted_on_their_own_inputs() -> None:
    rows, before = _rows(2, count=4000)
    kept = np.random.default_rng(0).random(before.shape) < 0.6
    found = fit(rows, np.where(kept, before, 0).astype(np.float32), has_bias=False, keep_zeros=True)
    for output in range(3):
        inputs = rows.inputs[0][:, kept[0, output]]
        solution, *_ = np.linalg.lstsq(inputs, rows.answers[:, output], rcond=None)
        np.testing.assert_allclose(found.rows[0, output, kept[0, output]], solution, atol=5e-3)


def test_inputs_that_carry_a_removed_one_take_over_for_it() -> None:
    """What has gone is a linear combination of what is left: nothing is lost."""
    random = np.random.default_rng(4)
    left = random.normal(0, 1, (1, 500, 4))
    gone = left @ random.normal(0, 1, (1, 4, 3))
    weights = random.normal(0, 1, (1, 2, 7))
    answers = (np.concatenate([left, gone], axis=2) @ weights.swapaxes(1, 2))[0] + 0.3
    rows = Rows(inputs=left.astype(np.float32), answers=answers.astype(np.float32))
    found = fit(rows, weights[:, :, :4].astype(np.float32), has_bias=True)
    assert rows.error(found.rows, found.bias) < 1e-6 * float(answers.var())


def test_few_rows_that_say_nothing_leave_the_weights_alone() -> None:
    """Answers that have nothing to do with the inputs teach nothing: held-out rows say so."""
    random = np.random.default_rng(5)
    inputs, before = random.normal(0, 1, (1, 40, 30)), random.normal(0, 0.01, (1, 2, 30)).astype(np.float32)
    rows = Rows(inputs=inputs.astype(np.float32), answers=random.normal(0, 1, (40, 2)).astype(np.float32))
    found = fit(rows, before, has_bias=True)
    learned = fit(rows, before, has_bias=True).rows - before
    free, *_ = np.linalg.lstsq(inputs[0], rows.answers, rcond=None)
    assert np.abs(learned).mean() < 0.5 * np.abs(free).mean()
    assert found.bias is not None


@settings(deadline=None, max_examples=20)
@given(seed=st.integers(0, 10**6), groups=st.sampled_from([1, 2]))
def test_weights_on_the_grid_are_rounded_to_themselves(seed: int, groups: int) -> None:
    """Whoever builds the candidate rounds to nearest, with the scale that the largest weight says."""
    rows, before = _rows(seed, groups=groups, outputs=4, length=9)
    layer = Layer(
        name="conv",
        node_name="conv",
        op_type="Conv",
        weight_name="weight",
        weight_shape=(4 * groups, 1, 3, 3),
        output_axis=0,
        groups=groups,
        macs=0,
    )
    grid = grid_of("int8", SCHEMES["u8s8"], 0)
    assert grid is not None
    fitted = fit(rows, before, has_bias=True)
    found, bias = on_grid(layer, fitted, grid)
    state = LayerState(layer=layer, weight=from_rows(layer, found), bias=None, moments=None, responses=None)
    again = round_layer(state, grid, elimination_of(state))
    integers = to_rows(layer, again.integers) * again.scale[:, 0].reshape(groups, -1, 1)
    np.testing.assert_allclose(integers, found, rtol=1e-5, atol=1e-7)
    nearest = round_layer(
        LayerState(layer=layer, weight=from_rows(layer, fitted.rows), bias=None, moments=None, responses=None),
        grid,
        elimination_of(state),
    )
    to_nearest = to_rows(layer, nearest.integers) * nearest.scale[:, 0].reshape(groups, -1, 1)
    assert rows.error(found, bias) <= 1.05 * rows.error(to_nearest, fitted.bias) + 1e-6


def test_floats_are_left_as_they_were_found() -> None:
    rows, before = _rows(6)
    fitted: Fit = fit(rows, before, has_bias=False)
    layer = Layer(
        name="dense",
        node_name="dense",
        op_type="MatMul",
        weight_name="weight",
        weight_shape=(6, 3),
        output_axis=1,
        groups=1,
        macs=0,
    )
    found, bias = on_grid(layer, fitted, None)
    assert found is fitted.rows
    assert bias is None
