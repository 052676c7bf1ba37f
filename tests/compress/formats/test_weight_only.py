"""Blocks of few-bit weights: grids, packing, and what the operator makes of them."""

from collections.abc import Callable

import numpy as np
import onnx_ir as ir
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from compress.errors import PolicyError
from compress.formats.weight_only import AccuracyLevel, BlockWeight, WeightOnlyLayers, block_parameters, pack
from compress.graph import constant, operand
from compress.network import serialize
from compress.runtime import open_session
from tests.compress.conftest import Loaded
from tests.compress.format_mixes import block_weight, rounded_blocks


def _rows(rows: int, inputs: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(0.05, 0.1, (rows, inputs)).astype(np.float32)


@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize(("rows", "inputs", "block"), [(5, 64, 32), (3, 40, 16), (8, 7, 16), (1, 100, 64)])
def test_the_operator_computes_what_the_weight_stands_for(
    bits: int, with_bias: bool, rows: int, inputs: int, block: int
) -> None:
    """Inputs that are no multiple of the block, an odd number of blocks, a single row."""
    weight = rounded_blocks(_rows(rows, inputs), bits, block)
    bias = _rows(1, rows, 1)[0] if with_bias else None
    x = np.random.default_rng(2).normal(0, 1, (6, inputs)).astype(np.float32)
    found = _run(weight, x, bias)
    wanted = x.astype(np.float64) @ weight.dequantized().T + (0 if bias is None else bias)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("bits", [4, 8])
def test_level_4_rounds_activations_and_level_1_does_not(bits: int) -> None:
    """The reason why float activations are written as level 1."""
    weight = rounded_blocks(_rows(32, 64), bits, 32)
    x = np.random.default_rng(2).normal(0, 1, (6, 64)).astype(np.float32)
    wanted = x.astype(np.float64) @ weight.dequantized().T
    exact, rounded = (
        np.linalg.norm(_run(weight, x, None, level) - wanted) / np.linalg.norm(wanted) for level in (1, 4)
    )
    assert exact < 1e-5
    assert 1e-4 < rounded < 0.02


def _run(weight: BlockWeight, x: np.ndarray, bias: np.ndarray | None, level: AccuracyLevel = 1) -> np.ndarray:
    rows, inputs = weight.integers.shape
    arrays = {"w": np.zeros((inputs, rows), np.float32)} | ({} if bias is None else {"b": bias})
    constants = {name: ir.val(name, const_value=ir.tensor(array, name=name)) for name, array in arrays.items()}
    source = ir.val("x", dtype=ir.DataType.FLOAT, shape=ir.Shape(("rows", inputs)))
    node = ir.node("MatMul" if bias is None else "Gemm", [source, *constants.values()], name="product")
    node.outputs[0].name, node.outputs[0].type = "y", ir.TensorType(ir.DataType.FLOAT)
    graph = ir.Graph(
        [source], node.outputs, nodes=[node], initializers=list(constants.values()), opset_imports={"": 17}, name="g"
    )
    model = ir.Model(graph, ir_version=9)
    edited = ir.passes.functionalize(WeightOnlyLayers({"product": weight}, accuracy_level=level))(model).model
    assert "w" not in edited.graph.initializers
    found: np.ndarray = open_session(serialize(edited)).run(None, {"x": x})[0]
    return found


@settings(deadline=None, max_examples=60)
@given(st.sampled_from([4, 8]), st.sampled_from([16, 32]), st.integers(1, 70), st.floats(-2, 2), st.floats(1e-6, 1e3))
def test_the_grid_holds_zero_and_covers_the_weights(
    bits: int, block: int, inputs: int, offset: float, size: float
) -> None:
    rows = ((_rows(3, inputs) + np.float32(offset)) * np.float32(size)).astype(np.float32)
    scale, zero_point = block_parameters(rows[None], bits, block)
    assert scale.shape == zero_point.shape == (1, 3, inputs)
    weight = rounded_blocks(rows, bits, block)
    error = np.abs(weight.dequantized() - rows)
    if bits == 8:
        assert (zero_point == 128).all()
        assert (error <= 0.501 * scale[0]).all()
    else:
        # A cut range misses the ends by at most what it was cut by, and pays in squares.
        assert (error <= (0.3 * 15 + 1) * scale[0] / 0.7).all()
        assert np.square(error).sum() <= np.square(_min_max_error(rows, block)).sum() * 1.001 + 1e-12


def _min_max_error(rows: np.ndarray, block: int) -> np.ndarray:
    errors = np.empty_like(rows)
    for start in range(0, rows.shape[1], block):
        part = rows[:, start : start + block].astype(np.float64)
        low = np.minimum(part.min(axis=1, keepdims=True), 0)
        scale = (np.maximum(part.max(axis=1, keepdims=True), 0) - low) / 15
        zero_point = np.rint(-low / scale)
        integers = np.clip(np.rint(part / scale) + zero_point, 0, 15)
        errors[:, start : start + block] = (integers - zero_point) * scale - part
    return errors


def test_blocks_of_zeros_stay_zero() -> None:
    for bits in (4, 8):
        weight = rounded_blocks(np.zeros((2, 40), np.float32), bits, 16)
        assert not weight.dequantized().any()
        assert (weight.scale > 0).all()


def test_packing_puts_the_earlier_nibble_low_and_fills_up_with_the_zero_point() -> None:
    integers = np.arange(18, dtype=np.uint8)[None] % 16
    weight = BlockWeight(
        integers=integers,
        scale=np.ones((1, 2), np.float32),
        zero_point=np.array([[3, 5]], np.uint8),
        bits=4,
        block=16,
    )
    blobs, zero_points = pack(weight)
    assert blobs.shape == (1, 2, 8)
    assert blobs[0, 0, :2].tolist() == [0x10, 0x32]
    assert blobs[0, 1].tolist() == [0x10] + [0x55] * 7
    assert zero_points is not None
    assert zero_points.tolist() == [[0x53]]
    assert pack(rounded_blocks(_rows(2, 32), 8, 16))[1] is None, "the operator's default needs no bytes"


@pytest.mark.parametrize(
    ("change", "part"),
    [
        ({"bits": 3}, "bits must be 4 or 8, got 3"),
        ({"block": 24}, "power of two from 16, got 24"),
        ({"block": 8}, "power of two from 16, got 8"),
        ({"scale": np.ones((2, 3), np.float32)}, r"scale must have shape \(2, 2\), got \(2, 3\)"),
        ({"scale": np.zeros((2, 2), np.float32)}, "scale must be float32, finite and positive"),
        ({"integers": np.full((2, 32), 16, np.uint8)}, "integers must be uint8 below 16, got uint8 up to 16"),
        ({"zero_point": np.zeros((2, 2), np.int8)}, "zero_point must be uint8 below 16, got int8"),
    ],
)
def test_weights_that_the_operator_cannot_hold_are_refused(change: dict[str, object], part: str) -> None:
    good = {
        "integers": np.zeros((2, 32), np.uint8),
        "scale": np.ones((2, 2), np.float32),
        "zero_point": np.zeros((2, 2), np.uint8),
        "bits": 4,
        "block": 16,
    }
    BlockWeight(**good)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=part):
        BlockWeight(**{**good, **change})  # type: ignore[arg-type]


def test_weights_of_another_layer_and_unknown_levels_are_refused(load: Callable[[str], Loaded]) -> None:
    network = load("gemm_spellings").network
    node = next(node for node in network.model.graph if node.op_type == "Gemm")
    rows = constant(operand(node, 1))
    assert rows.shape[0] != rows.shape[1]
    with pytest.raises(PolicyError, match=r"rows of shape \(24, 16\), got \(16, 24\)"):
        WeightOnlyLayers({node.name or "": rounded_blocks(rows, 4, 16)}).requires(network.model)
    WeightOnlyLayers({node.name or "": block_weight(node, 4, 16)}).requires(network.model)
    with pytest.raises(ValueError, match=r"accuracy_level must be 1 .* got 2"):
        WeightOnlyLayers({}, accuracy_level=2)  # type: ignore[arg-type]
