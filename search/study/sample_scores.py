"""Scores of single samples as a study keeps them, so that any worker can pair a candidate with what is on the front."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

SAMPLE_SCORES = "sample_scores"
"""User attribute of a trial that was on the front when it ended."""

MOST_CHARACTERS = 64 * 1024
"""Of an attribute's text: databases hold it in every trial that has one. Right and wrong fill it with 393,216 samples,
other scores with 12,288; of more samples a process knows the scores that it has taken itself."""

_FORMAT_VERSION = 1
_SCORE_TYPE = np.dtype("<f4")


def order_of(indices: NDArray[np.int64]) -> str:
    """A name for samples in an order: their places in the user's own."""
    return hashlib.sha256(np.ascontiguousarray(indices, np.dtype("<i8")).tobytes()).hexdigest()[:16]


def encode(scores: NDArray[np.float64], order: str) -> dict[str, Any] | None:
    """As a JSON-able attribute: bits where all are 0 or 1, single precision elsewhere; None where that is too large.

    Args:
        scores: One per sample.
        order: Of which samples, and in which order.
    """
    if np.isin(scores, (0.0, 1.0)).all():
        encoding, packed = "bits", np.packbits(scores.astype(np.uint8)).tobytes()
    else:
        encoding, packed = "float32", scores.astype(_SCORE_TYPE).tobytes()
    text = base64.b64encode(packed).decode()
    if len(text) > MOST_CHARACTERS:
        return None
    return {
        "format_version": _FORMAT_VERSION,
        "encoding": encoding,
        "order": order,
        "samples": len(scores),
        "data": text,
    }


def decode(attribute: object, samples: int, order: str) -> NDArray[np.float64] | None:
    """Scores of these samples in this order; None where the attribute is not ours, of a newer version, or of others."""
    if not isinstance(attribute, Mapping) or attribute.get("format_version") != _FORMAT_VERSION:
        return None
    if (attribute.get("samples"), attribute.get("order")) != (samples, order):
        return None
    try:
        packed = base64.b64decode(str(attribute.get("data", "")), validate=True)
    except binascii.Error:
        return None
    if attribute.get("encoding") == "bits" and len(packed) == -(-samples // 8):
        scores = np.unpackbits(np.frombuffer(packed, np.uint8), count=samples)
    elif attribute.get("encoding") == "float32" and len(packed) == samples * _SCORE_TYPE.itemsize:
        scores = np.frombuffer(packed, _SCORE_TYPE)
    else:
        return None
    return scores.astype(np.float64)


def rounded(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """As `decode` gives back what `encode` was given: equal answers stay exactly equal, stored or not."""
    return scores.astype(_SCORE_TYPE).astype(np.float64)
