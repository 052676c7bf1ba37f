"""Whether the runtime does what the policy says.

Two independent witnesses: the graph that the runtime optimized for itself, kernel by kernel, and the candidate's
outputs with optimizations on against off. Honest integer rounding moves outputs by a fraction of the candidate's own
distance from FP32; a layer quantized behind the policy's back moves them by as much or more. Deep networks amplify
honest rounding beyond that: then the pieces between quantized tensors must agree, each given the same integers.
"""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.agreement import piecewise_difference
from compress.candidate import Candidate
from compress.errors import CompressionError, FaithfulnessError
from compress.formats.kernels import disagreements, marks, marks_of, read_kernels
from compress.low_rank.factorize_layers import factor_name, first_name, inner_name
from compress.network import Network
from compress.runtime import open_session
from compress.write_layers import written_names

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
        piecewise_difference: The largest difference of any piece given the same integers (`compress.agreement`); None
            where the outputs agreed, so that nobody looked.
        problems: One sentence each; empty when the candidate is what its policy says.
    """

    kernels: Mapping[str, tuple[str, ...]]
    relative_difference: float
    allowed_difference: float
    piecewise_difference: float | None = None
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
    candidate: Candidate,
    network: Network,
    feeds: Feeds,
    reference: Outputs,
    *,
    threads: int = 1,
    judge_kernels: bool = True,
) -> CheckedSession:
    """Open `candidate` as it will run and compare it with its policy and with itself unoptimized.

    Args:
        candidate: What to check.
        network: The FP32 network that it came from.
        feeds: A few samples by input name.
        reference: The FP32 network's outputs for `feeds`.
        threads: Threads inside an operator.
        judge_kernels: Whether the kernels that run here must be the policy's. Not where another engine, or another
            architecture, will run the candidate: then only its outputs are judged.

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
    plain = open_candidate(optimize=False, spins=False)
    as_run, as_written = _run(optimized, feeds), _run(plain, feeds)
    difference = relative_difference(as_run, as_written)
    allowed = max(_ALWAYS_ALLOWED, _SHARE_OF_DISTANCE * relative_difference(as_written, reference))
    piecewise = None
    left = [layer for layer in network.layers if layer.name in candidate.formats]
    problems = disagreements(left, kernels, candidate.formats) if judge_kernels else []
    if not difference <= allowed and np.isfinite(difference):
        where, piecewise = piecewise_difference(
            candidate.onnx_bytes, feeds, session_entries=candidate.session_entries, threads=threads
        )
        if not piecewise <= _ALWAYS_ALLOWED:
            problems.append(
                f"outputs with and without graph optimizations differ by {difference:.3g}, and by {piecewise:.3g} "
                f"where {where!r} is computed from the same integers; at most {_ALWAYS_ALLOWED:.3g} is rounding"
            )
    elif not np.isfinite(difference):
        problems.append("its outputs are not finite")
    verdict = Faithfulness(
        kernels=kernels,
        relative_difference=difference,
        allowed_difference=allowed,
        piecewise_difference=piecewise,
        problems=tuple(problems),
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
    left = [layer for layer in network.layers if layer.name in candidate.formats]
    known: dict[str, tuple[str, ...]] = {}
    for layer in left:
        name, node = layer.node_name, nodes[layer.node_name]
        if layer.name in candidate.ranks:
            first = first_name(name)
            known[first] = marks(first, (factor_name(layer, "first"), inner_name(node.outputs[0].name or "")))
            known[name] = (*marks(name, (factor_name(layer, "second"),)), *marks_of(node))
        else:
            known[name] = (*marks(name, written_names(name)), *marks_of(node))
    kernels = read_kernels(optimized, known, candidate.onnx_bytes)
    return {layer.name: kernels[layer.node_name] + kernels.get(first_name(layer.node_name), ()) for layer in left}
