"""After channels have gone nothing answers better than the refitted rows."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.weights.refit import refit, response_error
from tests.compress.made_moments import correlated, exact_errors, random_rows


def _embedded(fitted: np.ndarray, kept: np.ndarray, length: int) -> np.ndarray:
    """Rows over the kept inputs as rows over all, zeros elsewhere."""
    whole = np.zeros((*fitted.shape[:2], length), np.float64)
    whole[:, :, kept] = fitted
    return whole


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 2), st.integers(2, 12), st.integers(0, 999))
def test_no_other_weights_answer_better(groups: int, inputs: int, seed: int) -> None:
    """Up to the ridge, which costs a thousandth of the mean variance."""
    random = np.random.default_rng(seed)
    second, rows = correlated(random, groups, inputs, 200), random_rows(random, groups, 3, inputs)
    kept = np.sort(random.choice(inputs, random.integers(1, inputs), replace=False))
    fitted = refit(rows, second, kept)
    assert fitted.shape == (groups, 3, len(kept))
    ours = exact_errors(rows, _embedded(fitted, kept, inputs), second)
    among = second[:, kept[:, None], kept[None, :]]
    best = np.linalg.solve(among, (rows @ second[:, :, kept]).swapaxes(1, 2)).swapaxes(1, 2)
    optimum = exact_errors(rows, _embedded(best, kept, inputs), second)
    ridge = 1e-3 * np.trace(second, axis1=1, axis2=2)[:, None] / inputs
    assert (ours <= 1.001 * optimum + ridge * np.square(best - rows[:, :, kept]).sum(axis=2) + 1e-9).all()
    cut = exact_errors(rows, _embedded(rows[:, :, kept], kept, inputs), second)
    assert (ours <= cut * 1.001 + 1e-9).all()


def test_all_inputs_kept_is_the_layer() -> None:
    random = np.random.default_rng(0)
    rows = random_rows(random, 2, 3, 5)
    np.testing.assert_array_equal(refit(rows, correlated(random, 2, 5, 50), np.arange(5)), rows)


def test_an_input_that_another_repeats_is_no_loss() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=(500, 3))
    x = np.column_stack([x, x[:, 0]])
    rows = random_rows(random, 1, 4, 4)
    second = (x.T @ x / len(x))[None].astype(np.float32)
    fitted = refit(rows, second, np.arange(3))
    assert response_error(rows, _embedded(fitted, np.arange(3), 4).astype(np.float32), second) < 1e-5


def test_inputs_that_were_never_awake_leave_the_weights_alone() -> None:
    rows = random_rows(np.random.default_rng(0), 1, 2, 4)
    kept = np.array([1, 2])
    np.testing.assert_allclose(refit(rows, np.zeros((1, 4, 4), np.float32), kept), rows[:, :, kept], rtol=1e-5)


def test_no_inputs_left() -> None:
    random = np.random.default_rng(0)
    nothing = np.zeros(0, np.int64)
    assert refit(random_rows(random, 1, 2, 4), correlated(random, 1, 4, 50), nothing).shape == (1, 2, 0)


def test_the_error_is_a_share_of_the_answer() -> None:
    random = np.random.default_rng(0)
    rows, second = random_rows(random, 1, 2, 4), correlated(random, 1, 4, 50).astype(np.float32)
    assert response_error(rows, rows, second) == 0.0
    assert abs(response_error(rows, rows * 0, second) - 1.0) < 1e-6
    assert response_error(rows * 0, rows, second * 0) == 0.0
