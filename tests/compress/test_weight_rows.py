"""A weight in rows is the weight: nothing is lost on the way, and rows multiply what the layer reads."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.layers import Layer
from compress.weight_rows import from_rows, inputs_per_group, repeat_per_row, row_length, taps_of, to_rows
from tests.compress.states import layer_of


@st.composite
def layers(draw: st.DrawFn) -> Layer:
    """Convolutions of 1 to 3 axes in groups, and matrices either way round."""
    small = st.integers(1, 4)
    if draw(st.booleans()):
        return layer_of("MatMul", (draw(small), draw(small)), output_axis=draw(st.integers(0, 1)))
    groups = draw(small)
    kernel = draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    return layer_of("Conv", (groups * draw(small), draw(small), *kernel), groups=groups)


def _numbered(layer: Layer) -> np.ndarray:
    return np.arange(layer.weight_count, dtype=np.float32).reshape(layer.weight_shape)


@given(layers(), st.booleans())
def test_rows_can_be_put_back(layer: Layer, by_channel: bool) -> None:
    weight = _numbered(layer)
    rows = to_rows(layer, weight, by_channel=by_channel)
    assert rows.shape[0] == layer.groups
    assert rows.shape[2] == row_length(layer, by_channel=by_channel)
    assert sorted(rows.ravel()) == sorted(weight.ravel())
    again = from_rows(layer, rows, by_channel=by_channel)
    np.testing.assert_array_equal(again, weight)
    assert again.flags.c_contiguous


@given(layers(), st.booleans())
def test_values_per_channel_fall_on_that_channels_rows(layer: Layer, by_channel: bool) -> None:
    channels = np.arange(layer.output_channels)
    values = repeat_per_row(layer, channels, by_channel=by_channel)
    shape = [-1 if axis == layer.output_axis else 1 for axis in range(len(layer.weight_shape))]
    owners = np.broadcast_to(channels.reshape(shape), layer.weight_shape)
    rows = to_rows(layer, owners, by_channel=by_channel)
    np.testing.assert_array_equal(rows, np.broadcast_to(values[:, :, None], rows.shape))


@pytest.mark.parametrize(("op_type", "axis"), [("MatMul", 1), ("Gemm", 0), ("Gemm", 1)])
def test_rows_of_matrices_answer_like_the_product(op_type: str, axis: int) -> None:
    layer = layer_of(op_type, (3, 5) if axis == 1 else (5, 3), output_axis=axis)
    weight, x = _numbered(layer), np.array([1.0, -2.0, 3.0])
    product = x @ (weight if axis == 1 else weight.T)
    np.testing.assert_allclose(to_rows(layer, weight)[0] @ x, product)


def test_counts() -> None:
    layer = layer_of("Conv", (8, 2, 3, 5), groups=4)
    assert (taps_of(layer), inputs_per_group(layer)) == (15, 2)
    assert row_length(layer, by_channel=False) == 30
    assert row_length(layer, by_channel=True) == 2
    matrix = layer_of("MatMul", (7, 4), output_axis=1)
    assert (taps_of(matrix), inputs_per_group(matrix)) == (1, 7)
