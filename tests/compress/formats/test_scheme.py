"""Integer formats: laws of rounding, and numbers at the edge."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.formats.scheme import SCHEMES
from tests.compress.nearest import rounded_to_nearest

_VALUES = st.floats(-1e6, 1e6, width=32)


@given(st.sampled_from(sorted(SCHEMES)), _VALUES, _VALUES)
def test_the_range_is_covered_and_zero_is_exact(name: str, one: float, two: float) -> None:
    scheme = SCHEMES[name]
    low, high = min(one, two), max(one, two)
    scale, zero_point = scheme.activation_parameters((low, high))
    assert scale > 0
    assert np.isfinite(scale)
    assert zero_point.dtype == scheme.activation_dtype
    limits = np.iinfo(scheme.activation_dtype)
    slack = float(scale) * 0.51
    if scale > 1e-17:
        assert (limits.min - int(zero_point)) * float(scale) <= min(low, 0) + slack
        assert (limits.max - int(zero_point)) * float(scale) >= max(high, 0) - slack


@given(_VALUES, _VALUES, st.sampled_from([(0.0, 6.0), (-1.0, 1.0), (0.0, np.inf), (-3.0, 0.0), (-0.1, 7.0)]))
def test_integers_stay_within_the_clamp_that_they_replace(one: float, two: float, bounds: tuple[float, float]) -> None:
    low, high = sorted(np.clip((one, two), *bounds).tolist())
    scale, zero_point = SCHEMES["u8s8"].activation_parameters((low, high), bounds)
    assert -int(zero_point) * float(scale) >= bounds[0]
    assert (255 - int(zero_point)) * float(scale) <= bounds[1]
    if scale > 1e-17:
        assert (255 - int(zero_point)) * float(scale) >= max(high, 0) - 1.01 * float(scale)


@pytest.mark.parametrize("name", SCHEMES)
def test_a_tensor_that_is_always_zero_keeps_a_usable_scale(name: str) -> None:
    scale, zero_point = SCHEMES[name].activation_parameters((0.0, 0.0))
    assert 1e-3 < scale < 1
    assert zero_point == 0


@pytest.mark.parametrize("name", SCHEMES)
@pytest.mark.parametrize("axis", [0, 1])
def test_weights_round_to_nearest_per_channel(name: str, axis: int) -> None:
    weight = np.random.default_rng(0).normal(0, 1, (6, 5)).astype(np.float32)
    np.moveaxis(weight, axis, 0)[2] = 0
    before = weight.copy()
    integers, scale = rounded_to_nearest(SCHEMES[name], weight, axis)
    np.testing.assert_array_equal(weight, before)
    assert scale.shape == (weight.shape[axis],)
    assert np.abs(integers.astype(int)).max() == SCHEMES[name].weight_limit
    shape = [-1 if i == axis else 1 for i in range(2)]
    error = np.abs(integers * scale.reshape(shape) - weight)
    assert (error <= 0.501 * scale.reshape(shape)).all()


def test_a_bias_beyond_32_bits_makes_room_for_itself() -> None:
    scheme = SCHEMES["u8s8"]
    weight = np.array([[1.0, -0.5], [1e-12, -1e-12], [0.0, 0.0], [0.25, 0.5]], np.float32)
    bias = np.array([0.5, 3.0, -7.0, 0.0], np.float32)
    plain = rounded_to_nearest(scheme, weight, 0)
    integers, scale = scheme.make_room_for_bias(plain, 0, bias, np.float32(0.02))
    np.testing.assert_array_equal(integers[[0, 3]], plain[0][[0, 3]])
    rounded, bias_scale = scheme.quantize_bias(bias, np.float32(0.02), scale)
    np.testing.assert_allclose(rounded * bias_scale, bias, rtol=1e-6, atol=1e-3)
    np.testing.assert_allclose(bias_scale, 0.02 * scale, rtol=1e-6)
    assert np.abs(rounded.astype(np.int64)).max() <= 2**30 + 1
    same = scheme.make_room_for_bias(plain, 0, bias * 0, np.float32(0.02))
    assert same is plain
