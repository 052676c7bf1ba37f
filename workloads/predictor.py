"""A network in ONNX Runtime on this machine's CPU, as a function from feeds to outputs."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.errors import WorkloadError
from workloads.sample_runs import Feeds

Predict = Callable[[Feeds], Mapping[str, NDArray[Any]]]
"""From input name to array, first axis the batch, to output name to array, first axis the batch."""

_DTYPES: Mapping[str, str] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bool)": "bool",
    **{f"tensor({kind}{bits})": f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)},
}
_ERRORS_ONLY = 3


def onnx_predictor(
    model: bytes | Path, *, threads: int = 1, session_entries: Mapping[str, str] | None = None
) -> Predict:
    """Open `model` and return a function that runs it on batches of any size.

    A network whose batch axis is fixed is run in pieces of that size; the last piece is filled up by repeating its
    last sample, and what that gives is cut off.

    Args:
        model: ONNX bytes, or an ONNX file.
        threads: Threads inside an operator.
        session_entries: ONNX Runtime session configuration that the network needs.

    Raises:
        WorkloadError: The file does not exist or ONNX Runtime does not load it. The returned function raises it where
            feeds do not fit the network's inputs in name, dtype or shape, and where running fails.
    """
    import onnxruntime

    if threads < 1:
        raise ValueError(f"threads must be positive, got {threads}")
    if isinstance(model, Path) and not model.is_file():
        raise WorkloadError(f"there is no network at {model}; give the path of an ONNX file")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _ERRORS_ONLY
    for key, entry in (session_entries or {}).items():
        options.add_session_config_entry(key, entry)
    source = model if isinstance(model, bytes) else str(model)
    try:
        # Without enable_fallback=0 a failure prints a banner and is tried again.
        session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"], enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no public base class
        raise WorkloadError(f"ONNX Runtime does not load the network: {_one_line(error)}") from error
    return session_predictor(session)


def session_predictor(session: Any) -> Predict:
    """The same function for an `onnxruntime.InferenceSession` that is open already.

    Raises:
        WorkloadError: The network's inputs disagree about the batch axis.
    """
    return _OnnxPredictor(session)


class _OnnxPredictor:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._inputs = {value.name: value for value in session.get_inputs()}
        self._outputs = [value.name for value in session.get_outputs()]
        self._fixed_batch = _fixed_batch(self._inputs)

    def __call__(self, feeds: Feeds) -> Mapping[str, NDArray[Any]]:
        self._check(feeds)
        count = len(next(iter(feeds.values())))
        size = self._fixed_batch or count
        pieces = [self._run(feeds, start, size) for start in range(0, count, size)]
        if len(pieces) == 1 and size == count:
            return pieces[0]
        return {name: _joined(name, [piece[name] for piece in pieces], size, count) for name in self._outputs}

    def _run(self, feeds: Feeds, start: int, size: int) -> dict[str, NDArray[Any]]:
        given = {name: _filled(array[start : start + size], size) for name, array in feeds.items()}
        try:
            results = self._session.run(self._outputs, given)
        except Exception as error:  # onnxruntime's exceptions share no public base class
            shapes = {name: array.shape for name, array in given.items()}
            raise WorkloadError(f"ONNX Runtime failed on feeds of shapes {shapes}: {_one_line(error)}") from error
        return dict(zip(self._outputs, map(np.asarray, results), strict=True))

    def _check(self, feeds: Feeds) -> None:
        if set(feeds) != set(self._inputs):
            raise WorkloadError(
                f"the network takes the inputs {sorted(self._inputs)} but the data gives {sorted(feeds)}; "
                "name the data's arrays as the network's inputs"
            )
        for name, array in feeds.items():
            value = self._inputs[name]
            dtype = _DTYPES.get(value.type)
            if (dtype is None or array.dtype == dtype) and _fits(array.shape, value.shape):
                continue
            raise WorkloadError(
                f"the network's input {name!r} takes {dtype or value.type} {_shape_text(value.shape)} but the data "
                f"gives {array.dtype} {_shape_text(array.shape)}; convert the data"
            )


def _fixed_batch(inputs: Mapping[str, Any]) -> int | None:
    sizes = {value.shape[0] for value in inputs.values() if value.shape and isinstance(value.shape[0], int)}
    if len(sizes) > 1:
        shapes = {name: _shape_text(value.shape) for name, value in inputs.items()}
        raise WorkloadError(f"the network's inputs {shapes} differ in their first axis, which must be the batch")
    return next(iter(sizes), None)


def _fits(shape: tuple[int, ...], wanted: list[Any]) -> bool:
    """Whether all but the first axis fit; an axis without a number fits all lengths."""
    if not wanted or len(shape) != len(wanted):
        return False
    pairs = zip(shape[1:], wanted[1:], strict=True)
    return all(length == expected for length, expected in pairs if isinstance(expected, int))


def _shape_text(shape: Any) -> str:
    return "(" + ", ".join("?" if length is None else str(length) for length in shape) + ")"


def _filled(array: NDArray[Any], size: int) -> NDArray[Any]:
    missing = size - len(array)
    return np.concatenate([array, np.repeat(array[-1:], missing, axis=0)]) if missing else np.ascontiguousarray(array)


def _joined(name: str, pieces: list[NDArray[Any]], size: int, count: int) -> NDArray[Any]:
    for piece in pieces:
        if piece.ndim == 0 or len(piece) != size:
            raise WorkloadError(
                f"output {name!r} has shape {piece.shape} for a batch of {size}; the first axis must be the batch"
            )
    return np.concatenate(pieces)[:count]


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
