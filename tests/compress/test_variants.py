"""The store of finished weights: made once, never larger than its limit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.variants import VariantStore


def _arrays(size: int) -> tuple[np.ndarray]:
    return (np.zeros(size, np.uint8),)


def test_each_is_made_once() -> None:
    store, made = VariantStore(), []

    def make() -> tuple[np.ndarray]:
        made.append(1)
        return _arrays(8)

    assert store.get("a", make) is store.get("a", make)
    assert len(made) == 1
    assert store.size_bytes == 8


def test_the_least_recently_used_goes_first() -> None:
    store = VariantStore(limit_bytes=20)
    first, second = store.get("a", lambda: _arrays(8)), store.get("b", lambda: _arrays(8))
    store.get("a", lambda: _arrays(8))
    store.get("c", lambda: _arrays(8))
    assert store.get("a", lambda: _arrays(8)) is first
    assert store.get("b", lambda: _arrays(8)) is not second


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=30))
def test_the_limit_holds(limit: int, requests: list[tuple[int, int]]) -> None:
    store = VariantStore(limit_bytes=limit)
    for key, size in requests:
        assert len(store.get((key, size), lambda size=size: _arrays(size))[0]) == size  # type: ignore[misc]
        assert store.size_bytes <= limit


def test_a_negative_limit_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative, got -1"):
        VariantStore(limit_bytes=-1)
