"""A layer that should multiply integers and does not is named; what an engine does not tell is held against nobody."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from compress.formats.scheme import SCHEMES
from compress.layers import Layer
from compress.network import load_network
from compress.policy import FORMATS, Policy
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from hwprofiles import HardwareProfile
from latency import Target
from search.confirmation.target_kernels import layers_in_float, sentences
from tests.search.conftest import network


@pytest.mark.parametrize(("scheme", "expected"), [("u8s8", {}), ("symmetric", {"conv1", "conv2", "head"})])
def test_a_real_runtime_is_asked_what_it_runs(
    profile: HardwareProfile, tmp_path: Path, scheme: str, expected: set[str]
) -> None:
    """Biases in float, as TensorRT wants them, keep ONNX Runtime's convolutions in float."""
    (tmp_path / "net.onnx").write_bytes(network())
    feeds = {"x": np.random.default_rng(1).normal(size=(16, 3, 8, 8)).astype(np.float32)}
    loaded = load_network(tmp_path / "net.onnx", feeds)
    compressor = Compressor(loaded, calibrate(loaded, [feeds]), SCHEMES[scheme])
    candidate = compressor.build(Policy.uniform([layer.name for layer in loaded.layers], FORMATS["int8"]))
    with Target(profile) as target:
        target.load(candidate.onnx_bytes, {"x": feeds["x"][:1]}, candidate.session_entries)
        rows = target.layers(1)
    found = layers_in_float(rows, loaded.layers, candidate.formats)
    assert set(found) == set(expected)
    for sentence in sentences(found):
        assert "should run in integers; on the target it runs in float (" in sentence


def layer(name: str, node_name: str) -> Layer:
    return Layer(
        name=name, node_name=node_name, op_type="Conv", weight_name=f"{name}.weight", weight_shape=(8, 8, 3, 3),
        output_axis=0, groups=1, macs=1,
    )  # fmt: skip


def row(name: str, kernel: str) -> dict[str, Any]:
    return {"name": name, "operator": "Conv", "kernel": kernel, "median_ns": 1000, "calls": 1}


INTEGER = "CaskConvolution sm80_xmma_fprop_implicit_gemm_interleaved_i8i8_i8i32_f32_nchw_vect_c_32 (Int8 to Int8)"
FLOAT = "CaskConvolution sm80_xmma_fprop_implicit_gemm_f32f32_tf32f32_f32_nhwckrsc_nhwc_tilesize128x64 (FP32 to FP32)"
HALF = "CaskConvolution sm90_xmma_fprop_implicit_gemm_f16f16_f16f32_f32_nhwckrsc_nhwc (Half to Int8)"


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([row("w + w_QuantizeLinear + conv + relu", INTEGER)], None),
        ([row("conv", FLOAT)], FLOAT),
        ([row("conv + relu", HALF)], HALF),  # it writes 8 bits and multiplies halves
        ([row("conv + relu", INTEGER.replace("Int8 to Int8", "Int8/FP32 to FP32"))], None),
        ([row("Reformatting CopyNode for Input Tensor 0 to conv + relu", "Reformat (FP32 to Int8)")], None),
        ([row("{ForeignNode[conv...other]}", FLOAT)], FLOAT),
        ([row("conv", "not told by the engine")], None),
        ([row("conv2", FLOAT)], None),  # another operator whose name begins alike
        ([row("conv@first", INTEGER), row("conv", FLOAT)], None),
        ([], None),
    ],
)
def test_names_of_nvidias_kernels(rows: list[dict[str, Any]], expected: str | None) -> None:
    found = layers_in_float(rows, [layer("stem", "conv")], {"stem": "int8"})
    assert found == ({} if expected is None else {"stem": expected})


@pytest.mark.parametrize("format_name", ["fp32", "fp16", "int8-weights", "int4-weights"])
def test_formats_that_compute_in_float_may(format_name: str) -> None:
    assert layers_in_float([row("conv", FLOAT)], [layer("stem", "conv")], {"stem": format_name}) == {}
