"""What an ONNX file says of its nodes and weights, read without the onnx package, which a target may not have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5  # field numbers of onnx.proto: ModelProto.graph, GraphProto.node ...
_NODE_NAME, _OPERATOR = 3, 4
_ELEMENT_TYPE = 2
_FLOAT16 = 10  # TensorProto.DataType
_QUANTIZERS = {"QuantizeLinear", "DequantizeLinear"}


class ModelFacts(NamedTuple):
    """What engines ask of a model.

    Attributes:
        operators: node name to operator, of the outermost graph.
        quantized: whether there are Q/DQ pairs.
        half: whether there are weights of 16-bit floats.
    """

    operators: dict[str, str]
    quantized: bool
    half: bool


def read_facts(model_bytes: bytes) -> ModelFacts:
    """The facts of a model; of bytes that are none, no facts, since the runtime says better what is wrong with them."""
    operators: dict[str, str] = {}
    found: set[str] = set()
    half = False
    try:
        for number, graph in fields(memoryview(model_bytes)):
            if number != _GRAPH:
                continue
            for part, value in fields(graph):
                if part == _NODE:
                    texts = {key: bytes(text).decode() for key, text in fields(value) if key in {_NODE_NAME, _OPERATOR}}
                    operators[texts.get(_NODE_NAME, "")] = texts.get(_OPERATOR, "")
                    found.add(texts.get(_OPERATOR, ""))
                elif part == _INITIALIZER:
                    half = half or (_ELEMENT_TYPE, _FLOAT16) in fields(value)
    except (ValueError, IndexError, TypeError):
        return ModelFacts({}, False, False)
    return ModelFacts(operators, bool(found & _QUANTIZERS), half)


def fields(message: memoryview) -> Iterator[tuple[int, Any]]:
    """Field number and value of a protobuf message: integers, or views of bytes."""
    position = 0
    while position < len(message):
        key, position = _varint(message, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _varint(message, position)
            yield number, value
            continue
        if wire == 2:
            size, position = _varint(message, position)
        elif wire in {1, 5}:
            size = 8 if wire == 1 else 4
        else:
            msg = f"wire type {wire}"
            raise ValueError(msg)
        if position + size > len(message):
            raise ValueError("a field reaches beyond the end")
        yield number, message[position : position + size]
        position += size


def _varint(message: memoryview, position: int) -> tuple[int, int]:
    value, shift = 0, 0
    while True:
        byte = message[position]
        value |= (byte & 127) << shift
        position += 1
        if byte < 128:
            return value, position
        shift += 7
