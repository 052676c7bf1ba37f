"""Two factors are the layer when nothing is cut, and the best approximation of their rank when something is."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import onnx_ir as ir
import pytest

from compress.errors import PolicyError
from compress.factorize import (
    FACTORIZED_SIDE_LIMIT,
    FactorizeLayers,
    Factors,
    as_matrix,
    break_even_rank,
    decompose,
    rank_of,
)
from compress.graph import constant
from compress.layers import Layer
from compress.network import serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded

_SPELLINGS = ["plain_convolutions", "gemm_spellings", "transformer_block", "one_dimensional", "three_dimensional"]


def _weight(loaded: Loaded, layer: Layer) -> np.ndarray:
    return constant(loaded.network.model.graph.initializers[layer.weight_name])


def _bias(loaded: Loaded, layer: Layer) -> np.ndarray:
    node = next(node for node in loaded.network.model.graph if node.name == layer.node_name)
    if len(node.inputs) < 3 or node.inputs[2] is None:
        return np.zeros(layer.output_channels, np.float32)
    return constant(node.inputs[2])


def _whole(loaded: Loaded, layer: Layer) -> Factors:
    """Factors of full rank: of the singular value decomposition itself, for the break-even rank cuts some off."""
    left, values, right = np.linalg.svd(as_matrix(layer, _weight(loaded, layer)), full_matrices=False)
    return Factors(
        first=values[:, None] * right, second=left, mean=_bias(loaded, layer), offset=np.zeros(len(right), np.float32)
    )


@pytest.mark.parametrize("name", _SPELLINGS)
def test_full_rank_reproduces_the_network(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    factors = {layer: _whole(loaded, layer) for layer in loaded.network.layers}
    result = ir.passes.functionalize(FactorizeLayers(factors))(loaded.network.model).model
    outputs = open_session(serialize(result)).run(None, dict(loaded.case.example))
    for found, wanted in zip(outputs, loaded.outputs, strict=True):
        np.testing.assert_allclose(found, wanted, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", _SPELLINGS)
def test_every_rank_is_the_best_of_its_rank(load: Callable[[str], Loaded], name: str) -> None:
    """Eckart and Young: the error is what the singular values beyond the rank hold."""
    loaded = load(name)
    for layer in loaded.network.layers:
        weight = _weight(loaded, layer)
        matrix, factors = as_matrix(layer, weight), decompose(layer, weight)
        singular = np.linalg.svd(matrix, compute_uv=False)
        for rank in range(1, len(factors.first) + 1):
            error = np.linalg.norm(matrix - factors.second[:, :rank] @ factors.first[:rank])
            assert error == pytest.approx(np.linalg.norm(singular[rank:]), rel=1e-3, abs=1e-4)
        scaled = factors.scaled(np.full(len(factors.first), 3, np.float32))
        np.testing.assert_allclose(scaled.second @ scaled.first, factors.second @ factors.first, atol=1e-5)


def _layer(outputs: int, inputs: int, groups: int = 1) -> Layer:
    return Layer(
        name="a",
        node_name="a",
        op_type="Conv",
        weight_name="w",
        weight_shape=(outputs, inputs, 1, 1),
        output_axis=0,
        groups=groups,
        macs=0,
    )


def test_break_even() -> None:
    layer = _layer(64, 64)
    assert break_even_rank(layer) == 32
    assert [rank_of(layer, f, 1) for f in (0.01, 0.5, 0.75, 1.0)] == [1, 16, 24, None]
    assert [rank_of(layer, f, 16) for f in (0.01, 0.5, 0.75, 0.99)] == [16, 16, None, None]
    assert break_even_rank(_layer(64, 1, groups=64)) == 0
    assert rank_of(_layer(1, 64), 0.5, 1) is None


def test_layers_too_large_to_decompose_are_offered_no_rank() -> None:
    side = FACTORIZED_SIDE_LIMIT
    assert break_even_rank(_layer(side, 8 * side)) > 0
    assert break_even_rank(_layer(side + 1, 8 * side)) == 0
    assert rank_of(_layer(side + 1, 8 * side), 0.5, 1) is None


def test_layers_that_do_not_fit_are_refused(load: Callable[[str], Loaded]) -> None:
    loaded = load("grouped")
    layer = loaded.network.layers[0]
    nothing = np.zeros(1, np.float32)
    first, second = np.ones((1, 18), np.float32), np.ones((8, 1), np.float32)
    factors = Factors(first=first, second=second, mean=nothing, offset=nothing)
    for wrong, message in ((layer, "has no low-rank factors"), (replace(layer, node_name="x"), "no operator 'x'")):
        with pytest.raises(PolicyError, match=message):
            FactorizeLayers({wrong: factors}).requires(loaded.network.model)
