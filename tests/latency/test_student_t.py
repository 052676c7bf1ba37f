"""Quantiles of Student's t are SciPy's, for every degree of freedom that an interval may have."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import stdtrit

from latency.student_t import t_quantile


@given(degrees=st.floats(0.1, 1e5), probability=st.floats(0.001, 0.999))
def test_they_are_scipys(degrees: float, probability: float) -> None:
    assert t_quantile(degrees, probability) == pytest.approx(float(stdtrit(degrees, probability)), rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("probability", [0.6, 0.975, 0.995])
def test_of_one_degree_they_are_cauchys_and_of_two_algebraic(probability: float) -> None:
    assert t_quantile(1, probability) == pytest.approx(math.tan(math.pi * (probability - 0.5)), rel=1e-10)
    off = 2 * probability - 1
    assert t_quantile(2, probability) == pytest.approx(off * math.sqrt(2 / (1 - off**2)), rel=1e-10)


@pytest.mark.parametrize(("degrees", "probability"), [(0.0, 0.9), (-1.0, 0.9), (math.nan, 0.9), (3.0, 1.0), (3.0, 0.0)])
def test_what_is_out_of_range_is_said(degrees: float, probability: float) -> None:
    with pytest.raises(ValueError, match="degrees must be above 0 and probability in"):
        t_quantile(degrees, probability)
