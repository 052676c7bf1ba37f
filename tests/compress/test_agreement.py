"""Piece by piece an honest runtime agrees with the graph, and one that quantizes on its own does not."""

from collections.abc import Callable

import numpy as np
import pytest

from compress.agreement import piecewise_difference
from compress.candidate import Candidate
from tests.compress.conftest import Loaded
from tests.compress.policies import joint, mixed, names_of

_HONEST = 0.01


def _all_but(loaded: Loaded, kept: str) -> Candidate:
    names = [name for name in names_of(loaded.network) if name != kept]
    return loaded.compressor().build(mixed(loaded.network, names))


@pytest.mark.parametrize("name", ["plain_convolutions", "residual", "concatenated", "transformer_block", "inception"])
def test_honest_candidates_agree(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    compressor, names = loaded.compressor(), names_of(loaded.network)
    policies = [mixed(loaded.network, names), mixed(loaded.network, names[::2], names), joint(compressor, 0)]
    for policy in policies:
        candidate = compressor.build(policy)
        _, worst = piecewise_difference(
            candidate.onnx_bytes, loaded.case.example, session_entries=candidate.session_entries
        )
        assert worst <= _HONEST


@pytest.mark.parametrize("name", ["plain_convolutions", "depthwise_clip", "pooled_into_gemm"])
def test_a_layer_that_the_runtime_quantizes_unasked_is_found(load: Callable[[str], Loaded], name: str) -> None:
    """WeightBiasQuantization rounds an FP32 layer between 8-bit layers, per tensor; the piece behind it differs."""
    loaded = load(name)
    kept = loaded.network.layers[1]
    candidate = _all_but(loaded, kept.name)
    feeds = loaded.case.example
    _, honest = piecewise_difference(candidate.onnx_bytes, feeds, session_entries=candidate.session_entries)
    where, defect = piecewise_difference(candidate.onnx_bytes, feeds, session_entries={})
    assert defect > 3 * max(honest, 1e-3)
    node = next(node for node in loaded.network.model.graph if node.name == kept.node_name)
    behind = {value.name or "" for value in node.outputs}
    behind |= {v.name or "" for value in node.outputs for use in value.uses() for v in use.node.outputs}
    assert any(where.startswith(name) for name in behind), where


def test_a_network_without_integers_is_one_piece(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    where, worst = piecewise_difference(loaded.network.onnx_bytes, loaded.case.example, session_entries={})
    assert where in {value.name for value in loaded.network.model.graph.outputs}
    assert worst < 1e-5


def test_the_inputs_are_left_alone(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    candidate = _all_but(loaded, "head")
    feeds = {name: array.copy() for name, array in loaded.case.example.items()}
    piecewise_difference(candidate.onnx_bytes, feeds, session_entries=candidate.session_entries)
    for name, array in loaded.case.example.items():
        np.testing.assert_array_equal(feeds[name], array)
