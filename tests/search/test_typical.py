"""What something typically takes."""

from __future__ import annotations

import pytest

from search.typical import Typical


def test_the_median_of_the_latest_counts_and_what_fails_says_nothing() -> None:
    now = iter([0.0, 4.0, 0.0, 100.0, *(tick for _ in range(15) for tick in (0.0, 1.0)), 0.0])
    typical = Typical(clock=now.__next__)
    assert typical.seconds is None
    with typical.timing(parts=2):
        pass
    assert typical.seconds == 2.0
    with typical.timing():
        pass
    assert typical.seconds == 51.0
    for _ in range(15):
        with typical.timing():
            pass
    assert typical.seconds == 1.0
    with pytest.raises(ValueError, match="no"), typical.timing():
        raise ValueError("no")
    assert typical.seconds == 1.0
