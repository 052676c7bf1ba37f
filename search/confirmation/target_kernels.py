"""Which layers a target runs otherwise than their policy says, from what its engine tells of its own kernels."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from compress.formats.kernels import is_integer_kernel
from compress.layers import Layer
from compress.low_rank.factorize_layers import first_name

_COMPUTES_IN_INTEGERS = frozenset(("int8", "int8-dynamic"))
# ONNX Runtime's kernels that multiply in floating point.
_FLOAT_KERNELS = frozenset(("Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "FusedMatMul"))
# What names of NVIDIA's kernels say of their operands: ..._i8i8_i8i32_..., imma against ..._f16f16_..., tf32, hmma.
# Integers are looked for first: an integer kernel's name also says in what it writes its outputs.
_INTEGER_NAME = re.compile(r"[isu]8[isu]8|int8|imma|igemm", re.IGNORECASE)
_FLOAT_NAME = re.compile(r"f32f32|f16f16|tf32|bf16|sgemm|hgemm|hmma|s1688|h1688|h16816|h884", re.IGNORECASE)
_FLOAT_TYPES = frozenset(("float", "half", "fp32", "fp16", "bf16", "bfloat16", "float32", "float16"))
_COPIES = "Reformatting "


def layers_in_float(
    rows: Iterable[Mapping[str, Any]], layers: Iterable[Layer], formats: Mapping[str, str]
) -> dict[str, str]:
    """The layers that should multiply integers and that the target runs in floating point, with the kernel.

    Engines rename and merge what they run; a layer that is not found again, or a kernel whose name says nothing of its
    operands, is not held against anyone.

    Args:
        rows: What `Target.layers` gave: name and kernel of each layer, in the engine's own words.
        layers: The network's layers.
        formats: Layer name to the name of its number format, for the layers that the candidate has.
    """
    listed = [(str(row["name"]), str(row["kernel"])) for row in rows]
    found: dict[str, str] = {}
    for layer in layers:
        if formats.get(layer.name) not in _COMPUTES_IN_INTEGERS:
            continue
        names = {layer.node_name, first_name(layer.node_name)}
        kernels = [kernel for row_name, kernel in listed if names & _named_in(row_name)]
        computed = [_computes_in(kernel) for kernel in kernels]
        if "float" in computed and "integers" not in computed:
            found[layer.name] = kernels[computed.index("float")]
    return found


def sentences(found: Mapping[str, str]) -> Iterator[str]:
    """What is said of them."""
    for name, kernel in found.items():
        yield f"layer {name!r} should run in integers; on the target it runs in float ({kernel})"


def _named_in(row_name: str) -> set[str]:
    """The operators that a row is of: one, or several that were merged. A copy between two layouts is of none."""
    if row_name.startswith(_COPIES):
        return set()
    parts = re.split(r" \+ |[{}\[\],]|\.\.\.", row_name)
    return {part.strip().split("_token_")[0].removesuffix("_nchwc") for part in parts}


def _computes_in(kernel: str) -> Literal["integers", "float"] | None:
    """What a kernel multiplies, as far as its name says; TensorRT's rows end in `(INPUT TYPES to OUTPUT TYPES)`."""
    name, _, types = kernel.partition(" (")
    inputs = {text.strip().lower() for text in types.partition(" to ")[0].split("/")} if types else set()
    if "int8" in inputs or is_integer_kernel(name) or _INTEGER_NAME.search(name):
        return "integers"
    if (inputs and inputs <= _FLOAT_TYPES) or name in _FLOAT_KERNELS or _FLOAT_NAME.search(name):
        return "float"
    return None
