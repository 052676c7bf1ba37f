"""How figures are written."""

from __future__ import annotations

import math

import pytest

from search import notation


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (notation.speedup_text(3.4159), "3.42×"),
        (notation.metric_text(0.98504), "0.9850"),
        (notation.metric_text(31.416), "31.42"),
        (notation.latency_text(1.667), "1.67"),
        (notation.latency_text(0.04123), "0.0412"),
        (notation.latency_text(1234.5), "1234"),
        (notation.latency_text(math.nan), "–"),
        (notation.drop_text(0.0042, is_fraction=True), "0.42"),
        (notation.drop_text(-0.0042, is_fraction=True), "−0.42"),
        (notation.drop_text(-0.00001, is_fraction=True), "0.00"),
        (notation.drop_text(1.5, is_fraction=False), "1.5000"),
        (notation.size_text(312_400), "312\u00a0kB"),
        (notation.size_text(1_240_000), "1.24\u00a0MB"),
        (notation.size_text(17), "17\u00a0B"),
        (notation.size_text(None), "–"),
        (notation.duration_text(59.4), "59 s"),
        (notation.duration_text(725), "12 min 5 s"),
        (notation.duration_text(28_710), "7 h 58 min"),
        (notation.shortened("abcdefghij", 7), "abc…hij"),
        (notation.shortened("abc", 3), "abc"),
    ],
)
def test_figures_read_as_people_write_them(written: str, expected: str) -> None:
    assert written == expected
