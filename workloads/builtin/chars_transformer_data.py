"""The texts of the `chars-transformer` workload: excerpts of the standard library's source, shipped beside it.

`chars_transformer.npz` holds them, so that no figure depends on the interpreter that runs. They are excerpts of
CPython 3.11.7, copyright © 2001-2023 Python Software Foundation, under the license in `PYTHON-LICENSE.txt`.
`train_chars_transformer.py` wrote the file.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CONTEXT = 128
TEXTS = Path(__file__).with_name("chars_transformer.npz")

_NEWLINE = ord("\n")
_FIRST, _LAST = ord(" "), ord("~")


def encode(text: str) -> NDArray[np.uint8]:
    """Character codes uint8 (len(text),): 0 is the newline, 1 to 95 are printable ASCII, all else reads as `?`."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)
    known = (points == _NEWLINE) | ((points >= _FIRST) & (points <= _LAST))
    points = np.where(known, points, ord("?"))
    return np.where(points == _NEWLINE, 0, points - _FIRST + 1).astype(np.uint8)


def decode(codes: NDArray[np.integer]) -> str:
    """The text of character codes (L,)."""
    return "".join("\n" if code == 0 else chr(int(code) - 1 + _FIRST) for code in codes)


def load_windows(part: str) -> NDArray[np.int64]:
    """Excerpts of 129 characters, as codes int64 (N, 129): 128 to read and, one place on, 128 to predict.

    Args:
        part: "calibration" and "training", from files that trained the network; or "validation", from files that did
            not.

    Raises:
        KeyError: There is no such part.
    """
    with np.load(TEXTS, allow_pickle=False) as archive:
        return np.asarray(archive[part], dtype=np.int64)
