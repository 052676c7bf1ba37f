"""What a saved graph says about who computes a layer."""

from pathlib import Path

import pytest
from onnx import TensorProto, helper, save

from compress.formats.kernels import disagreements, is_integer_kernel, read_kernels
from compress.layers import Layer


def _layer(name: str) -> Layer:
    return Layer(
        name=name,
        node_name=name,
        op_type="MatMul",
        weight_name="w",
        weight_shape=(4, 4),
        output_axis=1,
        groups=1,
        macs=1,
    )


def test_a_layer_that_cannot_be_found_again_fits_no_format() -> None:
    for wanted in ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights"):
        (problem,) = disagreements([_layer("a")], {"a": ("unknown",)}, {"a": wanted})
        assert "layer 'a' should run" in problem
        assert "could not be found again" in problem


def test_a_format_without_a_kernel_is_a_disagreement() -> None:
    (problem,) = disagreements([_layer("a")], {"a": ("MatMul",)}, {"a": "w4a8-static"})
    assert problem == "layer 'a' should run as w4a8-static, which no kernel does, and runs in MatMul"


def test_every_kernel_of_a_layer_counts() -> None:
    """A factorized layer has two."""
    problems = disagreements([_layer("a")], {"a": ("MatMul", "QLinearMatMul")}, {"a": "int8"})
    assert problems == ["layer 'a' should run in integers and runs in MatMul"]


@pytest.mark.parametrize(
    ("kernel", "integer"),
    [
        ("QLinearConv", True),
        ("MatMulIntegerToFloat:dynamic", True),
        ("MatMulNBits:4:int8", False),
        ("Conv:fp16", False),
    ],
)
def test_weight_only_kernels_are_no_integer_kernels(kernel: str, integer: bool) -> None:
    assert is_integer_kernel(kernel) is integer


def test_half_precision_kernels_are_told_by_their_weights(tmp_path: Path) -> None:
    """A runtime that has such kernels keeps the weights as they are; one that has none widens them."""
    paths = {}
    for dtype in (TensorProto.FLOAT, TensorProto.FLOAT16):
        weight = helper.make_tensor("w", dtype, [1, 1], [1.0])
        graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"], name="a")], "g", [], [], [weight])
        paths[dtype] = tmp_path / f"{dtype}.onnx"
        save(helper.make_model(graph), paths[dtype])
    half, single = paths[TensorProto.FLOAT16], paths[TensorProto.FLOAT]
    assert read_kernels(half, {"a": ()}, half.read_bytes()) == {"a": ("MatMul:fp16",)}
    assert read_kernels(single, {"a": ()}, half.read_bytes()) == {"a": ("MatMul:fp16-widened",)}
    assert read_kernels(single, {"a": ()}, single.read_bytes()) == {"a": ("MatMul",)}
    assert read_kernels(single, {"b": ("absent",)}) == {"b": ("unknown",)}
