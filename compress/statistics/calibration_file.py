"""A calibration on disk: one NumPy archive, no pickle, with a format version."""

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.statistics.calibration import Calibration
from compress.statistics.histogram import ActivationHistogram
from compress.statistics.moments import Moments
from compress.statistics.responses import Responses

FORMAT_VERSION = 2
"""Version 1 held ranges and factors, without a version in the file."""

# What zipfile, NumPy and json raise on damaged bytes; NotImplementedError where these name an unknown compression.
_UNREADABLE = (zipfile.BadZipFile, KeyError, ValueError, EOFError, OSError, NotImplementedError)

_RESPONSE_PARTS = ("mean", "covariance", "rows")


def save_calibration(calibration: Calibration, path: Path) -> None:
    """Write the calibration; statistics that layers share are written once."""
    shared = list({id(moments): moments for moments in calibration.moments.values()}.values())
    number = {id(moments): index for index, moments in enumerate(shared)}
    header = {
        "format_version": FORMAT_VERSION,
        "sample_count": calibration.sample_count,
        "moments": {layer: number[id(moments)] for layer, moments in calibration.moments.items()},
        "by_channel": [moments.by_channel for moments in shared],
        "responses": list(calibration.responses),
        "histograms": list(calibration.histograms),
    }
    arrays: dict[str, NDArray[Any]] = {"header": np.frombuffer(json.dumps(header).encode(), np.uint8)}
    for index, moments in enumerate(shared):
        arrays |= {f"moments/{index}/mean": moments.mean, f"moments/{index}/covariance": moments.covariance}
    for index, responses in enumerate(calibration.responses.values()):
        arrays |= {f"responses/{index}/{part}": getattr(responses, part) for part in _RESPONSE_PARTS}
    for index, histogram in enumerate(calibration.histograms.values()):
        arrays |= {f"histogram/{index}/{part}": array for part, array in histogram.to_arrays().items()}
    with path.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def load_calibration(path: Path) -> Calibration:
    """Read what `save_calibration` wrote.

    Raises:
        CompressionError: It is no calibration, a damaged one, or of another version.
    """
    with path.open("rb") as file:  # of a damaged archive NumPy would leave it open
        try:
            with np.load(file, allow_pickle=False) as archive:
                return _read({name: archive[name] for name in archive.files})
        except _UNREADABLE as error:
            if isinstance(error, CompressionError):
                raise
            raise CompressionError(
                f"{str(path)!r} is no calibration of ours ({error}); remove it to calibrate anew"
            ) from error


def _read(arrays: dict[str, NDArray[Any]]) -> Calibration:
    header: dict[str, Any] = json.loads(arrays["header"].tobytes()) if "header" in arrays else {"format_version": 1}
    version = header["format_version"]
    if version != FORMAT_VERSION:
        raise CompressionError(
            f"the calibration is of format {version}, this paretune reads {FORMAT_VERSION}; remove it to calibrate anew"
        )
    shared = [
        Moments(
            mean=arrays[f"moments/{index}/mean"],
            covariance=arrays[f"moments/{index}/covariance"],
            by_channel=by_channel,
        )
        for index, by_channel in enumerate(header["by_channel"])
    ]
    responses = {
        layer: Responses(**{part: arrays[f"responses/{index}/{part}"] for part in _RESPONSE_PARTS})
        for index, layer in enumerate(header["responses"])
    }
    histograms = {
        name: ActivationHistogram.from_arrays(name, _under(arrays, f"histogram/{index}/"))
        for index, name in enumerate(header["histograms"])
    }
    return Calibration(
        histograms=histograms,
        moments={layer: shared[index] for layer, index in header["moments"].items()},
        responses=responses,
        sample_count=header["sample_count"],
    )


def _under(arrays: dict[str, NDArray[Any]], prefix: str) -> dict[str, NDArray[Any]]:
    return {name.removeprefix(prefix): array for name, array in arrays.items() if name.startswith(prefix)}
