"""Layers in integers: on their grid, near their answers, with their mean kept."""

import numpy as np
import pytest

from compress.finished_layer import FinishedLayer
from compress.formats.scheme import SCHEMES
from compress.policy import FORMATS
from compress.weight_rows import to_rows
from compress.weights.layer_state import LayerState
from compress.weights.round_layer import RoundedLayer, elimination_of, round_layer
from compress.weights.weight_grid import WeightGrid, grid_of
from tests.compress.made_moments import exact_errors
from tests.compress.nearest import rounded_to_nearest
from tests.compress.states import convolution_state, correlated_images, matrix_state, mean_answer


def _states() -> dict[str, LayerState]:
    random = np.random.default_rng(0)
    x = random.normal(size=(200, 3)) @ random.normal(size=(3, 24)) + 0.3 * random.normal(size=(200, 24)) + 1.0
    matrix, bias = random.normal(size=(24, 6)), random.normal(size=6)
    images = correlated_images(channels=8)
    return {
        "conv": convolution_state(random.normal(size=(6, 8, 3, 3)), images, bias),
        "grouped": convolution_state(random.normal(size=(8, 2, 3, 3)), images, random.normal(size=8), groups=4),
        "gemm": matrix_state(matrix, x, bias),
        "transposed": matrix_state(matrix.T, x, bias, output_axis=0),
        "no bias": matrix_state(matrix, x, None, op_type="MatMul"),
    }


_STATES = _states()
_CASES = [
    *((name, "int8") for name in _STATES),
    *((name, kind) for name in ("gemm", "transposed", "no bias") for kind in ("int8-weights", "int4-weights")),
]


def _grid(kind: str) -> WeightGrid:
    grid = grid_of(kind, SCHEMES["u8s8"], 16)
    assert grid is not None
    return grid


def _floats(state: LayerState, rounded: RoundedLayer, grid: WeightGrid) -> np.ndarray:
    """What the integers stand for, in rows (G, R, K)."""
    if grid.block:
        blocks = np.arange(rounded.integers.shape[1]) // grid.block
        integers = rounded.integers.astype(np.float64) - rounded.zero_point[:, blocks]
        return (integers * rounded.scale[:, blocks])[None]
    shape = [-1 if axis == state.layer.output_axis else 1 for axis in range(state.weight.ndim)]
    return to_rows(state.layer, rounded.integers * rounded.scale[:, 0].astype(np.float64).reshape(shape))


@pytest.mark.parametrize(("name", "kind"), _CASES)
def test_rounding_keeps_the_mean_and_beats_the_nearest_integers(name: str, kind: str) -> None:
    state, grid = _STATES[name], _grid(kind)
    rounded = round_layer(state, grid, elimination_of(state))
    assert rounded.integers.min() >= grid.lowest
    assert rounded.integers.max() <= grid.highest
    floats = _floats(state, rounded, grid)
    assert state.second is not None
    if not grid.block:
        steps = np.abs(to_rows(state.layer, state.weight)).reshape(state.layer.output_channels, -1).max(axis=1) / 127
        np.testing.assert_allclose(rounded.scale[:, 0], steps, rtol=1e-5)
        per_row = steps.reshape(state.layer.groups, -1, 1)
        nearest = np.rint(state.rows / per_row) * per_row
        ours, plain = (exact_errors(state.rows, rows, state.second) for rows in (floats, nearest))
        assert (ours <= plain * 1.001 + 1e-9).all()
        assert ours.sum() < 0.8 * plain.sum()
    else:
        assert np.abs(floats - state.rows).max() < 0.6 * np.abs(state.rows).max()
    shift = mean_answer(state) - (0 if state.bias is None else state.bias) - state.mean_output(floats)
    np.testing.assert_allclose(rounded.mean_shift, shift, atol=1e-4)
    if state.bias is None:
        assert not rounded.bias.size
    else:
        np.testing.assert_allclose(state.mean_output(floats) + rounded.bias, mean_answer(state), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("name", "kind"), [("conv", "int8"), ("gemm", "int4-weights"), ("transposed", "int8")])
def test_every_row_is_rounded_on_its_own(name: str, kind: str) -> None:
    """So that one rounding serves every choice of outputs."""
    state, grid, kept = _STATES[name], _grid(kind), np.array([0, 2, 5])
    cut = round_layer(state, grid, elimination_of(state)).keep_outputs(
        kept, 0 if grid.block else state.layer.output_axis
    )
    thin = state.keep_outputs(kept)
    alone = round_layer(thin, grid, elimination_of(thin))
    np.testing.assert_array_equal(cut.integers, alone.integers)
    np.testing.assert_array_equal(cut.scale, alone.scale)
    np.testing.assert_allclose(cut.bias, alone.bias, atol=1e-5)


@pytest.mark.parametrize("kind", ["int8", "int4-weights"])
def test_zeros_stay_zeros(kind: str) -> None:
    state = _STATES["gemm"]
    rows = np.where(np.arange(24) % 3 == 0, 0, state.rows).astype(np.float32)
    masked, grid = state.with_rows(rows), _grid(kind)
    floats = _floats(masked, round_layer(masked, grid, elimination_of(masked)), grid)
    assert not floats[rows == 0].any()


def test_without_moments_weights_go_to_the_nearest_integer() -> None:
    from dataclasses import replace

    state = replace(_STATES["conv"], moments=None)
    rounded = round_layer(state, _grid("int8"), elimination_of(state))
    nearest, _ = rounded_to_nearest(SCHEMES["u8s8"], state.weight, 0)
    np.testing.assert_array_equal(rounded.integers, nearest)
    np.testing.assert_array_equal(rounded.bias, state.bias)


def test_grids() -> None:
    assert grid_of("fp32", SCHEMES["u8s8"], 32) is None
    assert grid_of("fp16", None, 32) is None
    assert grid_of("int8", None, 32) is None
    assert grid_of("int8", SCHEMES["u8s7"], 32) == WeightGrid(bits=8, limit=63, block=0)
    assert grid_of("int8-dynamic", SCHEMES["u8s7"], 32) == WeightGrid(bits=8, limit=63, block=0, one_scale=True)
    four = grid_of("int4-weights", None, 32)
    assert four is not None
    assert (four.lowest, four.highest) == (0, 15)
    assert len({grid_of(name, SCHEMES["u8s8"], 32).key for name in FORMATS if name not in ("fp32", "fp16")}) == 4  # type: ignore[union-attr]


@pytest.mark.parametrize("rounded_count", [0, 1, 2])
@pytest.mark.parametrize("has_bias", [False, True])
def test_a_finished_layer_is_its_arrays(rounded_count: int, has_bias: bool) -> None:
    state = _STATES["gemm"]
    rounded = round_layer(state, _grid("int8"), elimination_of(state))
    layer = FinishedLayer(
        weights=(state.weight, state.weight[:2]),
        groups=3,
        bias=state.bias if has_bias else None,
        rounded=(rounded,) * rounded_count,
        first_axes=(True, False),
        inner_range=(-0.5, 1.0),
        rank=2,
    )
    again = FinishedLayer.from_arrays(layer.arrays)
    assert (again.groups, again.first_axes, again.inner_range, again.rank) == (3, (True, False), (-0.5, 1.0), 2)
    assert len(again.rounded) == rounded_count
    assert (again.bias is not None) == has_bias
    assert [a.tobytes() for a in again.arrays] == [a.tobytes() for a in layer.arrays]
    plain = FinishedLayer.from_arrays(FinishedLayer(weights=(), groups=1, bias=None).arrays)
    assert (plain.rank, plain.inner_range, plain.first_axes, plain.weights) == (None, None, (), ())
