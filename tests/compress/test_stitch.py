"""Candidates: what they weigh and what they remember."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from compress.calibration import calibrate
from compress.network import load_network
from compress.policy import INT8, LayerPolicy, Policy
from compress.scheme import SCHEMES
from compress.stitch import Compressor
from compress.variants import VariantStore
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted, mixed
from tests.compress.zoo import write
from tests.compress.zoo.case import Case, GraphBuilder, vectors


def test_compression_makes_a_network_smaller(tmp_path: Path) -> None:
    g = GraphBuilder()
    x = g.node("Relu", g.node("Gemm", "x", g.weight("a.weight", 128, 256), g.bias("a.bias", 256)))
    g.node("Gemm", x, g.weight("b.weight", 256, 128), g.bias("b.bias", 128), to="y")
    case = Case(proto=g.build({"x": ["batch", 128]}, {"y": ["batch", 128]}), example={"x": vectors(4, 128)}, layers=2)
    network = load_network(write(case, tmp_path), case.example)
    compressor = Compressor(network, calibrate(network, [case.example]), SCHEMES["u8s8"])
    size = {name: len(compressor.build(policy).onnx_bytes) for name, policy in assorted(network, 0).items()}
    assert size["int8"] < 0.3 * size["fp32"]
    assert size["rank"] < 0.55 * size["fp32"]
    assert size["int8+rank"] < 0.2 * size["fp32"]


def test_a_candidate_knows_its_digest_ranks_and_layers(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    names = [layer.name for layer in loaded.network.layers]
    candidate = loaded.compressor().build(mixed(loaded.network, names[:2], names[1:3]))
    assert candidate.digest == hashlib.sha256(candidate.onnx_bytes).hexdigest()
    assert candidate.integer_layers == set(names[:2])
    assert set(candidate.ranks) == set(names[1:3])
    assert all(rank > 0 for rank in candidate.ranks.values())
    assert candidate.session_entries["optimization.disable_specified_optimizers"] == "WeightBiasQuantization"


def test_ranks_come_in_multiples(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = Compressor(loaded.network, loaded.calibration, SCHEMES["u8s8"], rank_multiple=4)
    layer = loaded.network.layers[1]
    policy = mixed(loaded.network)
    changed = Policy({**policy.layers, layer.name: LayerPolicy(rank=0.6)})
    assert compressor.build(changed).ranks[layer.name] % 4 == 0
    with pytest.raises(ValueError, match="rank_multiple must be at least 1, got 0"):
        Compressor(loaded.network, loaded.calibration, None, rank_multiple=0)


def test_the_store_never_changes_the_bytes(load: Callable[[str], Loaded]) -> None:
    """Kept, dropped or made in another order: finished weights are the same."""
    loaded = load("residual")
    policies = list(assorted(loaded.network).values())
    without = Compressor(loaded.network, loaded.calibration, SCHEMES["u8s8"], store=VariantStore(limit_bytes=0))
    shared = loaded.compressor()
    backwards = {policy: shared.build(policy).onnx_bytes for policy in reversed(policies)}
    for policy in policies:
        assert without.build(policy).onnx_bytes == backwards[policy]


def test_different_schemes_and_ranks_do_not_share_weights(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    names = [layer.name for layer in loaded.network.layers]
    store = VariantStore()
    digests = set()
    for scheme in SCHEMES.values():
        compressor = Compressor(loaded.network, loaded.calibration, scheme, store=store)
        alone = Compressor(loaded.network, loaded.calibration, scheme)
        for rank in (0.5, 0.75, 1.0):
            policy = Policy({**mixed(loaded.network, names).layers, names[1]: replace(INT8, rank=rank)})
            candidate = compressor.build(policy)
            assert candidate.digest == alone.build(policy).digest
            digests.add(candidate.digest)
    assert len(digests) == 9


def test_a_weight_shared_by_two_layers_is_compressed_for_one(load: Callable[[str], Loaded]) -> None:
    loaded = load("shared_weight")
    layer = loaded.network.layers[1]
    assert layer.weight_name == loaded.network.layers[2].weight_name
    candidate = loaded.compressor().build(mixed(loaded.network, [layer.name]))
    again = load_network(candidate.onnx_bytes, loaded.case.example)
    kept = again.model.graph.initializers[layer.weight_name].const_value
    original = loaded.network.model.graph.initializers[layer.weight_name].const_value
    assert kept is not None
    assert original is not None
    np.testing.assert_array_equal(kept.numpy(), original.numpy())
