"""Facts read from the bytes are those that onnx reads."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from latency.worker.onnx_model import ModelFacts, read_facts


def model(*, quantized: bool, dtype: type[np.generic]) -> onnx.ModelProto:
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"], name="product"), helper.make_node("Relu", ["h"], ["y"])]
    tensors = [numpy_helper.from_array(np.ones((8, 300), dtype), "w")]
    if quantized:
        nodes[1] = helper.make_node("QuantizeLinear", ["h", "scale"], ["y"], name="quantize")
        tensors.append(numpy_helper.from_array(np.ones((), dtype), "scale"))
    graph = helper.make_graph(
        nodes,
        "two layers",
        [helper.make_tensor_value_info("x", element, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8 if quantized else element, ["n", 300])],
        tensors,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], doc_string="d" * 1000)


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("quantized", [True, False])
def test_facts_are_those_of_the_model(quantized: bool, dtype: type[np.generic]) -> None:
    proto = model(quantized=quantized, dtype=dtype)
    facts = read_facts(proto.SerializeToString())
    assert facts.operators == {node.name: node.op_type for node in proto.graph.node}
    assert facts.quantized is quantized
    assert facts.half is (dtype is np.float16)


@pytest.mark.parametrize("data", [b"", b"not a model", b"\x3a\xff\xff\xff\xff\x0f", bytes(range(256))])
def test_bytes_that_are_no_model_have_no_facts(data: bytes) -> None:
    assert read_facts(data) == ModelFacts({}, False, False)


def test_model_cut_off_anywhere_is_read_or_has_no_facts() -> None:
    data = model(quantized=True, dtype=np.float16).SerializeToString()
    allowed = [read_facts(data), ModelFacts({}, False, False)]
    assert all(read_facts(data[:end]) in allowed for end in range(0, len(data), 37))
