"""The order in which channels go: dead ones and copies first, and what a layer needs last."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.channels.importance import Consumer, removal_order
from compress.weights.refit import refit
from tests.compress.made_moments import correlated, exact_errors, random_rows


def _consumer(rows: np.ndarray, second: np.ndarray, per_unit: int = 1) -> Consumer:
    return Consumer(rows=rows, second=second, columns=np.arange(len(second)).reshape(-1, per_unit))


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 3), st.integers(0, 3), st.integers(0, 99))
def test_every_unit_goes_once(units: int, per_unit: int, consumers: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    found = [
        _consumer(
            random_rows(random, 1, 3, units * per_unit)[0], correlated(random, 1, units * per_unit, 50)[0], per_unit
        )
        for _ in range(consumers)
    ]
    order = removal_order(found, units)
    assert sorted(order) == list(range(units))
    np.testing.assert_array_equal(order, removal_order(found, units))


def test_without_readers_the_last_go_first() -> None:
    assert removal_order([], 4).tolist() == [3, 2, 1, 0]


def test_dead_channels_and_copies_go_first() -> None:
    """Channel 2 is never awake, channel 5 is read with zeros, one of channels 0 and 7 says what the other says."""
    random = np.random.default_rng(0)
    x = random.normal(size=(4000, 8))
    x[:, 2] = 0
    x[:, 7] = x[:, 0]
    rows = random.normal(size=(6, 8)).astype(np.float32)
    rows[:, 5] = 0
    order = removal_order([_consumer(rows, x.T @ x / len(x))], 8).tolist()
    assert set(order[:2]) == {2, 5}
    assert order[2] in {0, 7}
    # What is left of the two is then as indispensable as the rest.
    assert {0, 7} - set(order[:3])


def test_a_unit_matters_as_much_as_all_its_readers_say() -> None:
    random = np.random.default_rng(0)
    second = np.eye(4)
    one, two = (random.normal(size=(5, 4)).astype(np.float32) * 0.1 for _ in range(2))
    one[:, 0] = 5
    two[:, 1] = 5
    assert set(removal_order([_consumer(one, second), _consumer(two, second)], 4)[-2:].tolist()) == {0, 1}
    assert removal_order([_consumer(one, second)], 4)[-1] == 0


def test_the_order_beats_chance_after_the_refit() -> None:
    random = np.random.default_rng(1)
    rows, second = random_rows(random, 1, 8, 24), correlated(random, 1, 24, 400)
    order = removal_order([_consumer(rows[0], second[0])], 24)

    def error(kept: np.ndarray) -> float:
        whole = np.zeros_like(rows)
        whole[:, :, kept] = refit(rows, second, kept)
        return float(exact_errors(rows, whole, second).sum())

    ours = error(np.sort(order[12:]))
    others = [error(np.sort(random.choice(24, 12, replace=False))) for _ in range(40)]
    assert ours < min(others)
