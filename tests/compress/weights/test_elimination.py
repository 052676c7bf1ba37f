"""The factors of second moments: they are those moments again, whatever rank and magnitude these have."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.weights.elimination import Elimination, independent, prepare
from tests.compress.made_moments import correlated, random_rows

_SEEDS = st.integers(0, 2**32 - 1)


def _in_order(elimination: Elimination, matrices: np.ndarray) -> np.ndarray:
    order = elimination.order
    rows = np.take_along_axis(matrices, order[:, :, None], axis=1)
    return np.take_along_axis(rows, order[:, None, :], axis=2)


@given(seed=_SEEDS, groups=st.integers(1, 3), inputs=st.integers(1, 130), samples=st.integers(1, 300))
def test_the_factors_multiply_to_the_damped_moments(seed: int, groups: int, inputs: int, samples: int) -> None:
    second = correlated(np.random.default_rng(seed), groups, inputs, samples)
    elimination = prepare(second, damping=0.05)
    mean = np.einsum("gkk->g", second)[:, None, None] / inputs
    wanted = second / mean + 0.05 * np.eye(inputs)
    np.testing.assert_allclose(elimination.moments, _in_order(elimination, wanted), atol=2e-5 * wanted.max())
    inverse = np.linalg.inv(_in_order(elimination, wanted))
    np.testing.assert_allclose(elimination.free_cost, 1 / np.einsum("gkk->gk", inverse), rtol=1e-3)


@given(seed=_SEEDS, inputs=st.integers(1, 110))
def test_what_is_fixed_last_costs_least(seed: int, inputs: int) -> None:
    """And before it what costs least of the others, given it, and so on: no other choice would have been cheaper."""
    second = correlated(np.random.default_rng(seed), 1, inputs, 4 * inputs)
    elimination = prepare(second)
    left = second[0] / elimination.power[0] + 0.01 * np.eye(inputs)
    for taken, cost in zip(elimination.order[0, ::-1], elimination.cost[0, ::-1], strict=True):
        assert cost == pytest.approx(np.nanmin(np.diag(left)), rel=1e-4)
        left = left - np.outer(left[taken], left[taken]) / left[taken, taken]
        left[taken] = left[:, taken] = np.nan


@given(seed=_SEEDS, exponent=st.integers(-30, 30))
def test_the_unit_of_the_moments_does_not_matter(seed: int, exponent: int) -> None:
    second = correlated(np.random.default_rng(seed), 2, 12, 30)
    one, other = prepare(second), prepare(second * 4.0**exponent)
    np.testing.assert_array_equal(one.order, other.order)
    np.testing.assert_array_equal(one.coupling, other.coupling)
    np.testing.assert_allclose(other.power, one.power * 4.0**exponent)


def test_inputs_that_were_always_zero_move_nothing() -> None:
    second = correlated(np.random.default_rng(0), 2, 6, 20)
    second[0, 2] = second[0, :, 2] = 0.0
    second[1] = 0.0
    elimination = prepare(second)
    place = elimination.order[0].tolist().index(2)
    np.testing.assert_array_equal(np.delete(elimination.coupling[0, place], place), 0.0)
    np.testing.assert_array_equal(np.delete(elimination.coupling[0, :, place], place), 0.0)
    np.testing.assert_array_equal(elimination.coupling[1], np.eye(6))


@pytest.mark.parametrize("damping", [0.0, 1e-8, 0.5])
def test_moments_of_one_sample_have_factors(damping: float) -> None:
    sample = np.random.default_rng(1).normal(size=(1, 100))
    elimination = prepare(np.einsum("gi,gj->gij", sample, sample), damping)
    assert np.isfinite(elimination.coupling).all()
    assert (elimination.cost > 0.0).all()


@given(seed=_SEEDS)
def test_arranging_is_undone_by_restoring(seed: int) -> None:
    rng = np.random.default_rng(seed)
    elimination = prepare(correlated(rng, 2, 5, 9))
    rows = random_rows(rng, 2, 3, 5)
    np.testing.assert_array_equal(elimination.restore(elimination.arrange(rows)), rows)
    constant = np.broadcast_to(rows[:, :, :1], rows.shape)
    np.testing.assert_array_equal(elimination.restore(elimination.arrange(constant)), constant)


@pytest.mark.parametrize(
    ("second", "damping", "message"),
    [
        (np.ones((2, 3)), 0.01, r"must be of shape \(G, K, K\), got \(2, 3\)"),
        (np.ones((1, 3, 2)), 0.01, r"must be of shape \(G, K, K\), got \(1, 3, 2\)"),
        (np.ones((0, 3, 3)), 0.01, r"must be of shape \(G, K, K\), got \(0, 3, 3\)"),
        (np.full((1, 2, 2), np.nan), 0.01, "must be finite"),
        (np.ones((1, 2, 2)), -1.0, "at least 0, got -1.0"),
        (np.ones((1, 2, 2)), np.nan, "at least 0, got nan"),
    ],
)
def test_what_has_no_factors_is_refused(second: np.ndarray, damping: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(second, damping)


def test_independent_inputs_need_no_factorizing() -> None:
    """As `prepare` would have it of the identity, at a price that does not grow with the cube of the inputs."""
    known, found = independent(2, 130), prepare(np.broadcast_to(np.eye(130, dtype=np.float32), (2, 130, 130)))
    for name in ("order", "coupling", "cost", "power"):
        assert np.array_equal(getattr(known, name), getattr(found, name)), name
    assert known.damping == found.damping
