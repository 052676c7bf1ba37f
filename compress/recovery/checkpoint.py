"""Where an interrupted training goes on: its file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.formats.scheme import Range
from compress.recovery.judgement import Judgement
from compress.recovery.lineage import LossPoint
from compress.recovery.recovered_weights import read_tensors, write_tensors

FORMAT_VERSION = 2

_KEPT = "kept/"


@dataclass(frozen=True, kw_only=True, eq=False)
class Checkpoint:
    """A training between two steps.

    Attributes:
        key: What decides how the training goes; one of another key is another's.
        step: Updates done.
        seconds: Spent so far.
        rate: Learning rate at its peak.
        arrays: Parameters and the optimizer's averages by name.
        ranges: The ranges with which rounding set in; None before that.
        kept: The best so far.
        kept_step: When it was.
        history: Losses so far.
    """

    key: str
    step: int
    seconds: float
    rate: float
    arrays: Mapping[str, NDArray[Any]]
    ranges: Mapping[str, Range] | None
    kept: Judgement
    kept_step: int
    history: tuple[LossPoint, ...]

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            OSError: The operating system refuses.
        """
        header = {
            "key": self.key,
            "step": self.step,
            "seconds": self.seconds,
            "rate": self.rate,
            "ranges": None if self.ranges is None else {name: list(found) for name, found in self.ranges.items()},
            "kept_step": self.kept_step,
            "kept": {
                "loss": self.kept.loss,
                "ranges": {name: list(found) for name, found in self.kept.ranges.items()},
            },
            "history": [asdict(point) for point in self.history],
        }
        kept = {_KEPT + name: array for name, array in self.kept.weights.items()}
        write_tensors(path, {**self.arrays, **kept}, header, FORMAT_VERSION)

    @classmethod
    def load(cls, path: Path, key: str) -> "Checkpoint":
        """Read what `save` wrote.

        Args:
            path: The file.
            key: Of the training that wants to go on.

        Raises:
            CompressionError: It is no such file, a damaged one, of another version, or of another training.
            OSError: It cannot be read.
        """
        arrays, header = read_tensors(path, FORMAT_VERSION, what="a training's checkpoint")
        try:
            found = cls(
                key=header["key"],
                step=int(header["step"]),
                seconds=float(header["seconds"]),
                rate=float(header["rate"]),
                arrays={name: array for name, array in arrays.items() if not name.startswith(_KEPT)},
                ranges=None if header["ranges"] is None else _ranges(header["ranges"]),
                kept=Judgement(
                    loss=float(header["kept"]["loss"]),
                    weights={
                        name.removeprefix(_KEPT): array for name, array in arrays.items() if name.startswith(_KEPT)
                    },
                    ranges=_ranges(header["kept"]["ranges"]),
                ),
                kept_step=int(header["kept_step"]),
                history=tuple(LossPoint(**point) for point in header["history"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise CompressionError(f"{path} holds no training's checkpoint: {error}") from error
        if found.key != key:
            raise CompressionError(
                f"{path} is the checkpoint of another training: other data, settings, policy or first weights; "
                "remove it to begin anew"
            )
        return found


def _ranges(found: Mapping[str, Any]) -> dict[str, Range]:
    return {name: (float(low), float(high)) for name, (low, high) in found.items()}


def require(arrays: Mapping[str, NDArray[Any]], name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array of a checkpoint.

    Raises:
        CompressionError: It is not there, or has another shape.
    """
    found = arrays.get(name)
    if found is None or found.shape != shape or found.dtype != np.float32:
        raise CompressionError(f"the checkpoint lacks {name!r} of shape {shape}; remove it to begin anew")
    return found
