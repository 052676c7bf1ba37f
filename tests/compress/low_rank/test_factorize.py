"""Two factors are the layer when nothing is cut, and the best approximation of their rank when something is."""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from compress.errors import PolicyError
from compress.graph import constant
from compress.layers import Layer
from compress.low_rank.factor_pair import FactorPair
from compress.low_rank.factorize import better_decomposition, decompose, lost_share, take_rank
from compress.low_rank.factorize_layers import FactorizeLayers, Split
from compress.network import serialize
from compress.ranks import Decomposition, break_even_rank
from compress.runtime import open_session
from compress.weight_rows import to_rows
from compress.weights.layer_state import LayerState
from tests.compress.conftest import Loaded
from tests.compress.states import convolution_state, correlated_images, matrix_state, mean_answer

_SPELLINGS = ["plain_convolutions", "padded_resized", "gemm_spellings", "transformer_block", "three_dimensional"]


def _exact_split(loaded: Loaded, layer: Layer, *, in_space: bool) -> Split:
    """Factors of full rank, by the singular value decomposition."""
    weight = constant(loaded.network.model.graph.initializers[layer.weight_name])
    axes = (True,) * (weight.ndim - 2)
    if in_space:
        outputs, inputs, height, width = weight.shape
        left, values, right = np.linalg.svd(
            weight.transpose(1, 2, 0, 3).reshape(inputs * height, -1), full_matrices=False
        )
        first = left.T.reshape(-1, inputs, height, 1)
        second = (values[:, None] * right).reshape(-1, outputs, 1, width).swapaxes(0, 1)
        axes = (True, False)
    else:
        left, values, right = np.linalg.svd(to_rows(layer, weight)[0], full_matrices=False)
        first, second = values[:, None] * right, left
        if layer.op_type == "Conv":
            first, second = first.reshape(-1, *weight.shape[1:]), second.reshape(*left.shape, *(1 for _ in axes))
        elif layer.output_axis == 1:
            first, second = first.T, second.T
    return Split(layer=layer, first=first.copy(), second=second.copy(), bias=None, first_axes=axes)


@pytest.mark.parametrize("in_space", [False, True])
@pytest.mark.parametrize("name", _SPELLINGS)
def test_full_rank_reproduces_the_network(load: Callable[[str], Loaded], name: str, in_space: bool) -> None:
    """Whatever the strides, pads and dilations: each factor has those of the axes along which it moves."""
    loaded = load(name)
    layers = [layer for layer in loaded.network.layers if layer.groups == 1]
    chosen = [layer for layer in layers if not in_space or len(layer.weight_shape) == 4]
    splits = {layer.name: _exact_split(loaded, layer, in_space=in_space) for layer in chosen}
    result = ir.passes.functionalize(FactorizeLayers(splits))(loaded.network.model).model
    assert sum(1 for _ in result.graph) == sum(1 for _ in loaded.network.model.graph) + len(chosen)
    outputs = open_session(serialize(result)).run(None, dict(loaded.case.example))
    for found, wanted in zip(outputs, loaded.outputs, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)


def _states() -> dict[str, LayerState]:
    random = np.random.default_rng(0)
    x = random.normal(size=(300, 4)) @ random.normal(size=(4, 12)) + 0.2 * random.normal(size=(300, 12)) + 1.0
    matrix = random.normal(size=(12, 10))
    bias = random.normal(size=10)
    return {
        "conv": convolution_state(random.normal(size=(8, 6, 3, 3)), correlated_images(), random.normal(size=8)),
        "gemm": matrix_state(matrix, x, bias),
        "transposed": matrix_state(matrix.T, x, bias, output_axis=0),
        "no bias": matrix_state(matrix, x, None, op_type="MatMul"),
    }


_CASES: list[tuple[str, Decomposition]] = [
    *((name, "channel") for name in ("conv", "gemm", "transposed", "no bias")),
    ("conv", "spatial"),
]  # type: ignore[list-item]


def _product(pair: FactorPair) -> np.ndarray:
    """The rows of the layer that the two factors are together, shape (out, K)."""
    first, second = pair.first.weight.astype(np.float64), pair.second.weight.astype(np.float64)
    if pair.first_axes == (True, False):
        product = np.einsum("orw,rih->oihw", second[:, :, 0], first[..., 0])
        return product.reshape(len(second), -1)
    return to_rows(pair.second.layer, second)[0] @ to_rows(pair.first.layer, first)[0]


def _error(state: LayerState, rows: np.ndarray) -> float:
    """E‖y − ŷ‖² over the variance of y, means apart where there is a bias."""
    assert state.second is not None
    second, whole = state.second[0].astype(np.float64), state.rows[0].astype(np.float64)
    missed = whole - rows
    return float(np.einsum("ok,kl,ol->", missed, second, missed) / np.einsum("ok,kl,ol->", whole, second, whole))


@pytest.mark.parametrize(("name", "decomposition"), _CASES)
def test_the_error_is_the_one_that_is_stated_and_falls_with_the_rank(name: str, decomposition: Decomposition) -> None:
    state = _states()[name]
    arrays = decompose(state, decomposition)
    errors = []
    for rank in range(1, break_even_rank(state.layer, decomposition) + 1):
        pair = take_rank(state, arrays, decomposition, rank)
        errors.append(_error(state, _product(pair)))
        assert lost_share(state, pair, decomposition) == pytest.approx(errors[-1], rel=0.02, abs=1e-4)
        assert pair.first.layer.output_channels == rank
    assert len(errors) > 2
    assert all(later <= before + 1e-4 for before, later in itertools.pairwise(errors))
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize("name", ["conv", "gemm", "transposed", "no bias"])
def test_channel_factors_lose_less_than_the_weights_own(name: str) -> None:
    """Principal components of the outputs minimize the error of the outputs, rank by rank (Zhang et al. 2015)."""
    state = _states()[name]
    arrays = decompose(state, "channel")
    left, values, right = np.linalg.svd(state.rows[0], full_matrices=False)
    for rank in range(1, break_even_rank(state.layer)):
        plain = left[:, :rank] * values[:rank] @ right[:rank]
        assert _error(state, _product(take_rank(state, arrays, "channel", rank))) <= 1.02 * _error(state, plain)


@pytest.mark.parametrize(("name", "decomposition"), [case for case in _CASES if case[0] != "no bias"])
def test_the_mean_answer_is_kept(name: str, decomposition: Decomposition) -> None:
    state = _states()[name]
    pair = take_rank(state, decompose(state, decomposition), decomposition, 2)
    assert state.moments is not None
    assert pair.second.bias is not None
    mean = _product(pair) @ state.moments.mean[0] + pair.second.bias
    np.testing.assert_allclose(mean, mean_answer(state), rtol=1e-4, atol=1e-4)
    # The second factor knows the mean of what it reads.
    np.testing.assert_allclose(mean_answer(pair.second), mean_answer(state), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["plain_convolutions", "transformer_block", "sizes_at_run_time"])
def test_a_factorized_network_keeps_the_mean_of_its_layers(load: Callable[[str], Loaded], name: str) -> None:
    """The bias of a MatMul stands in an Add behind it, and counts all the same."""
    from compress.variants import VariantStore
    from compress.workshop import Workshop

    loaded = load(name)
    workshop = Workshop(loaded.network, loaded.calibration, VariantStore(), channel_multiple=1)
    checked = 0
    for layer in loaded.network.layers:
        state = workshop.original(layer)
        if state.responses is None:
            continue
        np.testing.assert_allclose(state.responses.mean, mean_answer(state), rtol=1e-3, atol=1e-3)
        pair = take_rank(state, decompose(state, "channel"), "channel", 1)
        assert state.moments is not None
        assert pair.second.bias is not None
        mean = _product(pair) @ state.moments.mean[0] + pair.second.bias
        np.testing.assert_allclose(mean, mean_answer(state), rtol=1e-3, atol=1e-3)
        checked += 1
    assert checked >= 3


@pytest.mark.parametrize("name", ["conv", "gemm", "no bias"])
def test_inner_channels_are_scaled_to_one(name: str) -> None:
    state = _states()[name]
    pair = take_rank(state, decompose(state, "channel"), "channel", 3)
    assert state.responses is not None
    low, high = pair.inner_range
    assert -1.001 <= low < high <= 1.001
    assert max(-low, high) == pytest.approx(1.0, abs=1e-3)
    # The moments of the inner channels are those that the first factor's answers have.
    assert state.second is not None
    assert state.moments is not None
    first = to_rows(pair.first.layer, pair.first.weight)[0].astype(np.float64)
    assert pair.second.moments is not None
    covariance = first @ state.moments.covariance[0] @ first.T
    np.testing.assert_allclose(pair.second.moments.covariance[0], covariance, rtol=1e-2, atol=1e-3)
    np.testing.assert_allclose(pair.second.moments.mean[0], first @ state.moments.mean[0], rtol=1e-2, atol=1e-3)


@pytest.mark.parametrize(("decomposition", "silent"), [("channel", "some"), ("channel", "all"), ("spatial", "some")])
def test_directions_that_calibration_never_excites_stay_small(decomposition: Decomposition, silent: str) -> None:
    """Scaled to a magnitude of 1, a silent inner channel would need weights that no format holds."""
    random = np.random.default_rng(0)
    x = correlated_images()
    x[:, (slice(None) if silent == "all" else slice(1, None))] = 0
    weight = random.normal(size=(24, 6, 3, 3))
    state = convolution_state(weight, x, np.zeros(24))
    rank = break_even_rank(state.layer, decomposition)
    pair = take_rank(state, decompose(state, decomposition), decomposition, rank)
    for factor in (pair.first, pair.second):
        assert np.isfinite(factor.weight).all()
        assert np.abs(factor.weight).max() < 65504
    assert -1.001 <= pair.inner_range[0] <= pair.inner_range[1] <= 1.001


def test_the_better_decomposition_is_found() -> None:
    """Kernels that are columns times rows come apart in space; few kernels mixed by many outputs, in channels."""
    random = np.random.default_rng(0)
    x, bias = random.normal(size=(12, 8, 8, 8)).astype(np.float32), np.zeros(24)
    separable = np.einsum(
        "or,orw,rih->oihw", np.eye(24, 3), random.normal(size=(24, 3, 3)), random.normal(size=(3, 8, 3))
    )
    separable += np.einsum("orw,rih->oihw", random.normal(size=(24, 3, 3)), random.normal(size=(3, 8, 3)))
    assert better_decomposition(convolution_state(separable, x, bias)) == "spatial"
    few = np.einsum("or,rihw->oihw", random.normal(size=(24, 4)), random.normal(size=(4, 8, 3, 3)))
    assert better_decomposition(convolution_state(few, x, bias)) == "channel"
    assert better_decomposition(_states()["gemm"]) == "channel"


def test_the_same_statistics_give_the_same_factors() -> None:
    for name, decomposition in _CASES:
        one, two = (decompose(_states()[name], decomposition) for _ in range(2))
        assert [a.tobytes() for a in one] == [a.tobytes() for a in two]


def test_layers_that_do_not_fit_are_refused(load: Callable[[str], Loaded]) -> None:
    loaded = load("grouped")
    layer = loaded.network.layers[0]
    first, second = np.ones((1, 18), np.float32), np.ones((8, 1), np.float32)
    split = Split(layer=layer, first=first, second=second, bias=None, first_axes=(True, True))
    absent = replace(split, layer=replace(layer, node_name="x", groups=1))
    for wrong, message in ((split, "has no low-rank factors"), (absent, "no operator 'x' to factorize")):
        with pytest.raises(PolicyError, match=message):
            FactorizeLayers({layer.name: wrong}).requires(loaded.network.model)
