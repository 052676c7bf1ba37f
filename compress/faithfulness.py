"""Whether the runtime does what the policy says.

Two independent witnesses: the graph that the runtime optimized for itself, kernel by kernel, and the candidate's
outputs with optimizations on against off. Honest integer rounding moves outputs by a fraction of the candidate's own
distance from FP32; a layer quantized behind the policy's back moves them by as much or more.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError, FaithfulnessError
from compress.factorize import factor_name, first_name, inner_name
from compress.kernels import disagreements, read_kernels
from compress.network import Network
from compress.placement import WEIGHTED, only_reader
from compress.quantize import quantized_weight_names
from compress.runtime import open_session
from compress.stitch import Candidate

_ALWAYS_ALLOWED = 0.01
_SHARE_OF_DISTANCE = 1 / 3

Feeds = Mapping[str, NDArray[Any]]
Outputs = Sequence[NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Faithfulness:
    """What the check saw.

    Attributes:
        kernels: Layer name to the kernels that run it (two where it was factorized).
        relative_difference: ‖optimized − unoptimized‖ / ‖unoptimized‖ over all outputs and samples.
        allowed_difference: The larger of 0.01 and a third of the candidate's own distance from FP32.
        problems: One sentence each; empty when the candidate is what its policy says.
    """

    kernels: Mapping[str, tuple[str, ...]]
    relative_difference: float
    allowed_difference: float
    problems: tuple[str, ...] = field(default=())

    def require(self) -> None:
        """Raise FaithfulnessError with all problems if there are any."""
        if self.problems:
            raise FaithfulnessError("; ".join(self.problems))


@dataclass(frozen=True, kw_only=True, eq=False)
class CheckedSession:
    """The optimized session that was checked, ready for use, and the verdict on it."""

    session: Any
    faithfulness: Faithfulness


def open_checked(
    candidate: Candidate, network: Network, feeds: Feeds, reference: Outputs, *, threads: int = 1
) -> CheckedSession:
    """Open `candidate` as it will run and compare it with its policy and with itself unoptimized.

    Args:
        candidate: What to check.
        network: The FP32 network that it came from.
        feeds: A few samples by input name.
        reference: The FP32 network's outputs for `feeds`.
        threads: Threads inside an operator.

    Raises:
        CompressionError: The runtime does not load the candidate.
    """
    open_candidate = partial(
        open_session, candidate.onnx_bytes, threads=threads, session_entries=candidate.session_entries
    )
    with tempfile.TemporaryDirectory(prefix="paretune-") as folder:
        optimized_path = Path(folder) / "optimized.onnx"
        optimized = open_candidate(optimized_path=optimized_path)
        kernels = _kernels_by_layer(candidate, network, optimized_path)
    plain = open_candidate(optimize=False)
    as_run, as_written = _run(optimized, feeds), _run(plain, feeds)
    difference = relative_difference(as_run, as_written)
    allowed = max(_ALWAYS_ALLOWED, _SHARE_OF_DISTANCE * relative_difference(as_written, reference))
    problems = disagreements(network.layers, kernels, candidate.integer_layers)
    if not difference <= allowed:
        problems.append(
            f"outputs with and without graph optimizations differ by {difference:.3g}, "
            f"at most {allowed:.3g} is rounding"
        )
    verdict = Faithfulness(
        kernels=kernels, relative_difference=difference, allowed_difference=allowed, problems=tuple(problems)
    )
    return CheckedSession(session=optimized, faithfulness=verdict)


def _run(session: Any, feeds: Feeds) -> Outputs:
    try:
        outputs: Outputs = session.run(None, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CompressionError(f"ONNX Runtime does not run the candidate: {first_line}") from error
    return outputs


def relative_difference(outputs: Outputs, reference: Outputs) -> float:
    """‖outputs − reference‖ / ‖reference‖ over all floating-point outputs; NaN where either is not finite."""
    floating = [(a, b) for a, b in zip(outputs, reference, strict=True) if np.issubdtype(b.dtype, np.floating)]
    error = sum(float(np.square(a.astype(np.float64) - b).sum()) for a, b in floating)
    size = sum(float(np.square(b.astype(np.float64)).sum()) for _, b in floating)
    return float(np.sqrt(error / size)) if size else float(error > 0)


def _kernels_by_layer(candidate: Candidate, network: Network, optimized: Path) -> dict[str, tuple[str, ...]]:
    nodes = {node.name or "": node for node in network.model.graph}
    marks: dict[str, list[str]] = {}
    for layer in network.layers:
        name, node = layer.node_name, nodes[layer.node_name]
        own = [value.name or "" for value in node.inputs[1:] if value is not None and len(value.uses()) == 1]
        factorized = layer.name in candidate.ranks
        weight = [factor_name(layer, "second")] if factorized else []
        marks[name] = [*weight, *quantized_weight_names(name), *own, *_written(node)]
        if factorized:
            first = first_name(name)
            inner = inner_name(node.outputs[0].name or "")
            marks[first] = [factor_name(layer, "first"), *quantized_weight_names(first), inner]
    kernels = read_kernels(optimized, marks)
    return {
        layer.name: kernels[layer.node_name] + kernels.get(first_name(layer.node_name), ()) for layer in network.layers
    }


def _written(node: ir.Node) -> list[str]:
    """The tensor that `node` writes, and those that it may write once the runtime has fused what follows."""
    value, names = node.outputs[0], [node.outputs[0].name or ""]
    while (reader := only_reader(value)) is not None and reader.op_type not in WEIGHTED and len(reader.outputs) == 1:
        value = reader.outputs[0]
        names.append(value.name or "")
    return names
