"""Which kernels a runtime really uses: its optimized graph, read back layer by layer."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from compress.layers import Layer

_INTEGER_KERNELS = frozenset(
    (
        "QLinearConv",
        "QGemm",
        "QLinearMatMul",
        "MatMulIntegerToFloat",
        "DynamicQuantizeMatMul",
        "MatMulInteger",
    )
)
_FLOAT_KERNELS = frozenset(("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"))
_UNKNOWN = "unknown"


def is_integer_kernel(kernel: str) -> bool:
    """Whether a kernel multiplies integers."""
    return kernel in _INTEGER_KERNELS


def read_kernels(optimized: Path, nodes: Mapping[str, Iterable[str]]) -> dict[str, tuple[str, ...]]:
    """The kernels that execute each operator.

    ONNX Runtime renames operators while it fuses them. It keeps at least one of three marks: the operator's name
    (`NAME`, `NAME_token_7`), a constant's name, or the name of the tensor it writes (`TENSOR_nchwc`,
    `TENSOR_pre_q`).

    Args:
        optimized: The graph that the runtime saved.
        nodes: Operator name to the other names it may be known by (constants and written tensors).

    Returns:
        Operator name to kernel types, `unknown` where no mark survived.
    """
    import onnx

    graph = onnx.load(optimized, load_external_data=False).graph
    by_mark: dict[str, list[str]] = {}
    for node in graph.node:
        if node.op_type not in _INTEGER_KERNELS | _FLOAT_KERNELS:
            continue
        name = node.name.split("_token_")[0].removesuffix("_nchwc").removesuffix("_pre_q")
        for mark in {name, *node.input[1:], *node.output}:
            by_mark.setdefault(mark, []).append(node.op_type)
    found = {}
    for name, marks in nodes.items():
        kernels = next((by_mark[mark] for mark in (name, *marks) if mark in by_mark), [_UNKNOWN])
        found[name] = tuple(sorted(set(kernels)))
    return found


def disagreements(
    layers: Iterable[Layer], kernels: Mapping[str, tuple[str, ...]], integer_layers: frozenset[str]
) -> list[str]:
    """One sentence per layer that does not run as `integer_layers` says."""
    sentences = []
    for layer in layers:
        wanted = layer.name in integer_layers
        for kernel in kernels[layer.name]:
            if wanted and not is_integer_kernel(kernel):
                sentences.append(f"layer {layer.name!r} should run in integers and runs in {kernel}")
            if not wanted and is_integer_kernel(kernel):
                sentences.append(f"layer {layer.name!r} should run in FP32 and runs in {kernel}")
    return sentences
