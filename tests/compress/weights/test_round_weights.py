"""Compensated rounding: on the grid, never worse than rounding to nearest, and as good as the theory says."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.weights.elimination import prepare
from compress.weights.round_weights import channel_scales, round_compensated
from tests.compress.made_moments import correlated, exact_errors, random_rows

_SEEDS = st.integers(0, 2**32 - 1)
_SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 6), st.integers(1, 70))
_LIMITS = st.sampled_from([1, 7, 63, 127])


def _nearest(rows: np.ndarray, scale: np.ndarray, limit: int) -> np.ndarray:
    return np.clip(np.rint(rows / scale), -limit, limit)


@given(seed=_SEEDS, shape=_SHAPES, limit=_LIMITS, samples=st.integers(1, 100), shrink=st.floats(0.3, 1.5))
def test_no_row_is_worse_than_rounded_to_nearest(
    seed: int, shape: tuple[int, int, int], limit: int, samples: int, shrink: float
) -> None:
    rng = np.random.default_rng(seed)
    second, rows = correlated(rng, shape[0], shape[2], samples), random_rows(rng, *shape)
    scale = channel_scales(rows, limit)[:, :, None] * np.float32(shrink)
    elimination = prepare(second)
    rounded = round_compensated(rows, elimination, scale, lowest=-limit, highest=limit)
    assert rounded.dtype == np.int8
    assert np.abs(rounded.astype(int)).max() <= limit
    nearest = _nearest(rows, scale, limit)
    # What float32 can tell apart: a rounding of the damped objective.
    slack = 1e-5 * np.square(rows - nearest * scale).sum(axis=2) * elimination.power[:, None]
    worst = exact_errors(rows, nearest * scale, second)
    assert (exact_errors(rows, rounded * scale, second) <= worst * (1 + 1e-4) + slack).all()


def test_correlated_inputs_make_errors_good() -> None:
    """In the damped moments, the error expected is a twelfth of the factors' costs; without compensation, of the trace.

    Undamped, less is left.
    """
    rng = np.random.default_rng(0)
    second, rows = correlated(rng, 1, 120, 1000), random_rows(rng, 1, 100, 120)
    elimination = prepare(second, damping=0.01)
    scale = channel_scales(rows, 127)[:, :, None]
    rounded = round_compensated(rows, elimination, scale, lowest=-127, highest=127)
    damped = second / elimination.power[0] + 0.01 * np.eye(120)
    assert exact_errors(rows / scale, rounded, damped).mean() == pytest.approx(elimination.cost.sum() / 12, rel=0.05)
    assert exact_errors(rows / scale, _nearest(rows, scale, 127), damped).mean() == pytest.approx(121.2 / 12, rel=0.05)
    assert exact_errors(rows / scale, rounded, second).mean() < elimination.cost.sum() / 12 * elimination.power[0]


def test_two_inputs_that_are_one() -> None:
    """Their weights are only ever added: the sum comes out right to half a step, each alone is off by as much."""
    rows = np.array([[[0.4, 0.3]]], np.float32)
    rounded = round_compensated(rows, prepare(np.ones((1, 2, 2)), 1e-4), np.ones((1, 1, 1)), lowest=-8, highest=7)
    assert rounded.sum() == 1


@given(seed=_SEEDS, shape=_SHAPES, limit=_LIMITS)
def test_uncorrelated_inputs_are_rounded_to_nearest(seed: int, shape: tuple[int, int, int], limit: int) -> None:
    rng = np.random.default_rng(seed)
    rows = random_rows(rng, *shape)
    second = rng.uniform(0, 5, size=(shape[0], shape[2], 1)) * np.eye(shape[2])
    scale = channel_scales(rows, limit)[:, :, None]
    rounded = round_compensated(rows, prepare(second), scale, lowest=-limit, highest=limit)
    np.testing.assert_array_equal(rounded, _nearest(rows, scale, limit))


@given(seed=_SEEDS, shape=_SHAPES, exponents=st.tuples(st.integers(-60, 60), st.integers(-30, 30)))
def test_units_do_not_matter(seed: int, shape: tuple[int, int, int], exponents: tuple[int, int]) -> None:
    """Of the weights, a power of two per row, and of the inputs."""
    rng = np.random.default_rng(seed)
    second, rows = correlated(rng, shape[0], shape[2], 50), random_rows(rng, *shape)
    scale = channel_scales(rows, 7)[:, :, None]
    unit = np.float32(2.0) ** (np.arange(shape[1])[:, None] % 3 + exponents[0])
    one = round_compensated(rows, prepare(second), scale, lowest=-7, highest=7)
    other = round_compensated(rows * unit, prepare(second * 4.0 ** exponents[1]), scale * unit, lowest=-7, highest=7)
    np.testing.assert_array_equal(one, other)


@given(seed=_SEEDS, shape=_SHAPES, share=st.floats(0, 1))
def test_what_is_not_kept_stays_zero(seed: int, shape: tuple[int, int, int], share: float) -> None:
    rng = np.random.default_rng(seed)
    second, rows = correlated(rng, shape[0], shape[2], 50), random_rows(rng, *shape)
    kept, zero = rng.random(shape) < share, rng.integers(0, 16, size=(*shape[:2], 1))
    scale = channel_scales(rows, 7)[:, :, None]
    rounded = round_compensated(rows, prepare(second), scale, lowest=0, highest=15, zero_point=zero, kept=kept)
    assert (rounded == zero)[~kept].all()
    assert rounded.min() >= 0
    assert rounded.max() <= 15
    nearest = np.where(kept, np.clip(np.rint(rows / scale) + zero, 0, 15) - zero, 0) * scale
    worst = exact_errors(rows, nearest, second)
    slack = 1e-5 * np.square(rows - nearest).sum(axis=2) * prepare(second).power[:, None]
    assert (exact_errors(rows, (rounded - zero) * scale, second) <= worst * (1 + 1e-4) + slack).all()


def test_scales_and_zero_points_may_differ_within_a_row() -> None:
    """Blocks of inputs with their own grid, as 4-bit weights have: every weight lies on its own block's."""
    rng = np.random.default_rng(3)
    second, rows = correlated(rng, 1, 64, 200), random_rows(rng, 1, 20, 64)
    blocks = rows.reshape(1, 20, 4, 16)
    scale = np.repeat((blocks.max(axis=3) - blocks.min(axis=3)) / 15, 16, axis=2)
    zero = np.repeat(np.clip(np.rint(-blocks.min(axis=3) * 15 / np.ptp(blocks, axis=3)), 0, 15), 16, axis=2).astype(int)
    rounded = round_compensated(rows, prepare(second), scale, lowest=0, highest=15, zero_point=zero)
    nearest = np.clip(np.rint(rows / scale) + zero, 0, 15)
    ours = exact_errors(rows, (rounded - zero) * scale, second).sum()
    assert ours < 0.3 * exact_errors(rows, (nearest - zero) * scale, second).sum()


@pytest.mark.parametrize(("highest", "dtype"), [(127, np.int8), (255, np.int16)])
def test_integers_are_as_wide_as_the_grid(highest: int, dtype: type) -> None:
    rounded = round_compensated(
        np.ones((1, 1, 2)), prepare(np.ones((1, 2, 2))), np.array([[[1 / 100]]]), lowest=0, highest=highest
    )
    assert rounded.dtype == dtype
    assert rounded.tolist() == [[[100, 100]]]


def test_many_rows_are_rounded_as_well_as_few() -> None:
    """More of them than are worked on at once, of more inputs than are worked on between two products."""
    rng = np.random.default_rng(4)
    second, rows = correlated(rng, 1, 110, 300), random_rows(rng, 1, 2500, 110)
    scale = channel_scales(rows, 7)[:, :, None]
    rounded = round_compensated(rows, prepare(second), scale, lowest=-7, highest=7)
    nearest = exact_errors(rows, _nearest(rows, scale, 7) * scale, second)
    assert (exact_errors(rows, rounded * scale, second) < 0.5 * nearest).all()


@pytest.mark.parametrize(
    "rows",
    [
        np.zeros((1, 2, 3)),
        np.array([[[1e30, 1e-30, 1.0], [1e38, -1e38, 0.0]]]),
        np.array([[[1e-40, 0.0, 1e-42], [5.0, 5.0, 5.0]]]),
    ],
    ids=["zero", "huge", "subnormal"],
)
def test_extreme_weights_come_out_on_the_grid(rows: np.ndarray) -> None:
    second = np.array([[[1e-20, 0.0, 0.0], [0.0, 1e20, 1e19], [0.0, 1e19, 1e20]]])
    for scale in (channel_scales(rows, 127)[:, :, None], np.full((1, 2, 1), 1e-18, np.float32)):
        rounded = round_compensated(rows, prepare(second), scale, lowest=-127, highest=127)
        np.testing.assert_array_equal(rounded, _nearest(rows, scale, 127))


def test_the_same_input_gives_the_same_integers() -> None:
    rng = np.random.default_rng(5)
    second, rows = correlated(rng, 2, 90, 200), random_rows(rng, 2, 40, 90)
    scale = channel_scales(rows, 7)[:, :, None]
    first, again = (round_compensated(rows, prepare(second), scale, lowest=-7, highest=7) for _ in range(2))
    assert first.tobytes() == again.tobytes()


def test_nothing_that_was_given_is_changed() -> None:
    rng = np.random.default_rng(6)
    second, rows = correlated(rng, 1, 9, 20), random_rows(rng, 1, 4, 9)
    scale = channel_scales(rows, 7)[:, :, None]
    arrays = (second, rows, scale)
    copies = [array.copy() for array in arrays]
    for array in arrays:
        array.flags.writeable = False
    round_compensated(rows, prepare(second), scale, lowest=-7, highest=7)
    for array, copy in zip(arrays, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": np.ones((1, 2, 4))}, r"must be of shape \(1, R, 3\) like their moments, got \(1, 2, 4\)"),
        ({"rows": np.full((1, 2, 3), np.inf)}, "rows must be finite"),
        ({"scale": np.zeros((1, 2, 1))}, "scales must be finite and positive, got 0.0"),
        ({"scale": np.full((1, 2, 1), np.nan)}, "scales must be finite and positive, got nan"),
        ({"scale": np.ones((1, 5, 1))}, r"scale must broadcast to the rows' shape \(1, 2, 3\), got \(1, 5, 1\)"),
        ({"kept": np.ones((2, 2, 3), bool)}, r"kept must broadcast to the rows' shape"),
        ({"zero_point": 9}, "zero points must lie on the grid from -8 to 7, got 9 to 9"),
        ({"highest": 2**15}, "must fit into 16 bits, got -8 to 32768"),
    ],
)
def test_what_cannot_be_rounded_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {
        "rows": np.ones((1, 2, 3)),
        "scale": np.ones((1, 2, 1)),
        "lowest": -8,
        "highest": 7,
        "zero_point": 0,
    } | change
    with pytest.raises(ValueError, match=message):
        round_compensated(elimination=prepare(np.ones((1, 3, 3))), **arguments)


class TestScales:
    """The step between integers."""

    def test_the_largest_weight_is_the_largest_integer(self) -> None:
        rows = np.array([[[0.5, -2.54], [0.0, 0.0]]], np.float32)
        np.testing.assert_allclose(channel_scales(rows, 127), [[0.02, 1e-18]], rtol=1e-6)

    def test_a_limit_of_no_integers_is_refused(self) -> None:
        with pytest.raises(ValueError, match="at least 1, got 0"):
            channel_scales(np.ones((1, 1, 1)), 0)
