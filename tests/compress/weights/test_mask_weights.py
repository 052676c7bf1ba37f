"""Masks: exactly as many zeros as asked for, where the pattern wants them, and the others make them good."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.weights.elimination import prepare
from compress.weights.mask_weights import mask_compensated
from compress.weights.round_weights import channel_scales, round_compensated
from tests.compress.made_moments import correlated, exact_errors, random_rows

_SEEDS = st.integers(0, 2**32 - 1)


def _smallest_gone(rows: np.ndarray, ratio: float) -> np.ndarray:
    kept = np.ones(rows.size, bool)
    kept[np.abs(rows).argsort(axis=None)[: round(ratio * rows.size)]] = False
    return kept.reshape(rows.shape)


@given(
    seed=_SEEDS,
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 40)),
    ratio=st.floats(0.01, 0.99),
    samples=st.integers(1, 80),
)
def test_as_many_zeros_as_asked_for(seed: int, shape: tuple[int, int, int], ratio: float, samples: int) -> None:
    rng = np.random.default_rng(seed)
    second, rows = correlated(rng, shape[0], shape[2], samples), random_rows(rng, *shape)
    masked = mask_compensated(rows, prepare(second), pattern="unstructured", ratio=ratio)
    assert np.isfinite(masked).all()
    assert (masked == 0.0).sum() == round(ratio * rows.size)


@given(seed=_SEEDS, shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)), permuted=st.booleans())
def test_two_of_every_four(seed: int, shape: tuple[int, int, int], *, permuted: bool) -> None:
    rng = np.random.default_rng(seed)
    inputs = 4 * shape[2]
    second, rows = correlated(rng, shape[0], inputs, 50), random_rows(rng, *shape[:2], inputs)
    order = rng.permutation(inputs) if permuted else None
    masked = mask_compensated(rows, prepare(second), pattern="2:4", ratio=0.5, order=order)
    zeros = (masked if order is None else masked[:, :, order]).reshape(-1, 4) == 0.0
    assert (zeros.sum(axis=1) == 2).all()


@pytest.mark.parametrize("pattern", ["2:4", "unstructured"])
def test_correlated_inputs_make_good_what_magnitude_loses(pattern: Any) -> None:
    rng = np.random.default_rng(0)
    second, rows = correlated(rng, 1, 60, 500), random_rows(rng, 1, 40, 60)
    rows /= np.abs(rows).max(axis=2, keepdims=True)
    masked = mask_compensated(rows, prepare(second), pattern=pattern, ratio=0.5)
    if pattern == "2:4":
        ranks = np.abs(rows).reshape(-1, 4).argsort(axis=1).argsort(axis=1)
        plain = rows * (ranks >= 2).reshape(rows.shape)
    else:
        plain = rows * _smallest_gone(rows, 0.5)
    assert exact_errors(rows, masked, second).sum() < 0.25 * exact_errors(rows, plain, second).sum()


def test_what_is_kept_is_the_best_fit_of_its_mask() -> None:
    rng = np.random.default_rng(1)
    second, rows = correlated(rng, 2, 20, 200), random_rows(rng, 2, 5, 20)
    masked = mask_compensated(rows, prepare(second, 1e-3), pattern="unstructured", ratio=0.4)
    for group in range(2):
        damped = second[group] + 1e-3 * np.trace(second[group]) / 20 * np.eye(20)
        for row, found in zip(rows[group].astype(np.float64), masked[group], strict=True):
            kept = found != 0.0
            wanted = np.linalg.solve(damped[np.ix_(kept, kept)], damped[kept] @ row)
            np.testing.assert_allclose(found[kept], wanted, atol=2e-2 * np.abs(row).max())


def test_an_input_that_another_repeats_can_go_for_nothing() -> None:
    """Of two inputs that are always equal, one weight takes over the other's."""
    rng = np.random.default_rng(2)
    half = rng.normal(size=(300, 4))
    values = np.concatenate([half, half], axis=1)
    second, rows = (values.T @ values / 300)[None], rng.uniform(1, 2, size=(1, 6, 8))
    masked = mask_compensated(rows, prepare(second, 1e-5), pattern="unstructured", ratio=0.25)
    np.testing.assert_allclose(masked[:, :, :4] + masked[:, :, 4:], rows[:, :, :4] + rows[:, :, 4:], rtol=1e-2)


def test_uncorrelated_inputs_lose_what_weighs_least() -> None:
    rng = np.random.default_rng(3)
    rows, power = random_rows(rng, 2, 6, 10), rng.uniform(0.1, 3, size=(2, 1, 10))
    masked = mask_compensated(rows, prepare(power * np.eye(10)), pattern="unstructured", ratio=0.5)
    weighed = rows * np.sqrt(power + 0.02 * power.mean())
    np.testing.assert_array_equal(masked != 0.0, _smallest_gone(weighed, 0.5))
    np.testing.assert_allclose(masked[masked != 0.0], rows[masked != 0.0], rtol=1e-5)


@pytest.mark.parametrize("pattern", ["2:4", "unstructured"])
def test_no_ratio_changes_nothing(pattern: Any) -> None:
    rng = np.random.default_rng(4)
    rows = random_rows(rng, 1, 3, 8)
    masked = mask_compensated(rows, prepare(correlated(rng, 1, 8, 20)), pattern=pattern, ratio=0.0)
    np.testing.assert_array_equal(masked, rows)


@given(seed=_SEEDS, exponents=st.tuples(st.integers(-30, 30), st.integers(-30, 30)))
def test_units_do_not_matter(seed: int, exponents: tuple[int, int]) -> None:
    rng = np.random.default_rng(seed)
    second, rows = correlated(rng, 2, 10, 40), random_rows(rng, 2, 4, 10)
    unit = np.float32(2.0 ** exponents[0])
    one = mask_compensated(rows, prepare(second), pattern="unstructured", ratio=0.5)
    other = mask_compensated(rows * unit, prepare(second * 4.0 ** exponents[1]), pattern="unstructured", ratio=0.5)
    np.testing.assert_allclose(one * unit, other, rtol=1e-4, atol=1e-6 * float(unit))


@pytest.mark.parametrize("second", [np.zeros((1, 4, 4)), np.ones((1, 4, 4))], ids=["no data", "one direction"])
@pytest.mark.parametrize("rows", [np.zeros((1, 3, 4)), np.full((1, 3, 4), 1e30), np.full((1, 3, 4), 1e-30)])
def test_data_that_says_nothing_still_gives_a_mask(second: np.ndarray, rows: np.ndarray) -> None:
    masked = mask_compensated(rows, prepare(second, 0.0), pattern="2:4", ratio=0.5)
    assert np.isfinite(masked).all()
    assert (masked == 0.0).sum() >= 6


def test_rounding_keeps_the_mask() -> None:
    rng = np.random.default_rng(5)
    second, rows = correlated(rng, 1, 40, 200), random_rows(rng, 1, 10, 40)
    elimination = prepare(second)
    masked = mask_compensated(rows, elimination, pattern="2:4", ratio=0.5)
    scale, kept = channel_scales(masked, 127)[:, :, None], masked != 0.0
    rounded = round_compensated(masked, elimination, scale, lowest=-127, highest=127, kept=kept)
    assert not rounded[~kept].any()
    lost = exact_errors(rows, masked, second).sum()
    assert exact_errors(rows, rounded * scale, second).sum() < 1.1 * lost


def test_the_same_input_gives_the_same_weights() -> None:
    rng = np.random.default_rng(6)
    second, rows = correlated(rng, 1, 60, 200), random_rows(rng, 1, 20, 60)
    first, again = (mask_compensated(rows, prepare(second), pattern="unstructured", ratio=0.5) for _ in range(2))
    assert first.tobytes() == again.tobytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ratio": 1.0}, r"ratio must be in \[0, 1\), got 1.0"),
        ({"ratio": np.nan}, r"ratio must be in \[0, 1\), got nan"),
        ({"pattern": "4:8"}, "pattern must be one of 2:4, unstructured, got '4:8'"),
        ({"pattern": "2:4", "ratio": 0.25}, "has a ratio of 0.5"),
        ({"pattern": "2:4", "rows": np.ones((1, 2, 3))}, "needs a multiple of 4 inputs to a row, got 3"),
        ({"rows": np.ones((1, 2, 2))}, r"must be of shape \(1, R, 3\)"),
        ({"rows": np.full((1, 2, 3), np.nan)}, "rows must be finite"),
        ({"order": np.array([0, 0, 1])}, "must be a permutation of the 3 inputs"),
    ],
)
def test_what_cannot_be_masked_is_refused(change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"rows": np.ones((1, 2, 3)), "pattern": "unstructured", "ratio": 0.5} | change
    with pytest.raises(ValueError, match=message):
        mask_compensated(elimination=prepare(np.eye(3)[None]), **arguments)
