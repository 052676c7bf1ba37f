"""A histogram says of a tensor what all its batches together say; ranges made of it clip where that pays."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.scheme import SCHEMES, QuantizationScheme, Range
from compress.statistics.activation_ranges import RANGE_METHODS, minmax, mse_optimal, percentile, quantization_error
from compress.statistics.histogram import BIN_COUNT, SAMPLE_LIMIT, ActivationHistogram

_UNBOUNDED = (-math.inf, math.inf)
_CLIPPED = (0.0, 6.0)

_batches = st.lists(
    st.lists(st.floats(-(2.0**90), 2.0**90, width=32), min_size=1, max_size=20).map(
        lambda xs: np.array(xs, np.float32)
    ),
    min_size=1,
    max_size=4,
)


def _histogram(*batches: NDArray[np.floating]) -> ActivationHistogram:
    histogram = ActivationHistogram("a")
    for batch in batches:
        histogram.add(batch)
    return histogram


def _tensors() -> dict[str, tuple[NDArray[np.float32], Range]]:
    random = np.random.default_rng(0)
    shape = (4, 24, 20, 21)
    tensors = {
        "normal": (random.normal(size=shape), _UNBOUNDED),
        "relu": (np.maximum(random.normal(size=shape), 0.0), (0.0, math.inf)),
        "clip": (np.clip(3.0 * random.normal(size=shape), 0.0, 6.0), _CLIPPED),
        "heavy": (random.standard_t(3, size=shape), _UNBOUNDED),
        "outlier": (np.append(random.normal(size=5000), 300.0), _UNBOUNDED),
        "shifted": (np.abs(random.normal(size=(100, 100))) - 0.17, _UNBOUNDED),
        "constant": (np.full(100, 0.3), _UNBOUNDED),
    }
    return {name: (array.astype(np.float32), bounds) for name, (array, bounds) in tensors.items()}


_TENSORS = _tensors()
_CASES = [(name, scheme) for name in _TENSORS for scheme in ("u8s8", "s8s8")]


def _true_error(x: NDArray[np.float32], value_range: Range, scheme: QuantizationScheme, bounds: Range) -> float:
    """What QuantizeLinear and DequantizeLinear do to every element."""
    scale, zero_point = scheme.activation_parameters(value_range, bounds)
    limits = np.iinfo(scheme.activation_dtype)
    integers = np.clip(np.rint(x.astype(np.float64) / float(scale)) + int(zero_point), limits.min, limits.max)
    return float(np.square((integers - int(zero_point)) * float(scale) - x).mean())


@given(batches=_batches)
def test_order_of_batches_does_not_matter(batches: list[NDArray[np.float32]]) -> None:
    expected = _histogram(*batches).to_arrays()
    for order in list(permutations(batches))[1:]:
        found = _histogram(*order).to_arrays()
        assert all(np.array_equal(found[key], expected[key]) for key in expected)


@given(batches=_batches)
def test_every_element_of_a_small_array_is_counted_where_it_lies(batches: list[NDArray[np.float32]]) -> None:
    histogram, whole = _histogram(*batches), np.concatenate(batches).astype(np.float64)
    left, right, counts = histogram.spread()
    assert (histogram.low, histogram.high) == (whole.min(), whole.max())
    assert counts.sum() == histogram.element_count == whole.size
    for start, end, count in zip(left, right, counts, strict=True):
        inside = (whole == 0.0) if start == end == 0.0 else (whole >= start) & (whole <= end) & (whole != 0.0)
        # A value on the edge of two bins lies in both of these closed intervals, so the right edge may add some.
        on_edge = (whole == end).sum() if end != start else 0
        assert inside.sum() - on_edge <= count <= inside.sum()


def test_bins_are_fine_beside_the_range() -> None:
    """Powers of two: at least half as many bins as there are, however the range grew."""
    for high in np.geomspace(1e-3, 1e6, 40):
        histogram = _histogram(np.array([1e-6], np.float32), np.array([-high / 3, high], np.float32))
        left, right, _ = histogram.spread()
        assert (right - left).max() <= (histogram.high - histogram.low) * 2.01 / BIN_COUNT


def test_large_arrays_are_sampled_in_every_channel() -> None:
    """Channel c holds the value c only: strides that miss channels would miss values."""
    for shape in ((4, 64, 32, 32), (8, 96, 48, 48), (64, 512)):
        channels = np.arange(shape[1], dtype=np.float32).reshape(1, -1, *[1] * (len(shape) - 2))
        array = np.broadcast_to(channels, shape).copy()
        assert array.size > SAMPLE_LIMIT
        _, _, counts = _histogram(array).spread()
        assert len(counts) == shape[1]
        assert counts == pytest.approx(array.size / shape[1], rel=0.2)


def test_rare_values_of_large_arrays_are_all_counted() -> None:
    array = np.random.default_rng(1).normal(size=(16, 64, 32, 32)).astype(np.float32)
    array.reshape(-1)[7::50000] = 100.0
    left, _, counts = _histogram(array).spread()
    assert counts[left > 50.0].sum() == len(array.reshape(-1)[7::50000])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_refused_with_the_tensor(bad: float) -> None:
    array = np.zeros((2, 3), np.float32)
    array[1, 1] = bad
    with pytest.raises(CompressionError, match=r"tensor 'conv_out' .* not finite"):
        ActivationHistogram("conv_out").add(array)


def test_a_tensor_without_data_has_no_range() -> None:
    with pytest.raises(CompressionError, match="tensor 'a' has no range"):
        minmax(_histogram(np.zeros((0, 3), np.float32)))


@pytest.mark.parametrize("dtype", [np.float16, np.float64, np.int64, np.int8, np.bool_])
def test_other_number_types(dtype: type[np.generic]) -> None:
    array = np.array([0, 1, 1, 0, 1]).astype(dtype)
    assert percentile(_histogram(array), 100.0) == (0.0, 1.0)


def test_arrays_and_back() -> None:
    histogram = _histogram(_TENSORS["heavy"][0])
    again = ActivationHistogram.from_arrays("a", histogram.to_arrays())
    for one in (histogram, again):
        one.add(np.array([1e5, -3.0], np.float32))
    first, second = histogram.to_arrays(), again.to_arrays()
    assert all(np.array_equal(first[key], second[key]) for key in first)


@pytest.mark.parametrize("name", _TENSORS)
@pytest.mark.parametrize("p", [90.0, 99.0, 99.9])
def test_percentiles_are_those_of_the_data(name: str, p: float) -> None:
    x = _TENSORS[name][0]
    expected = (min(np.percentile(x, 100.0 - p), 0.0), max(np.percentile(x, p), 0.0))
    found, width = percentile(_histogram(x), p), 2.0 * (float(x.max()) - float(x.min())) / BIN_COUNT
    assert found == pytest.approx(expected, rel=0.03, abs=width)


def test_percentile_of_what_is_nearly_always_zero() -> None:
    x = np.zeros(100_000, np.float32)
    x[3] = 5.0
    assert percentile(_histogram(x), 99.0) == (0.0, 5.0)


@pytest.mark.parametrize("p", [50.0, 100.1])
def test_percentile_out_of_bounds(p: float) -> None:
    with pytest.raises(ValueError, match="p must be in"):
        percentile(_histogram(np.ones(3, np.float32)), p)


@pytest.mark.parametrize(("name", "scheme"), _CASES)
@pytest.mark.parametrize("shrunk", [1.0, 0.6, 0.1])
def test_expected_error_is_the_true_one(name: str, scheme: str, shrunk: float) -> None:
    x, bounds = _TENSORS[name]
    histogram = _histogram(x)
    low, high = minmax(histogram)
    value_range = (shrunk * low, shrunk * high)
    expected = _true_error(x, value_range, SCHEMES[scheme], bounds)
    found = quantization_error(histogram, value_range, SCHEMES[scheme], bounds)
    # Where large arrays are sampled, how many elements stand at a clamp is known to a few percent.
    assert found == pytest.approx(expected, rel=0.06, abs=1e-14)


@pytest.mark.parametrize(("name", "scheme"), _CASES)
def test_optimum_is_as_good_as_a_search_through_the_data(name: str, scheme: str) -> None:
    """Against a grid of ranges tried on the elements themselves."""
    x, bounds = _TENSORS[name]
    histogram = _histogram(x)
    low, high = minmax(histogram)
    fractions = 2.0 ** -np.arange(0.0, 4.0, 0.5)
    least = min(_true_error(x, (a * low, b * high), SCHEMES[scheme], bounds) for a in fractions for b in fractions)
    found = mse_optimal(histogram, SCHEMES[scheme], bounds)
    assert _true_error(x, found, SCHEMES[scheme], bounds) <= 1.02 * least + 1e-14


def test_optimum_clips_an_outlier_and_keeps_a_clamp() -> None:
    x = np.append(np.random.default_rng(2).normal(size=200_000), 40.0).astype(np.float32)
    assert mse_optimal(_histogram(x), SCHEMES["u8s8"])[1] < 36.0
    clipped, bounds = _TENSORS["clip"]
    assert mse_optimal(_histogram(clipped), SCHEMES["u8s8"], bounds) == (0.0, 6.0)


@pytest.mark.parametrize("method", RANGE_METHODS)
@given(batches=_batches)
def test_every_method_keeps_zero_inside_the_extremes(method: str, batches: list[NDArray[np.float32]]) -> None:
    histogram = _histogram(*batches)
    low, high = RANGE_METHODS[method](histogram, SCHEMES["u8s8"], _UNBOUNDED)
    widest = minmax(histogram)
    assert widest[0] <= low <= 0.0 <= high <= widest[1]


@pytest.mark.parametrize("method", RANGE_METHODS)
@pytest.mark.parametrize(("name", "scheme"), _CASES)
def test_no_method_beats_the_optimum(method: str, name: str, scheme: str) -> None:
    x, bounds = _TENSORS[name]
    histogram = _histogram(x)
    found = RANGE_METHODS[method](histogram, SCHEMES[scheme], bounds)
    best = mse_optimal(histogram, SCHEMES[scheme], bounds)
    errors = [quantization_error(histogram, one, SCHEMES[scheme], bounds) for one in (best, found)]
    assert errors[0] <= 1.02 * errors[1]
