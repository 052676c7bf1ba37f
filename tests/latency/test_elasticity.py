"""A ratio follows the processor's speed by a power that its readings at several speeds tell."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latency.elasticity import LEVELS_APART, UNKNOWN, Elasticity, SpeedReading, fit_elasticity, ratio_at

FAST_MS, SLOW_MS = 3.5, 5.5

values = st.floats(-0.9, 0.9)
times_ms = st.floats(0.01, 1e4)
ratios = st.floats(0.01, 3.0)


def read(model: str, ratio: float, baseline_ms: float, share: float = 1.0) -> SpeedReading:
    return SpeedReading(model=model, ratio=ratio, baseline_ms=baseline_ms, share=share)


def readings(
    elasticity: float, *, models: int, noise: float, seed: int = 0, spoilt: int = 0
) -> tuple[list[SpeedReading], list[float]]:
    """Models of any ratio and share, each read at either speed; and the ratios that they have at the fast one."""
    rng = random.Random(seed)
    found, truth = [], []
    for number in range(models):
        ratio, share = rng.uniform(0.04, 0.9), rng.uniform(0.2, 1.0)
        truth.append(ratio)
        for level in (FAST_MS, SLOW_MS):
            grown = ratio * (level / FAST_MS) ** (elasticity * share)
            off = 0.4 if number < spoilt and level == SLOW_MS else rng.gauss(0.0, noise)
            found.append(read(str(number), grown * math.exp(off), level, share))
    return found, truth


@given(ratio=ratios, level_ms=times_ms, value=values, deviation=st.floats(0, 1))
def test_at_the_speed_it_was_taken_at_a_ratio_stays(ratio, level_ms, value, deviation):
    """No change of speed, no correction and no uncertainty more."""
    elasticity = Elasticity(value=value, deviation=deviation)
    assert ratio_at(ratio, taken_at_ms=level_ms, baseline_ms=level_ms, elasticity=elasticity) == (ratio, 0.0)


@given(ratio=ratios, taken_at_ms=times_ms, baseline_ms=times_ms)
def test_where_nothing_is_known_a_ratio_stays(ratio, taken_at_ms, baseline_ms):
    """An elasticity of 0 is the ratio as it was read."""
    assert ratio_at(ratio, taken_at_ms=taken_at_ms, baseline_ms=baseline_ms, elasticity=UNKNOWN) == (ratio, 0.0)


@given(ratio=ratios, there_ms=st.floats(1, 10), back_ms=st.floats(1, 10), value=values)
def test_there_and_back_is_where_it_was(ratio, there_ms, back_ms, value):
    """Corrections are powers, so that they can be undone."""
    elasticity = Elasticity(value=value, deviation=0.1)
    there, _ = ratio_at(ratio, taken_at_ms=back_ms, baseline_ms=there_ms, elasticity=elasticity)
    back, _ = ratio_at(there, taken_at_ms=there_ms, baseline_ms=back_ms, elasticity=elasticity)
    assert back == pytest.approx(ratio)


@given(value=values, share=st.floats(0, 1))
def test_fp32_has_none(value, share):
    """A model in FP32 has elasticity 0 for certain, and others by their share of the work."""
    whole = Elasticity(value=value, deviation=0.1)
    assert whole.of_share(0.0) == UNKNOWN
    assert whole.of_share(share).value == pytest.approx(value * share)
    assert UNKNOWN.of_share(share) == UNKNOWN


@settings(max_examples=25, deadline=None)
@given(value=st.floats(-0.5, 0.5), seed=st.integers(0, 2**16))
def test_it_is_recovered(value, seed):
    """From models that were read at two speeds, to within what the fit says of itself."""
    found, _ = readings(value, models=40, noise=0.02, seed=seed)
    fitted = fit_elasticity(found)
    assert abs(fitted.value - value) <= 5 * fitted.deviation
    assert fitted.deviation < 0.03


def test_a_few_spoilt_readings_do_not_count():
    """One reading in ten that is half as large again moves the fit by less than a least-squares fit's tenth of that."""
    found, _ = readings(0.4, models=40, noise=0.02, spoilt=4)
    assert fit_elasticity(found).value == pytest.approx(0.4, abs=0.04)


def test_readings_come_together():
    """At one speed, two readings of a model differ by their noise alone."""
    found, truth = readings(0.4, models=60, noise=0.01, seed=3)
    fitted = fit_elasticity(found)
    for reading in found:
        elasticity = fitted.of_share(reading.share)
        there, more = ratio_at(
            reading.ratio, taken_at_ms=reading.baseline_ms, baseline_ms=FAST_MS, elasticity=elasticity
        )
        assert there == pytest.approx(truth[int(reading.model)], rel=0.05)
        assert (more > 0) == (reading.baseline_ms != FAST_MS)


@settings(deadline=None)
@given(
    levels=st.lists(st.floats(1.0, math.exp(0.99 * LEVELS_APART)), min_size=2, max_size=8),
    apart=st.lists(ratios, min_size=8, max_size=8),
)
def test_one_speed_says_nothing(levels, apart):
    """What sessions of FP32 differ by is no speed, whatever the ratios do."""
    taken = [read("a", ratio, 2.0 * level) for ratio, level in zip(apart, levels, strict=False)]
    assert fit_elasticity(taken) == UNKNOWN


def test_models_of_fp32_and_single_readings_say_nothing():
    """A slope needs one model at two speeds, and work in another format."""
    alone = [read("a", 0.3, FAST_MS), read("b", 0.5, SLOW_MS)]
    fp32 = [read("c", 1.0, FAST_MS, 0.0), read("c", 1.1, SLOW_MS, 0.0)]
    assert fit_elasticity([*alone, *fp32]) == UNKNOWN


def test_a_single_pair_is_believed_with_its_uncertainty():
    """One model read at two speeds moves the belief most of the way, and says that it is no more than one."""
    one = fit_elasticity([read("a", 0.300, FAST_MS), read("a", 0.357, SLOW_MS)])
    many = fit_elasticity(readings(0.4, models=40, noise=0.02)[0])
    assert 0.2 < one.value < 0.4
    assert one.deviation > 3 * many.deviation


@settings(max_examples=25, deadline=None)
@given(st.permutations(readings(0.4, models=4, noise=0.02)[0]))
def test_the_order_of_readings_does_not_matter(taken):
    """They are a set."""
    expected = fit_elasticity(readings(0.4, models=4, noise=0.02)[0])
    fitted = fit_elasticity(taken)
    assert (fitted.value, fitted.deviation) == pytest.approx((expected.value, expected.deviation))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"ratio": 0.0}, "ratio"), ({"baseline_ms": math.nan}, "baseline_ms"), ({"share": 1.5}, "share")],
)
def test_no_reading(wrong, told):
    """A reading without a time is none."""
    with pytest.raises(ValueError, match=told):
        SpeedReading(**{"model": "a", "ratio": 0.3, "baseline_ms": 1.0, "share": 1.0, **wrong})
