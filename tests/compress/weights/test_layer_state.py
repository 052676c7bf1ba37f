"""A layer on its way: shapes, statistics and the mean answer travel with it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.weights.layer_state import LayerState
from compress.weights.mask_layer import mask_layer, takes_runs
from compress.weights.round_layer import elimination_of
from tests.compress.made_moments import exact_errors
from tests.compress.states import convolution_state, correlated_images, matrix_state, mean_answer


def _states() -> dict[str, LayerState]:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)) @ random.normal(size=(3, 8)) + 0.2 * random.normal(size=(200, 8)) + 1.0
    matrix, bias = random.normal(size=(8, 6)), random.normal(size=6)
    return {
        "conv": convolution_state(random.normal(size=(6, 8, 3, 3)), correlated_images(channels=8), bias),
        "gemm": matrix_state(matrix, x, bias),
        "transposed": matrix_state(matrix.T, x, bias, output_axis=0),
        "no bias": matrix_state(matrix, x, None, op_type="MatMul"),
    }


_NAMES = tuple(_states())


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(_NAMES), st.sets(st.integers(0, 7), min_size=1), st.sets(st.integers(0, 5), min_size=1))
def test_channels_that_are_kept(name: str, inputs: set[int], outputs: set[int]) -> None:
    """Both orders of removal give the same layer, of the shape that is left."""
    state, kept = _states()[name], np.array(sorted(inputs))
    fewer, left = state.keep_inputs(kept), np.array(sorted(outputs))
    taps = 9 if name == "conv" else 1
    assert fewer.rows.shape == (1, 6, len(kept) * taps)
    assert fewer.layer.weight_shape == fewer.weight.shape
    assert fewer.layer.output_channels == 6
    assert fewer.moments is not None
    assert fewer.moments.covariance.shape[1:] == 2 * (len(kept) * taps,)
    assert fewer.layer.macs == pytest.approx(state.layer.macs * len(kept) / 8)
    thin = fewer.keep_outputs(left)
    assert thin.rows.shape == (1, len(left), len(kept) * taps)
    assert thin.layer.weight_shape == thin.weight.shape
    assert thin.responses is not None
    assert thin.responses.mean.shape == (len(left),)
    other = state.keep_outputs(left).keep_inputs(kept)
    np.testing.assert_allclose(other.weight, thin.weight, rtol=1e-4, atol=1e-5)
    if state.bias is None:
        assert thin.bias is None
        return
    np.testing.assert_allclose(mean_answer(fewer), mean_answer(state), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(mean_answer(thin), mean_answer(state)[left], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", _NAMES)
def test_all_channels_kept_is_the_layer(name: str) -> None:
    state = _states()[name]
    same = state.keep_inputs(np.arange(8)).keep_outputs(np.arange(6))
    np.testing.assert_array_equal(same.weight, state.weight)
    assert same.layer == state.layer
    if state.bias is not None:
        np.testing.assert_allclose(same.bias, state.bias, atol=1e-5)


@pytest.mark.parametrize("name", ["conv", "gemm", "transposed"])
def test_a_layer_without_inputs_answers_its_mean(name: str) -> None:
    state = _states()[name]
    ended = state.keep_inputs(np.zeros(0, np.int64))
    assert ended.weight.size == 0
    np.testing.assert_allclose(ended.bias, mean_answer(state), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", _NAMES)
def test_what_was_kept_before_is_taken_again(name: str) -> None:
    state, kept = _states()[name], np.array([1, 4, 6])
    once = state.keep_inputs(kept)
    again = state.take_inputs(kept, once.moments, once.weight, once.bias)
    assert again.layer == once.layer
    np.testing.assert_array_equal(again.rows, once.rows)
    np.testing.assert_array_equal(again.moments.covariance, once.moments.covariance)  # type: ignore[union-attr]


def test_without_moments_channels_are_cut() -> None:
    """What is not known cannot be made good: the rest stays as it was."""
    from dataclasses import replace

    state, kept = replace(_states()["conv"], moments=None), np.array([0, 5])
    fewer = state.keep_inputs(kept)
    np.testing.assert_array_equal(fewer.weight, state.weight[:, kept])
    np.testing.assert_array_equal(fewer.bias, state.bias)
    assert not fewer.mean_shift(fewer.rows * 0).any()


def test_grouped_convolutions_lose_whole_groups() -> None:
    random = np.random.default_rng(0)
    weight, bias = random.normal(size=(8, 2, 3, 3)), random.normal(size=8)
    state = convolution_state(weight, correlated_images(channels=8), bias, groups=4)
    left = np.array([0, 1, 6, 7])
    thin = state.keep_outputs(left)
    assert thin.layer.groups == 2
    assert thin.layer.weight_shape == thin.weight.shape == (4, 2, 3, 3)
    assert thin.rows.shape == (2, 2, 18)
    assert thin.moments is not None
    assert thin.moments.mean.shape == (2, 18)
    np.testing.assert_allclose(mean_answer(thin), mean_answer(state)[left], rtol=1e-5)


@pytest.mark.parametrize("name", _NAMES)
@pytest.mark.parametrize(("pattern", "ratio"), [("2:4", 0.5), ("unstructured", 0.3), ("unstructured", 0.8)])
def test_masks_keep_the_mean_answer_and_their_pattern(name: str, pattern: str, ratio: float) -> None:
    state = _states()[name]
    masked = mask_layer(state, elimination_of(state), pattern=pattern, ratio=ratio)
    share = 1 - np.count_nonzero(masked.weight) / masked.weight.size
    assert share == pytest.approx(ratio, abs=0.01)
    assert masked.layer == state.layer
    if state.bias is not None:
        np.testing.assert_allclose(mean_answer(masked), mean_answer(state), rtol=1e-4, atol=1e-4)
    if pattern == "2:4":
        # Engines take runs of four input channels, tap by tap.
        axis = 1 - state.layer.output_axis if name != "conv" else 1
        runs = np.moveaxis(masked.weight, axis, -1).reshape(-1, 4)
        assert (np.count_nonzero(runs, axis=1) <= 2).all()
    assert state.second is not None
    smallest = np.where(np.abs(state.rows) >= np.quantile(np.abs(state.rows), ratio), state.rows, 0)
    if pattern == "unstructured":
        ours, cut = (exact_errors(state.rows, rows, state.second).sum() for rows in (masked.rows, smallest))
        assert ours < cut


def test_runs_of_four() -> None:
    assert [takes_runs(channels) for channels in (0, 3, 4, 6, 8)] == [True, False, True, False, True]
