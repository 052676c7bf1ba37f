"""Which kernels a runtime really uses: its optimized graph, read back layer by layer.

A kernel is named by its operator; behind a colon stands what the operator's name leaves open: `:dynamic` where integer
activations have a range of the moment, `:fp16` where weights are in half precision and `:fp16-widened` where they were
and the runtime computes with them in float32, and for `MatMulNBits` the bits of the weights and what the kernel may
round its activations to, `:4:float` or `:8:int8`.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import onnx_ir as ir

from compress.formats.placement import WEIGHTED, only_reader
from compress.formats.quantize import quantized_weight_names
from compress.formats.weight_only import block_weight_name
from compress.graph import derived
from compress.layers import Layer

if TYPE_CHECKING:
    import onnx

_STATIC = frozenset(("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat"))
_INTEGER = _STATIC | {"DynamicQuantizeMatMul", "MatMulInteger"}
_FLOAT = frozenset(("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"))
_BLOCKS = "MatMulNBits"
_UNKNOWN = "unknown"
# What ONNX Runtime puts before the name of a value that it has widened.
_WIDENED = ("InsertedPrecisionFreeCast_", "FusedBack_")
_ROUNDS_ACTIVATIONS = 4

_WANTED: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "fp32": _FLOAT,
        "fp16": frozenset(f"{kernel}:{how}" for kernel in _FLOAT for how in ("fp16", "fp16-widened")),
        "int8": _STATIC,
        "int8-dynamic": frozenset(("DynamicQuantizeMatMul", "MatMulIntegerToFloat:dynamic", "MatMulInteger:dynamic")),
        "int8-weights": frozenset((f"{_BLOCKS}:8:float", f"{_BLOCKS}:8:int8")),
        "int4-weights": frozenset((f"{_BLOCKS}:4:float", f"{_BLOCKS}:4:int8")),
    }
)
_IN_WORDS = MappingProxyType(
    {
        "fp32": "in FP32",
        "fp16": "in half precision",
        "int8": "in integers",
        "int8-dynamic": "in integers with dynamic ranges",
        "int8-weights": "with 8-bit weights and float activations",
        "int4-weights": "with 4-bit weights and float activations",
    }
)


def is_integer_kernel(kernel: str) -> bool:
    """Whether a kernel multiplies integers with integers that the graph itself quantized."""
    return kernel.split(":", maxsplit=1)[0] in _INTEGER


def marks_of(node: ir.Node) -> tuple[str, ...]:
    """Names by which a runtime's graph may know what has become of a layer's operator, beside the operator's own.

    Args:
        node: The operator in the FP32 network.
    """
    own = [value.name or "" for value in node.inputs[1:] if value is not None and len(value.uses()) == 1]
    return marks(node.name or "", (*own, *_written(node)))


def marks(name: str, known: Iterable[str]) -> tuple[str, ...]:
    """What passes call the weight of the operator `name` in every format, and `known` names with their half forms."""
    both = [form for mark in known for form in (mark, derived(mark, "half"))]
    return (*quantized_weight_names(name), block_weight_name(name), *both)


def _written(node: ir.Node) -> list[str]:
    """The tensor that `node` writes, and those that it may write once the runtime has fused what follows."""
    value, names = node.outputs[0], [node.outputs[0].name or ""]
    while (reader := only_reader(value)) is not None and reader.op_type not in WEIGHTED and len(reader.outputs) == 1:
        value = reader.outputs[0]
        names.append(value.name or "")
    return names


def read_kernels(
    optimized: Path, nodes: Mapping[str, Iterable[str]], written: bytes | None = None
) -> dict[str, tuple[str, ...]]:
    """The kernels that execute each operator.

    ONNX Runtime renames operators while it fuses them. It keeps at least one of three marks: the operator's name
    (`NAME`, `NAME_token_7`), a constant's name, or the name of the tensor it writes (`TENSOR_nchwc`,
    `TENSOR_pre_q`).

    Args:
        optimized: The graph that the runtime saved.
        nodes: Operator name to the other names it may be known by (constants and written tensors).
        written: The graph that the runtime was given. Only there stands which weights were in half precision before
            the runtime widened them; without it such a layer is found in FP32.

    Returns:
        Operator name to kernels, `unknown` where no mark survived.
    """
    import onnx

    graph = onnx.load(optimized, load_external_data=False).graph
    dynamic = {name for node in graph.node if node.op_type == "DynamicQuantizeLinear" for name in node.output}
    half = _half_constants(graph)
    by_mark: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type not in _INTEGER | _FLOAT | {_BLOCKS}:
            continue
        kernel = _kernel(node, dynamic, half)
        name = node.name.split("_token_")[0].removesuffix("_nchwc").removesuffix("_pre_q")
        for mark in {name, *node.input[1:], *node.output}:
            by_mark.setdefault(_stripped(mark), []).append(kernel)
    narrow = _half_operators(written)
    found = {}
    for name, marks in nodes.items():
        kernels = next((by_mark[mark] for mark in (name, *marks) if mark in by_mark), [_UNKNOWN])
        if name in narrow:
            kernels = [f"{kernel}:fp16-widened" if kernel in _FLOAT else kernel for kernel in kernels]
        found[name] = tuple(sorted(set(kernels)))
    return found


def _kernel(node: "onnx.NodeProto", dynamic: set[str], half: set[str]) -> str:
    if node.op_type == _BLOCKS:
        attributes = {attribute.name: attribute.i for attribute in node.attribute}
        rounds = attributes.get("accuracy_level", 0) == _ROUNDS_ACTIVATIONS
        return f"{_BLOCKS}:{attributes.get('bits', 4)}:{'int8' if rounds else 'float'}"
    if node.op_type in ("MatMulInteger", "MatMulIntegerToFloat"):
        return f"{node.op_type}:dynamic" if dynamic & set(node.input) else node.op_type
    return f"{node.op_type}:fp16" if node.op_type in _FLOAT and half & set(node.input[1:2]) else node.op_type


def _half_constants(graph: "onnx.GraphProto") -> set[str]:
    import onnx

    return {tensor.name for tensor in graph.initializer if tensor.data_type == onnx.TensorProto.FLOAT16}


def _half_operators(written: bytes | None) -> set[str]:
    """Names of the operators whose weight is a constant in half precision."""
    import onnx

    if written is None:
        return set()
    graph = onnx.load_model_from_string(written).graph
    half = _half_constants(graph)
    return {node.name for node in graph.node if node.op_type in _FLOAT and half & set(node.input[1:2])}


def _stripped(name: str) -> str:
    for prefix in _WIDENED:
        name = name.removeprefix(prefix)
    return name


def disagreements(
    layers: Iterable[Layer], kernels: Mapping[str, tuple[str, ...]], formats: Mapping[str, str]
) -> list[str]:
    """One sentence per kernel that is not what the layer's format calls for.

    Args:
        layers: The network's layers.
        kernels: Layer name to what `read_kernels` found for it; a kernel that is `unknown` fits no format.
        formats: Layer name to the format that the policy gives it, a name in `FORMATS`.
    """
    sentences = []
    for layer in layers:
        wanted = formats[layer.name]
        allowed = _WANTED.get(wanted, frozenset())
        should = _IN_WORDS.get(wanted, f"as {wanted}, which no kernel does,")
        sentences += [
            f"layer {layer.name!r} should run {should} and runs in {_described(kernel)}"
            for kernel in kernels[layer.name]
            if kernel not in allowed
        ]
    return sentences


def _described(kernel: str) -> str:
    return "a kernel that could not be found again" if kernel == _UNKNOWN else kernel
