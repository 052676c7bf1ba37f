"""One SHA-256 over all that decides a workload's results."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from workloads.errors import WorkloadError
from workloads.samples import Samples

if TYPE_CHECKING:
    import torch

_BATCH_SIZE = 256
_BEGINNING = b"\x08"  # of ModelProto.ir_version, which is written first
_LOCATION = b"location"  # the key of a file's name; where it does not stand, no other file is named


def digest(parts: Mapping[str, object]) -> str:
    """SHA-256, in hexadecimal, over named parts.

    A part is made of arrays, tensors, numbers, texts, bytes, mappings and sequences of these, `Samples`,
    `torch.nn.Module`s (their state), and `Path`s (the file's bytes; for ONNX also its external weights).

    Raises:
        WorkloadError: A part holds something else, or a file that cannot be read.
    """
    hasher = hashlib.sha256()
    _update(hasher, parts, "the workload")
    return hasher.hexdigest()


def _update(hasher: Any, value: object, where: str) -> None:
    """Every piece goes in with its kind and length in front, so that no two values read the same."""
    match value:
        case None | bool() | int() | float() | complex() | str():
            _add(hasher, type(value).__name__, repr(value).encode())
        case bytes():
            _add(hasher, "bytes", value)
        case Path():
            for piece in _file_pieces(value):
                _add(hasher, "file", piece)
        case Samples():
            for feeds, targets in value.batches(_BATCH_SIZE):
                _update(hasher, [feeds, targets], where)
        case Mapping():
            _add(hasher, "mapping", str(len(value)).encode())
            for key in sorted(value, key=str):
                _update(hasher, [key, value[key]], f"{where}, {key}")
        case list() | tuple():
            _add(hasher, "sequence", str(len(value)).encode())
            for item in value:
                _update(hasher, item, where)
        case _:
            _update_numeric(hasher, value, where)


def _update_numeric(hasher: Any, value: Any, where: str) -> None:
    if hasattr(value, "state_dict"):
        _update(hasher, {name: _state(item) for name, item in value.state_dict().items()}, where)
        return
    array = np.asarray(value) if hasattr(value, "__array__") else None
    if array is not None and array.dtype == object:
        _update(hasher, array.tolist(), where)
    elif array is not None:
        _add(hasher, f"{array.dtype.str} {array.shape}", np.ascontiguousarray(array).tobytes())
    else:
        raise WorkloadError(
            f"{where} holds a {type(value).__name__}, which has no bytes to tell it by; "
            "use arrays, numbers, texts, and lists or dicts of these"
        )


def _state(item: "torch.Tensor | Any") -> object:
    """One entry of a module's state; tensors as bytes, since numpy does not know every dtype of theirs."""
    if not hasattr(item, "detach"):
        return item
    import torch

    content = item.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
    return [str(item.dtype), list(item.shape), content]


def _add(hasher: Any, kind: str, content: bytes) -> None:
    hasher.update(f"{kind}:{len(content)}:".encode())
    hasher.update(content)


def _file_pieces(path: Path) -> Iterable[bytes]:
    content = path.read_bytes()
    yield content
    if path.suffix == ".onnx":
        for file in _external_files(path, content):
            yield file.read_bytes()


def _external_files(path: Path, content: bytes) -> list[Path]:
    if content.startswith(_BEGINNING) and _LOCATION not in content:
        return []  # without the onnx package, whose import takes longer than hashing most networks
    import onnx

    try:
        graph = onnx.load_model_from_string(content).graph
    except Exception as error:  # protobuf's, whose package has no types
        raise WorkloadError(f"{path} is not an ONNX file: {error}; export the network to ONNX again") from error
    entries = [entry for tensor in graph.initializer for entry in tensor.external_data]
    files = sorted({path.parent / entry.value for entry in entries if entry.key == "location"})
    for file in files:
        if not file.is_file():
            raise WorkloadError(f"{path} keeps weights in {file}, which does not exist; copy it beside the network")
    return files
