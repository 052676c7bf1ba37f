"""Equalizing moves factors between layers: the function stays, rounding gets cheaper, the rest is listed."""

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.equalizable import find_pairs
from compress.formats.equalize import Equalized, EqualizeLayers, equalize, tensors_to_observe, widen
from compress.formats.scheme import SCHEMES
from compress.graph import constant
from compress.intake.normalize import normalize
from compress.network import Network, load_network, serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.nearest import rounded_to_nearest
from tests.compress.zoo import ZOO
from tests.compress.zoo.case import GraphBuilder, images, vectors

# Of the modules only the one with depthwise layers: exporting takes seconds.
_NAMES = (*ZOO, "mobile_net")

Ranges = dict[str, NDArray[np.float64]]


def _observed(network: Network, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.generic]]:
    names = list(tensors_to_observe(network))
    if not names:
        return {}
    opened = network.model.clone()
    values = {value.name: value for node in opened.graph for value in node.outputs}
    opened.graph.outputs.clear()
    opened.graph.outputs.extend(values[name] for name in names)
    return dict(zip(names, open_session(serialize(opened)).run(None, dict(feeds)), strict=True))


def _ranges(network: Network, feeds: Mapping[str, NDArray[np.generic]]) -> Ranges:
    axes = tensors_to_observe(network)
    return {name: widen(None, array, axes[name]) for name, array in _observed(network, feeds).items()}


def _equalized(network: Network, feeds: Mapping[str, NDArray[np.generic]]) -> Equalized:
    return equalize(network, _ranges(network, feeds))


def _reasons(network: Network, feeds: Mapping[str, NDArray[np.generic]]) -> dict[str, str]:
    return {skipped.name: skipped.reason for skipped in _equalized(network, feeds).left_alone}


def _uneven(network: Network, largest: float) -> Network:
    """Channels divided by up to `largest`, their ranges far apart; the same function where nothing was clipped."""
    random = np.random.default_rng(0)
    spread = {
        pair: np.exp(random.uniform(0.0, np.log(largest), pair.producer.output_channels))
        for pair in find_pairs(network)[0]
    }
    model = ir.passes.functionalize(EqualizeLayers(spread))(network.model).model
    return Network(model=model, layers=network.layers, skipped=network.skipped, onnx_bytes=serialize(model))


@pytest.mark.parametrize("name", _NAMES)
def test_every_network_computes_what_it_did(load: Callable[[str], Loaded], name: str) -> None:
    """Same names, same answers on the calibration data, same bytes twice, and the input left as it was."""
    loaded = load(name)
    network, feeds = loaded.network, loaded.case.example
    before, ranges = serialize(network.model), _ranges(network, feeds)
    result = equalize(network, ranges)
    assert serialize(network.model) == before
    assert equalize(network, ranges).network.onnx_bytes == result.network.onnx_bytes
    assert load_network(result.network.onnx_bytes, feeds).layers == network.layers
    outputs = open_session(result.network.onnx_bytes).run(None, dict(feeds))
    for found, wanted in zip(outputs, loaded.outputs, strict=True):
        scale = float(np.abs(wanted).max(initial=0.0))
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("name", _NAMES)
def test_every_layer_is_scaled_or_listed(load: Callable[[str], Loaded], name: str) -> None:
    network = load(name).network
    result = _equalized(network, load(name).case.example)
    scaled = [pair.producer.name for pair in find_pairs(network)[0] if pair.tensor in result.scales]
    assert sorted([*scaled, *(skipped.name for skipped in result.left_alone)]) == sorted(
        layer.name for layer in network.layers
    )
    assert all(skipped.reason for skipped in result.left_alone)


@pytest.mark.parametrize("name", _NAMES)
def test_strength_zero_is_the_network_itself(load: Callable[[str], Loaded], name: str) -> None:
    network = load(name).network
    result = equalize(network, _ranges(network, load(name).case.example), strength=0.0)
    assert result.network is network
    assert not result.scales


def test_pairs_of_a_mobile_network(load: Callable[[str], Loaded]) -> None:
    """Expand, depthwise, project: both tensors between them; none that an Add reads."""
    pairs, left_alone = find_pairs(load("depthwise_clip").network)
    chains = [(pair.producer.name, [layer.name for layer in pair.consumers], pair.bounds) for pair in pairs]
    names = [layer.name for layer in load("depthwise_clip").network.layers]
    clipped = (0.0, 6.0)
    assert chains == [(names[i], [names[i + 1]], clipped) for i in (0, 1, 3, 4)]
    assert [skipped.name for skipped in left_alone] == [names[2], names[5], names[6]]


def test_channels_of_a_depthwise_layer_become_even(load: Callable[[str], Loaded]) -> None:
    """To half the tensor's range: beyond it, data that calibration did not see would be clipped."""
    loaded = load("depthwise_clip")
    network = _uneven(loaded.network, 50.0)
    pair = next(pair for pair in find_pairs(network)[0] if pair.consumers[0].is_depthwise)
    ranges = _ranges(network, loaded.case.example)
    before = ranges[pair.tensor][1]
    result = equalize(network, ranges)
    after = _ranges(result.network, loaded.case.example)[pair.tensor][1]
    heard = (before > 0.0) & (before < before.max() / 2)
    assert heard.any()
    assert after[heard] == pytest.approx(before.max() / 2, rel=1e-4)
    assert after[~heard] == pytest.approx(before[~heard], rel=1e-4)


def test_channels_at_the_clip_are_left_alone(load: Callable[[str], Loaded]) -> None:
    network, feeds = load("depthwise_clip").network, load("depthwise_clip").case.example
    ranges = _ranges(network, feeds)
    for found in ranges.values():
        found[1] = np.where(np.arange(found.shape[1]) % 2, 6.0, 0.5)
    result = equalize(network, ranges)
    assert result.scales
    for scale in result.scales.values():
        assert (scale[1::2] == 1.0).all()
        assert (0.5 / scale <= 3.0 + 1e-9).all()


def test_silent_channels_are_left_alone(load: Callable[[str], Loaded]) -> None:
    """What they would say on other data is unknown; enlarged, it might be anything."""
    network, feeds = load("depthwise_clip").network, load("depthwise_clip").case.example
    ranges = {
        name: np.stack([0.0 * found[0], np.full(found.shape[1], 0.1)])
        for name, found in _ranges(network, feeds).items()
    }
    for found in ranges.values():
        found[1, :2] = 0.0, 3.0
    result = equalize(network, ranges)
    assert result.scales
    for scale in result.scales.values():
        assert scale[0] == 1.0
        assert (scale[2:] < 1.0).all()


def test_a_gain_that_hardly_shows_is_no_reason_for_an_edit(load: Callable[[str], Loaded]) -> None:
    network, feeds = load("depthwise_clip").network, load("depthwise_clip").case.example
    ranges = {
        name: np.stack([0.0 * found[0], np.ones(found.shape[1])]) for name, found in _ranges(network, feeds).items()
    }
    for found in ranges.values():
        found[1, 0] = 0.4
    assert not equalize(network, ranges).scales


def test_the_nearer_bound_of_a_clip_counts() -> None:
    g = GraphBuilder(seed=3)
    x = g.node("Gemm", "x", g.weight("first.weight", 8, 16), g.bias("first.bias", 16))
    x = g.node("Clip", x, g.constant("low", -1.0), g.constant("high", 6.0))
    g.node("Gemm", x, g.weight("second.weight", 16, 4), to="y")
    network = _network(g.build({"x": ["batch", 8]}, {"y": ["batch", 4]}), {"x": vectors(4, 8)})
    (name,) = tensors_to_observe(network)
    ranges = np.stack([np.full(16, -0.2), np.full(16, 0.2)])
    ranges[:, 0], ranges[:, 1] = (-0.2, 5.0), (-0.8, 0.2)
    scale = equalize(network, {name: ranges}).scales[name]
    assert list(scale[:2]) == [1.0, 1.0]
    assert (scale[2:] < 1.0).all()
    assert (ranges[0, 2:] / scale[2:] >= -0.5 - 1e-9).all()


def _network(proto: Any, feeds: Mapping[str, NDArray[np.generic]]) -> Network:
    return load_network(serialize(normalize(ir.from_proto(proto))), feeds)


def _two_matrices(activation: str, *, outputs: int = 6) -> tuple[Network, Mapping[str, NDArray[np.float32]]]:
    g = GraphBuilder(seed=9)
    x = g.node("Gemm", "x", g.weight("first.weight", 8, 16), g.bias("first.bias", 16))
    x = g.node(activation, x) if activation else x
    g.node("Gemm", x, g.weight("second.weight", outputs, 16), g.bias("second.bias", outputs), transB=1, to="y")
    feeds = {"x": vectors(256, 8)}
    return _network(g.build({"x": ["batch", 8]}, {"y": ["batch", outputs]}), feeds), feeds


def _output_noise(network: Network, feeds: Mapping[str, NDArray[np.float32]]) -> float:
    """What 8-bit hidden values and 8-bit weights of the second layer do to the output, by hand."""
    scheme, (name,) = SCHEMES["u8s8"], tensors_to_observe(network)
    hidden = np.asarray(_observed(network, feeds)[name], np.float32)
    scale, zero_point = scheme.activation_parameters((float(hidden.min()), float(hidden.max())))
    rounded = (np.clip(np.rint(hidden / scale) + int(zero_point), 0, 255) - int(zero_point)) * scale
    weight = constant(network.model.graph.initializers[network.layers[1].weight_name])
    integers, weight_scale = rounded_to_nearest(scheme, weight, 0)
    error = rounded @ (integers * weight_scale[:, None]).T - hidden @ weight.T
    return float(np.square(error).mean())


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", ""])
def test_rounding_behind_uneven_channels_gets_cheaper(activation: str) -> None:
    network, feeds = _two_matrices(activation)
    uneven = _uneven(network, 100.0)
    assert _output_noise(uneven, feeds) > 4.0 * _output_noise(network, feeds)
    evened = _equalized(uneven, feeds).network
    assert _output_noise(evened, feeds) < 0.5 * _output_noise(uneven, feeds)


def test_reasons(load: Callable[[str], Loaded]) -> None:
    for name, expected in (
        ("open_ended_clip", "does not leave zero as it is"),
        ("hard_swish", "HardSwish .* cannot undo a scale"),
        ("shared_weight", "is used more than once"),
        ("plain_convolutions", "leaves the network"),
        ("transformer_block", "cannot undo a scale"),
    ):
        loaded = load(name)
        reasons = _reasons(loaded.network, loaded.case.example).values()
        assert any(re.search(expected, reason) for reason in reasons), name


def test_images_are_not_mistaken_for_rows() -> None:
    """A MatMul reads the last axis of what a convolution writes along axis 1."""
    g = GraphBuilder()
    g.node("MatMul", g.conv("image", 3, 8), g.weight("columns", 8, 5), to="y")
    proto = g.build({"image": ["n", 3, 8, 8]}, {"y": ["n", 8, 8, 5]})
    network = _network(proto, {"image": images()})
    assert "along another axis" in find_pairs(network)[1][0].reason


def test_even_channels_are_left_alone() -> None:
    network, _ = _two_matrices("Relu")
    (name,) = tensors_to_observe(network)
    result = equalize(network, {name: np.stack([np.zeros(16), np.ones(16)])})
    assert result.network is network
    assert any("hardly lower" in skipped.reason for skipped in result.left_alone)


def test_ranges_that_do_not_fit_are_refused() -> None:
    network, _ = _two_matrices("Relu")
    (name,) = tensors_to_observe(network)
    fits = np.zeros((2, 16))
    for ranges, message in (
        ({}, "was not observed"),
        ({name: fits[:, 1:]}, r"must have shape \(2, 16\), got \(2, 15\)"),
        ({name: fits + np.nan}, "not finite"),
    ):
        with pytest.raises(CompressionError, match=message):
            equalize(network, ranges)
    with pytest.raises(ValueError, match="strength must be in"):
        equalize(network, {name: fits}, strength=1.5)


def test_scales_that_do_not_fit_are_refused() -> None:
    network, _ = _two_matrices("Relu")
    (pair,) = find_pairs(network)[0]
    for scale in (np.zeros(16), np.ones(15), np.full(16, np.inf)):
        with pytest.raises(CompressionError, match="must be 16 positive numbers"):
            EqualizeLayers({pair: scale}).requires(network.model)
    bare = network.model.clone()
    bare.graph.initializers.clear()
    with pytest.raises(CompressionError, match="no weight"):
        EqualizeLayers({pair: np.ones(16)}).requires(bare)


def test_widening_batch_by_batch_is_widening_at_once() -> None:
    array = vectors(6, 5, 4, 3)
    for axis in (1, -1):
        found = widen(widen(None, array[:2], axis), array[2:], axis)
        assert np.array_equal(found, widen(None, array, axis))
        assert found.shape == (2, array.shape[axis])
        assert found[1, 2] == np.moveaxis(array, axis, 0)[2].max()
