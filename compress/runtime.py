"""Opening ONNX Runtime sessions on this machine's CPU, for calibration and for the faithfulness check."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compress.errors import CompressionError

# ONNX Runtime's basic optimizations quantize FP32 layers that stand between Q/DQ pairs, per tensor and unasked
# (onnxruntime pull requests 22969 and 24537). A candidate's FP32 layers stay FP32 only without them.
FAITHFUL_SESSION_ENTRIES: Mapping[str, str] = {
    "optimization.disable_specified_optimizers": "WeightBiasQuantization",
}

_ERRORS_ONLY = 3


def open_session(
    model: bytes,
    *,
    threads: int = 1,
    session_entries: Mapping[str, str] | None = None,
    optimize: bool = True,
    spins: bool = True,
    optimized_path: Path | None = None,
) -> Any:
    """An `onnxruntime.InferenceSession` on the CPU provider.

    Args:
        model: ONNX bytes.
        threads: Threads inside an operator.
        session_entries: Session configuration that the model needs.
        optimize: All graph optimizations, or none.
        spins: Whether threads that wait for work keep their core busy: it pays where inference follows inference. A
            session that runs once spins longer than it works, while it is opened and after.
        optimized_path: Where to write the graph as it will run.

    Raises:
        CompressionError: ONNX Runtime does not accept the model.
    """
    import onnxruntime

    levels = onnxruntime.GraphOptimizationLevel
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    options.graph_optimization_level = levels.ORT_ENABLE_ALL if optimize else levels.ORT_DISABLE_ALL
    if not spins:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    for key, entry in (session_entries or {}).items():
        options.add_session_config_entry(key, entry)
    if optimized_path is not None:
        options.optimized_model_filepath = str(optimized_path)
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CompressionError(f"ONNX Runtime does not load the network: {first_line}") from error
