"""magika: the network that tells a file's type from its first and last bytes (magika 1.0.3's ONNX file).

An ONNX network of 784,223 parameters in three layers that can be compressed: an embedding as a matrix product, one
convolution, a classifier over 214 types. Validated on some 600 files of some 40 types, at most 16 of each: files that
come with Python's standard library and with the packages that paretune installs, and files that the standard library
and Pillow write here. Which files these are depends on the versions installed, and the figures with them.
Reached with Python 3.11 and the versions of constraints.txt: 0.927 on the search's half, 0.947 on the confirmation's.

Written as a user writes a workload: what is needed is imported where it is needed.
"""

import functools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

NAME = "magika"
MODEL_FOLDER = "models/standard_v3_3"
VALIDATION_PER_TYPE = 16
CALIBRATION_PER_TYPE = 8
BATCH_SIZE = 64

Tokens = dict[str, NDArray[np.int32]]


def model() -> Path:
    """The ONNX file; input `bytes` int32 (N, 2048), output `target_label`, one probability per type (N, 214)."""
    return _folder() / "model.onnx"


def calibration() -> Iterator[Tokens]:
    """Up to 8 files of each type that are not validated on."""
    tokens, _ = _labelled()[0]
    for start in range(0, len(tokens), BATCH_SIZE):
        yield {"bytes": tokens[start : start + BATCH_SIZE]}


def validation() -> Iterator[tuple[Tokens, NDArray[np.int64]]]:
    """Up to 16 files of each type, and the index of that type in the network's list."""
    tokens, types = _labelled()[1]
    yield {"bytes": tokens}, types


def top1(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the likeliest type is the file's; magika's thresholds and groups of types are not applied."""
    right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets
    return right


metric = top1


def _folder() -> Path:
    from workloads.builtin.packages import require_package

    return require_package("magika") / MODEL_FOLDER


@functools.cache
def _labelled() -> Sequence[tuple[NDArray[np.int32], NDArray[np.int64]]]:
    """Inputs and types for calibration and for validation, no input twice."""
    names = json.loads((_folder() / "config.min.json").read_text())["target_labels_space"]
    by_type = _inputs_by_type()
    validated = {label: len(found) * 2 // 3 // 2 * 2 for label, found in by_type.items()}
    parts = (
        {label: found[validated[label] :] for label, found in by_type.items()},
        {label: found[: validated[label]] for label, found in by_type.items()},
    )
    return [_interleaved(part, names) for part in parts]


def _inputs_by_type() -> dict[str, list[NDArray[np.int32]]]:
    from workloads.builtin.magika_features import features, is_long_enough
    from workloads.builtin.magika_made_files import made_files
    from workloads.builtin.magika_shipped_files import shipped_files

    most = VALIDATION_PER_TYPE + CALIBRATION_PER_TYPE
    by_type: dict[str, list[NDArray[np.int32]]] = {}
    seen = set()
    for label, _, content in (*shipped_files(most), *made_files(most)):
        found = by_type.setdefault(label, [])
        tokens = features(content)
        if len(found) < most and is_long_enough(content) and tokens.tobytes() not in seen:
            seen.add(tokens.tobytes())
            found.append(tokens)
    return dict(sorted(by_type.items()))


def _interleaved(
    by_type: dict[str, list[NDArray[np.int32]]], names: list[str]
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """A, A, B, B, ... A, A, B, B, ...: every other input, and every prefix, is balanced over the types."""
    ranked = [
        (index // 2, names.index(label), tokens)
        for label, found in by_type.items()
        for index, tokens in enumerate(found)
    ]
    ranked.sort(key=lambda entry: entry[:2])
    return np.stack([tokens for *_, tokens in ranked]), np.array([label for _, label, _ in ranked], dtype=np.int64)
