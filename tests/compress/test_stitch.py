"""Candidates: what they weigh and what they remember."""

import hashlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from compress.channels.groups import Member
from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import FORMATS, INT8, LayerPolicy, Policy
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from compress.variants import VariantStore
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted, joint, mixed, names_of, narrowed, uniform_format, vanished
from tests.compress.zoo import write
from tests.compress.zoo.case import Case, GraphBuilder, vectors


def test_compression_makes_a_network_smaller(tmp_path: Path) -> None:
    g = GraphBuilder()
    x = g.node("Relu", g.node("Gemm", "x", g.weight("a.weight", 128, 256), g.bias("a.bias", 256)))
    g.node("Gemm", x, g.weight("b.weight", 256, 128), g.bias("b.bias", 128), to="y")
    case = Case(proto=g.build({"x": ["batch", 128]}, {"y": ["batch", 128]}), example={"x": vectors(4, 128)}, layers=2)
    network = load_network(write(case, tmp_path), case.example)
    compressor = Compressor(network, calibrate(network, [case.example]), SCHEMES["u8s8"], formats=FORMATS)
    size = {name: len(compressor.build(policy).onnx_bytes) for name, policy in assorted(compressor, 0).items()}
    shares = {name: size[name] / size["fp32"] for name in size}
    assert shares["fp16"] < 0.52
    assert shares["int8"] < 0.3
    assert shares["int8-dynamic"] < 0.3
    assert shares["int8-weights"] < 0.32
    assert shares["int4-weights"] < 0.19
    assert shares["rank"] < 0.55
    assert shares["channels"] < 0.52
    assert shares["int8+rank"] < 0.2
    assert shares["int8+channels"] < 0.17


def test_a_candidate_knows_its_digest_ranks_and_formats(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    names = [layer.name for layer in loaded.network.layers]
    candidate = loaded.compressor().build(mixed(loaded.network, names[:2], names[1:3]))
    assert candidate.digest == hashlib.sha256(candidate.onnx_bytes).hexdigest()
    assert candidate.formats == {name: "int8" if name in names[:2] else "fp32" for name in names}
    assert not candidate.depends_on_batch
    assert set(candidate.ranks) == set(names[1:3])
    assert all(rank > 0 for rank in candidate.ranks.values())
    assert candidate.session_entries["optimization.disable_specified_optimizers"] == "WeightBiasQuantization"


def test_dynamic_ranges_tie_the_samples_of_a_batch(load: Callable[[str], Loaded]) -> None:
    loaded = load("transformer_block")
    candidate = loaded.compressor().build(uniform_format(loaded.network, "int8-dynamic"))
    assert candidate.depends_on_batch
    assert candidate.session_entries == {}


def test_layers_that_are_gone_have_no_format(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    candidate = loaded.compressor().build(vanished(loaded.compressor()))
    assert set(candidate.formats) == set(names_of(loaded.network)) - {"conv3", "conv6", "conv10", "conv13"}


@pytest.mark.parametrize(
    ("name", "branch", "inner"),
    [("depthwise_clip", "conv9", "conv5"), ("transformer_block", "down", "up"), ("sizes_at_run_time", "o", "q")],
)
@pytest.mark.parametrize("pattern", ["none", "unstructured"])
def test_a_branch_that_has_vanished_answers_its_mean(
    load: Callable[[str], Loaded], name: str, branch: str, inner: str, pattern: Any
) -> None:
    """Biases included, and whatever else the policy says of a layer whose inputs are gone."""
    loaded = load(name)
    compressor = loaded.compressor()
    changed = {
        member.layer: LayerPolicy(sparsity=1.0, sparsity_pattern="channels") for member in _group(compressor, inner)
    }
    ended = LayerPolicy(sparsity=0.0 if pattern == "none" else 0.5, sparsity_pattern=pattern, rank=0.5)
    policy = Policy({**mixed(loaded.network).layers, **changed, branch: ended})
    candidate = compressor.build(policy)
    assert branch not in candidate.formats
    (found,) = open_session(candidate.onnx_bytes).run(None, dict(loaded.case.example))
    others = tuple(axis for axis in range(found.ndim) if axis != (1 if name == "depthwise_clip" else found.ndim - 1))
    np.testing.assert_allclose(found.mean(axis=others), loaded.outputs[0].mean(axis=others), atol=1e-5)


def _group(compressor: Compressor, producer: str) -> tuple[Member, ...]:
    return next(
        group.producers
        for group in compressor.groups.values()
        if group.may_vanish and producer in {member.layer for member in group.producers}
    )


def test_ranks_and_widths_come_in_multiples(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = loaded.compressor(channel_multiple=4)
    layer = loaded.network.layers[1]
    policy = mixed(loaded.network)
    changed = Policy({**policy.layers, layer.name: LayerPolicy(rank=0.6)})
    assert compressor.build(changed).ranks[layer.name] % 4 == 0
    narrow = load_network(compressor.build(narrowed(compressor, 0.5)).onnx_bytes, loaded.case.example)
    widths = {layer.output_channels for layer in narrow.layers if layer.op_type == "Conv"}
    assert widths == {4, 8}
    with pytest.raises(ValueError, match="channel_multiple must be at least 1, got 0"):
        Compressor(loaded.network, loaded.calibration, None, channel_multiple=0)


def test_the_store_never_changes_the_bytes(load: Callable[[str], Loaded]) -> None:
    """Kept, dropped or made in another order: finished weights are the same."""
    loaded = load("residual")
    shared = loaded.compressor()
    policies = list(assorted(shared, 8).values())
    without = loaded.compressor(store=VariantStore(limit_bytes=0))
    backwards = {policy: shared.build(policy).onnx_bytes for policy in reversed(policies)}
    for policy in policies:
        assert without.build(policy).onnx_bytes == backwards[policy]


@pytest.mark.parametrize("name", ["residual", "transformer_block"])
def test_what_layers_share_on_their_way_never_changes_the_bytes(
    load: Callable[[str], Loaded], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refits, moments, factors and eliminations: kept from other policies, or found anew for each layer."""
    loaded = load(name)
    keeping = loaded.compressor()
    monkeypatch.setattr("compress.workshop._STEPS_LIMIT_BYTES", 0)
    forgetful = loaded.compressor(store=VariantStore(limit_bytes=0))
    policies = [joint(keeping, seed) for seed in range(6)]
    kept = {policy: keeping.build(policy).digest for policy in reversed(policies)}
    assert len(set(kept.values())) == len(policies)
    for policy in policies:
        assert forgetful.build(policy).digest == kept[policy]


def test_a_folder_serves_other_processes(load: Callable[[str], Loaded], tmp_path: Path) -> None:
    """What one worker has finished, another reads: the same bytes without making anything."""
    loaded = load("transformer_block")
    first, second = (loaded.compressor(store=VariantStore(folder=tmp_path)) for _ in range(2))
    for policy in assorted(first, 4).values():
        assert first.build(policy).onnx_bytes == second.build(policy).onnx_bytes


@pytest.mark.parametrize("name", ["residual", "transformer_block"])
def test_layers_made_side_by_side_have_the_same_bytes(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load(name)
    alone, beside = loaded.compressor(), loaded.compressor(threads=4)
    for policy in assorted(alone, 4).values():
        assert beside.build(policy).onnx_bytes == alone.build(policy).onnx_bytes


def test_channels_go_in_the_same_order_whether_orders_are_found_alone_or_side_by_side(
    load: Callable[[str], Loaded],
) -> None:
    loaded = load("residual")
    alone, beside = loaded.compressor(), loaded.compressor(threads=4)
    policies = [policy for policy in assorted(alone, 4).values() if alone.plan(policy).kept]
    assert policies
    for policy in policies:
        kept, same = alone.plan(policy).kept, beside.plan(policy).kept
        assert {name: units.tolist() for name, units in kept.items()} == {
            name: units.tolist() for name, units in same.items()
        }


def test_without_threads_nothing_can_be_made(load: Callable[[str], Loaded]) -> None:
    with pytest.raises(ValueError, match="threads must be at least 1, got 0"):
        load("residual").compressor(threads=0)


def test_different_schemes_ranks_and_multiples_do_not_share_weights(load: Callable[[str], Loaded]) -> None:
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
    # s8s8 and symmetric share their weights, and differ in the biases.
    assert len(digests) == 3 * len(SCHEMES)
    for multiple in (1, 4):
        policy = Policy({**mixed(loaded.network).layers, names[1]: LayerPolicy(rank=0.6)})
        compressor = loaded.compressor(channel_multiple=multiple, store=store)
        assert compressor.build(policy).digest == loaded.compressor(channel_multiple=multiple).build(policy).digest


def test_ranges_chosen_in_another_way_leave_the_weights_alone(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = loaded.compressor()
    policy = mixed(loaded.network, names_of(loaded.network))
    before = compressor.build(policy)
    other = compressor.with_range_method("percentile").build(policy)
    assert compressor.build(policy).digest == before.digest
    found, wanted = (_integers(candidate.onnx_bytes) for candidate in (other, before))
    assert set(found) == set(wanted)
    assert found == wanted
    assert other.digest != before.digest


def _integers(onnx_bytes: bytes) -> dict[str, bytes]:
    graph = onnx.load_model_from_string(onnx_bytes).graph
    return {t.name: onnx.numpy_helper.to_array(t).tobytes() for t in graph.initializer if t.data_type == t.INT8}


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
