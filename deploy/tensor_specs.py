"""The inputs and outputs of a network, read from its ONNX bytes, and that it keeps its weights to itself.

The bytes are read as they are written, message by message (onnx.proto), without the onnx package: its import and its
copy of all weights take longer than everything else that is done with a bundle's files.
"""

from collections.abc import Iterator
from typing import Any

from deploy.errors import DamagedBundleError
from deploy.manifest import TensorSpec
from latency.worker.onnx_model import fields

# Field numbers of onnx.proto.
_GRAPH, _TRAINING, _FUNCTION = 7, 20, 25  # ModelProto
_INITIALIZATION, _ALGORITHM = 1, 2  # TrainingInfoProto
_FUNCTION_NODE = 7  # FunctionProto
_NODE, _INITIALIZER, _INPUT, _OUTPUT, _SPARSE_INITIALIZER = 1, 5, 11, 12, 15  # GraphProto
_ATTRIBUTE = 5  # NodeProto
_TENSORS, _GRAPHS, _SPARSE_TENSORS = (5, 10), (6, 11), (22, 23)  # AttributeProto: one of a kind, and several
_SPARSE_PARTS = (1, 2)  # SparseTensorProto: values and indices
_NAME, _EXTERNAL_DATA, _LOCATION = 8, 13, 14  # TensorProto
_VALUE_NAME, _VALUE_TYPE = 1, 2  # ValueInfoProto
_TENSOR_TYPE = 1  # TypeProto
_ELEMENT_TYPE, _SHAPE = 1, 2  # TypeProto.Tensor
_DIMENSION = 1  # TensorShapeProto
_DIMENSION_VALUE, _DIMENSION_NAME = 1, 2  # TensorShapeProto.Dimension

_DTYPES = {  # TensorProto.DataType, as NumPy and ml_dtypes call them
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    8: "object",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
}


def read_specs(onnx_bytes: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs, in the network's order.

    Raises:
        DamagedBundleError: The bytes are no ONNX network, or one whose weights lie in other files.
    """
    try:
        model = memoryview(onnx_bytes)
        _refuse_external(model)
        inputs, outputs = _interface(model)
    except (ValueError, IndexError, TypeError, RecursionError) as error:
        raise DamagedBundleError(f"the network is no ONNX file: {error}; export the bundle again") from error
    if not outputs:
        raise DamagedBundleError("the network is no ONNX file: it has no outputs; export the bundle again")
    return inputs, outputs


def _interface(model: memoryview) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    inputs, outputs, weights = [], [], set()
    for graph in _parts(model, _GRAPH):
        for number, value in fields(graph):
            if number == _INPUT:
                inputs.append(_spec(value))
            elif number == _OUTPUT:
                outputs.append(_spec(value))
            elif number == _INITIALIZER:
                weights.add(_text(value, _NAME))
    return tuple(spec for spec in inputs if spec.name not in weights), tuple(outputs)


def _spec(value: memoryview) -> TensorSpec:
    dtype, shape = "", list[int | str]()
    for kind in _parts(value, _VALUE_TYPE):
        for tensor in _parts(kind, _TENSOR_TYPE):
            for number, content in fields(tensor):
                if number == _ELEMENT_TYPE:
                    dtype = _DTYPES.get(content, f"type {content}")
                elif number == _SHAPE:
                    shape += [_size(axis) for axis in _parts(content, _DIMENSION)]
    if not dtype:
        raise ValueError(f"{_text(value, _VALUE_NAME)!r} is no tensor")
    return TensorSpec(name=_text(value, _VALUE_NAME), dtype=dtype, shape=tuple(shape))


def _size(axis: memoryview) -> int | str:
    """A number, which may be negative in two's complement, or a name."""
    size: int | str = -1
    for number, content in fields(axis):
        if number == _DIMENSION_VALUE:
            size = content - 2**64 if content >= 2**63 else content
        elif number == _DIMENSION_NAME:
            size = bytes(content).decode() or -1
    return size


def _refuse_external(model: memoryview) -> None:
    """A network that reads files beside it could read any file of the machine that loads it."""
    for tensor in _tensors_of_model(model):
        if any(number == _EXTERNAL_DATA or (number == _LOCATION and value) for number, value in fields(tensor)):
            name = _text(tensor, _NAME)
            raise DamagedBundleError(f"the network keeps the weights {name!r} in another file; it must hold them all")


def _tensors_of_model(model: memoryview) -> Iterator[memoryview]:
    """Every tensor that a runtime may read, wherever it stands."""
    for graph in _parts(model, _GRAPH):
        yield from _tensors_of_graph(graph)
    for function in _parts(model, _FUNCTION):
        for node in _parts(function, _FUNCTION_NODE):
            yield from _tensors_of_node(node)
    for training in _parts(model, _TRAINING):
        for graph in _parts(training, _INITIALIZATION, _ALGORITHM):
            yield from _tensors_of_graph(graph)


def _tensors_of_graph(graph: memoryview) -> Iterator[memoryview]:
    yield from _parts(graph, _INITIALIZER)
    for sparse in _parts(graph, _SPARSE_INITIALIZER):
        yield from _parts(sparse, *_SPARSE_PARTS)
    for node in _parts(graph, _NODE):
        yield from _tensors_of_node(node)


def _tensors_of_node(node: memoryview) -> Iterator[memoryview]:
    for attribute in _parts(node, _ATTRIBUTE):
        yield from _parts(attribute, *_TENSORS)
        for sparse in _parts(attribute, *_SPARSE_TENSORS):
            yield from _parts(sparse, *_SPARSE_PARTS)
        for graph in _parts(attribute, *_GRAPHS):
            yield from _tensors_of_graph(graph)


def _parts(message: memoryview, *numbers: int) -> Iterator[memoryview]:
    """The messages that stand in a message under any of these numbers."""
    for number, value in fields(message):
        if number in numbers:
            yield value


def _text(message: memoryview, wanted: int) -> str:
    texts: list[Any] = [value for number, value in fields(message) if number == wanted]
    return bytes(texts[-1]).decode() if texts else ""
