"""Where low-rank factors begin to save something."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.ranks import FACTORIZED_SIDE_LIMIT, Decomposition, break_even_rank, rank_of
from tests.compress.states import layer_of


def test_break_even() -> None:
    layer = layer_of("Conv", (64, 64, 1, 1))
    assert break_even_rank(layer) == 32
    assert [rank_of(layer, f, 1) for f in (0.01, 0.5, 0.75, 1.0)] == [1, 16, 24, None]
    assert [rank_of(layer, f, 16) for f in (0.01, 0.5, 0.75, 0.99)] == [16, 16, None, None]
    assert rank_of(layer_of("Conv", (1, 64, 1, 1)), 0.5, 1) is None


@given(
    st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 5)),
    st.floats(0.01, 0.99),
    st.sampled_from([1, 4, 16]),
    st.sampled_from(["channel", "spatial"]),
)
def test_factors_are_never_larger_than_the_layer(
    shape: tuple[int, int, int, int], fraction: float, multiple: int, decomposition: Decomposition
) -> None:
    layer = layer_of("Conv", shape)
    rank = rank_of(layer, fraction, multiple, decomposition)
    if rank is None:
        return
    assert rank % multiple == 0
    outputs, inputs, height, width = shape
    if decomposition == "channel":
        assert rank * (inputs * height * width + outputs) < layer.weight_count
    else:
        assert rank * (inputs * height + outputs * width) < layer.weight_count


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((64, 1, 3, 3), 64), ((FACTORIZED_SIDE_LIMIT + 1, 9000, 3, 3), 1), ((4, 0, 3, 3), 1)],
)
def test_some_layers_have_no_factors(shape: tuple[int, ...], groups: int) -> None:
    """Grouped convolutions, layers too large to decompose, and those that have no inputs left."""
    layer = layer_of("Conv", shape, groups=groups)
    for decomposition in ("channel", "spatial"):
        assert break_even_rank(layer, decomposition) == 0  # type: ignore[arg-type]
        assert rank_of(layer, 0.5, 1, decomposition) is None  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(64, 64, 1, 1), (64, 64, 3, 1), (64, 64, 9), (64, 64, 3, 3, 3)])
def test_only_two_dimensional_kernels_come_apart_in_space(shape: tuple[int, ...]) -> None:
    assert break_even_rank(layer_of("Conv", shape), "spatial") == 0
    assert break_even_rank(layer_of("Conv", (64, 64, 3, 3)), "spatial") > 0
