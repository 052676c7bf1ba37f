"""The inputs and outputs of a network, read from its ONNX bytes."""

from typing import Any

from deploy.errors import DamagedBundleError
from deploy.manifest import TensorSpec


def read_specs(onnx_bytes: bytes) -> tuple[tuple[TensorSpec, ...], tuple[TensorSpec, ...]]:
    """Inputs and outputs, in the network's order.

    Raises:
        DamagedBundleError: The bytes are no ONNX network, or one whose weights lie in other files.
    """
    import onnx

    try:
        model = onnx.load_model_from_string(onnx_bytes)
    except Exception as error:  # protobuf's, whose package has no types
        raise DamagedBundleError(f"the network is no ONNX file: {error}; export the bundle again") from error
    graph = model.graph
    _refuse_external(graph, onnx.TensorProto.EXTERNAL)
    weights = {tensor.name for tensor in graph.initializer}
    inputs = tuple(_spec(value) for value in graph.input if value.name not in weights)
    return inputs, tuple(_spec(value) for value in graph.output)


def _spec(value: Any) -> TensorSpec:
    import onnx

    tensor = value.type.tensor_type
    shape = [axis.dim_value if axis.HasField("dim_value") else axis.dim_param or -1 for axis in tensor.shape.dim]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type).name
    return TensorSpec(name=value.name, dtype=dtype, shape=tuple(shape))


def _refuse_external(graph: Any, external: int) -> None:
    """A network that reads files beside it could read any file of the machine that loads it."""
    outside = [tensor.name for tensor in graph.initializer if tensor.data_location == external]
    for node in graph.node:
        for attribute in node.attribute:
            outside += [attribute.t.name] if attribute.t.data_location == external else []
            for inner in [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]:
                _refuse_external(inner, external)
    if outside:
        raise DamagedBundleError(f"the network keeps the weights {outside[0]!r} in another file; it must hold them all")
