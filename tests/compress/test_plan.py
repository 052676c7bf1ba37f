"""A policy resolved: what it says in each case, and each reason for which it is refused."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from compress.errors import PolicyError
from compress.policy import FORMATS, INT8, LayerPolicy, Policy
from compress.stitch import Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import in_format, mixed, names_of

_HALF = LayerPolicy(sparsity=0.5, sparsity_pattern="channels")
_RUNS = LayerPolicy(sparsity=0.5, sparsity_pattern="2:4")


def _build(loaded: Loaded, changes: dict[str, LayerPolicy], **options: int) -> None:
    compressor = loaded.compressor(**options)  # type: ignore[arg-type]
    compressor.build(Policy({**mixed(loaded.network).layers, **changes}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"conv9": INT8}, "the policy names a layer that the network has not: 'conv9'"),
        (
            {"head": LayerPolicy(weight_bits=4, activation_bits=8, activation_mode="static")},
            "layer 'head': weights of 4 bits with static activations of 8 bits are not built; use one of fp32, fp16",
        ),
        ({"conv3": in_format(INT8, "int8-dynamic")}, "layer 'conv3': a convolution has no int8-dynamic; use int8"),
        ({"conv3": in_format(INT8, "int4-weights")}, "layer 'conv3': a convolution has no int4-weights; use int8"),
        ({"head": _HALF}, "layer 'head': its channels cannot be removed; use sparsity 0"),
        (
            {"conv3": LayerPolicy(rank=0.999)},
            r"layer 'conv3': rank 0.999 saves nothing here \(ranks are multiples of 1\)",
        ),
        (
            {"conv0": _HALF},
            "layers 'conv0' and 'conv6' write the same channels and must lose the same share of them, got 0.5 and 0.0",
        ),
        (
            {"conv3": replace(_HALF, sparsity=0.01)},
            r"layer 'conv3': sparsity 0.01 of its 8 channel units removes nothing that can go \(widths are",
        ),
        (
            {"conv0": replace(_HALF, sparsity=1.0), "conv6": replace(_HALF, sparsity=1.0)},
            "layer 'conv0': sparsity 1.0 of its 8 channel units removes nothing that can go",
        ),
        ({"conv0": _RUNS}, "layer 'conv0': the 2:4 pattern takes input channels in runs of 4, got 3 channels"),
        ({"conv3": replace(_RUNS, sparsity=0.25)}, "layer 'conv3': the 2:4 pattern has sparsity 0.5, got 0.25"),
        (
            {"conv3": replace(_HALF, sparsity=0.25), "conv6": _RUNS},
            "layer 'conv6': the 2:4 pattern takes input channels in runs of 4, got 6 channels",
        ),
        (
            {"conv3": LayerPolicy(sparsity=1.0, sparsity_pattern="unstructured")},
            "layer 'conv3': a mask must leave some weights, got unstructured sparsity 1.0; use less",
        ),
    ],
)
def test_what_does_not_fit_is_refused(
    load: Callable[[str], Loaded], changes: dict[str, LayerPolicy], message: str
) -> None:
    with pytest.raises(PolicyError, match=message) as caught:
        _build(load("residual"), changes)
    assert "\n" not in str(caught.value)


def test_a_layer_must_not_be_forgotten(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    layers = dict(mixed(loaded.network).layers)
    del layers["head"]
    with pytest.raises(PolicyError, match="the policy lacks a layer of the network: 'head'"):
        loaded.compressor().build(Policy(layers))


def test_multiples_are_named(load: Callable[[str], Loaded]) -> None:
    with pytest.raises(PolicyError, match="widths are multiples of 16 channels"):
        _build(load("residual"), {"conv3": _HALF}, channel_multiple=16)
    with pytest.raises(PolicyError, match="ranks are multiples of 16"):
        _build(load("residual"), {"conv3": LayerPolicy(rank=0.5)}, channel_multiple=16)


@pytest.mark.parametrize("name", [name for name in FORMATS if name != "fp32"])
def test_formats_that_the_target_lacks(load: Callable[[str], Loaded], name: str) -> None:
    loaded = load("residual")
    compressor = Compressor(loaded.network, loaded.calibration, None, formats=())
    policy = Policy({**mixed(loaded.network).layers, "head": FORMATS[name]})
    with pytest.raises(PolicyError, match=f"layer 'head': the target has no {name}; use fp32"):
        compressor.build(policy)


def test_without_a_scheme_there_are_no_integer_products(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor = Compressor(loaded.network, loaded.calibration, None, formats=FORMATS)
    assert compressor.formats == set(FORMATS) - {"int8", "int8-dynamic"}
    with pytest.raises(PolicyError, match="the target has no int8; use fp32"):
        compressor.build(mixed(loaded.network, names_of(loaded.network)))


def test_masks_fit_what_the_neighbours_leave(load: Callable[[str], Loaded]) -> None:
    """Runs of four are counted among the channels that are left, not those that were there."""
    _build(load("residual"), {"conv3": _HALF, "conv6": _RUNS})
    _build(load("grouped_between"), {"conv2": _RUNS})
