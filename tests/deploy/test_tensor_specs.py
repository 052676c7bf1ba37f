"""What a network takes and gives is read as the onnx package reads it, and nothing that lies elsewhere is let in."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from deploy.errors import DamagedBundleError
from deploy.manifest import TensorSpec
from deploy.tensor_specs import _DTYPES, read_specs

WEIGHTS = np.ones((2, 2), np.float32)


def network() -> onnx.ModelProto:
    """One product, with an axis of each kind and a weight that is listed as an input too."""
    weight = numpy_helper.from_array(WEIGHTS, "w")
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", None, -1, 2]),
        helper.make_tensor_value_info("w", TensorProto.FLOAT, [2, 2]),
        helper.make_tensor_value_info("mask", TensorProto.INT64, []),
    ]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT16, [1, 2])]
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "g", inputs, outputs, [weight])
    return helper.make_model(graph)


def outside() -> TensorProto:
    """A tensor whose data lie in a file."""
    tensor = numpy_helper.from_array(WEIGHTS, "secret")
    onnx.external_data_helper.set_external_data(tensor, "/etc/passwd")
    tensor.ClearField("raw_data")
    return tensor


def inner(tensor: TensorProto) -> onnx.GraphProto:
    return helper.make_graph([], "inner", [], [], [tensor])


def sparse(values: TensorProto) -> onnx.SparseTensorProto:
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.arange(4), "indices"), [4])


def as_initializer(model: onnx.ModelProto) -> None:
    model.graph.initializer.append(outside())


def as_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], value=outside()))


def as_one_of_several_tensors(model: onnx.ModelProto) -> None:
    model.graph.node[0].attribute.append(helper.make_attribute("several", [outside()]))


def as_sparse_initializer(model: onnx.ModelProto) -> None:
    model.graph.sparse_initializer.append(sparse(outside()))


def as_sparse_constant(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Constant", [], ["c"], sparse_value=sparse(outside())))


def in_a_branch(model: onnx.ModelProto) -> None:
    branch = helper.make_graph([helper.make_node("If", ["q"], ["r"], then_branch=inner(outside()))], "b", [], [])
    model.graph.node.append(helper.make_node("If", ["c"], ["d"], then_branch=branch))


def in_a_function(model: onnx.ModelProto) -> None:
    node = helper.make_node("Constant", [], ["c"], value=outside())
    model.functions.append(helper.make_function("d", "f", [], ["c"], [node], []))


def in_training(model: onnx.ModelProto) -> None:
    model.training_info.append(onnx.TrainingInfoProto(algorithm=inner(outside())))


def test_inputs_and_outputs_are_told_and_weights_are_neither() -> None:
    inputs, outputs = read_specs(network().SerializeToString())
    assert inputs == (
        TensorSpec(name="x", dtype="float32", shape=("batch", -1, -1, 2)),
        TensorSpec(name="mask", dtype="int64", shape=()),
    )
    assert outputs == (TensorSpec(name="y", dtype="float16", shape=(1, 2)),)


def test_types_are_called_what_onnx_calls_them() -> None:
    for number, name in _DTYPES.items():
        assert helper.tensor_dtype_to_np_dtype(number).name == name


@pytest.mark.parametrize(
    "hide",
    [
        as_initializer,
        as_constant,
        as_one_of_several_tensors,
        as_sparse_initializer,
        as_sparse_constant,
        in_a_branch,
        in_a_function,
        in_training,
    ],
)
def test_weights_in_another_file_are_refused_wherever_they_are_hidden(hide: Callable[[onnx.ModelProto], None]) -> None:
    model = network()
    read_specs(model.SerializeToString())
    hide(model)
    with pytest.raises(DamagedBundleError, match="keeps the weights 'secret' in another file"):
        read_specs(model.SerializeToString())


@pytest.mark.parametrize("data", [b"", b"no network", b"\x3a\xff\xff\xff\xff\x0f", b"\x38\x01", b"\x3b\x3c"])
def test_what_is_no_network_is_said_to_be_none(data: bytes) -> None:
    with pytest.raises(DamagedBundleError, match="the network is no ONNX file"):
        read_specs(data)


def test_graphs_within_graphs_without_end_are_refused() -> None:
    graph = b""
    for _ in range(2000):  # a node (1) with an attribute (5) with a graph (6), again and again
        for number in (6, 5, 1):
            graph = bytes([number << 3 | 2]) + _length(graph) + graph
    with pytest.raises(DamagedBundleError, match="the network is no ONNX file"):
        read_specs(b"\x3a" + _length(graph) + graph)


def _length(data: bytes) -> bytes:
    size, encoded = len(data), b""
    while size > 127:
        encoded += bytes([size & 127 | 128])
        size >>= 7
    return encoded + bytes([size])
