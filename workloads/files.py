"""A workload without any Python: an ONNX file, an `.npz` file of data, and a metric."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.digest import digest
from workloads.errors import WorkloadError
from workloads.metrics import metric_file, resolve_metric
from workloads.samples import Samples
from workloads.sources import local_sources
from workloads.workload import Workload

TARGETS = "targets"
CALIBRATION_SAMPLES = 512
_CALIBRATION_BATCH = 64


def from_files(model: Path, data: Path, metric: str) -> Workload:
    """A workload from files alone.

    Calibration takes the first 512 samples of the part that the search sees, never one of the confirmation part.

    Args:
        model: An ONNX file.
        data: An `.npz` file: each input by its name, and `targets`, all with the samples as first axis.
        metric: "top1", "mse", or `FILE:FUNCTION`.

    Raises:
        WorkloadError: A file is missing or malformed, or there is no such metric.
    """
    model, data = Path(model).resolve(), Path(data).resolve()
    if model.suffix != ".onnx" or not model.is_file():
        raise WorkloadError(f"there is no ONNX file {model}; --model takes a file that ends in .onnx")
    resolved = resolve_metric(metric)
    arrays = _read(data)
    targets = arrays.pop(TARGETS)
    samples = Samples([(arrays, targets)], source=str(data))
    search_part, confirmation_part = samples.split()
    first = search_part.take(CALIBRATION_SAMPLES)
    file = metric_file(metric)
    sources = [source.read_bytes() for source in local_sources(file)] if file else []
    parts = {"network": model, "validation": samples, "metric": resolved.name, "sources": sources}
    return Workload(
        name=model.stem,
        origin=str(model),
        digest=digest(parts),
        network=lambda: model,
        calibration=tuple(feeds for feeds, _ in first.batches(_CALIBRATION_BATCH)),
        search_part=search_part,
        confirmation_part=confirmation_part,
        metric=resolved,
    )


def _read(data: Path) -> dict[str, NDArray[Any]]:
    if not data.is_file():
        raise WorkloadError(f"there is no data file {data}; --data takes an .npz file")
    try:
        with data.open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            arrays = {} if isinstance(archive, np.ndarray) else dict(archive)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise WorkloadError(f"{data} cannot be read as .npz: {error}; write it with numpy.savez") from error
    if TARGETS not in arrays or len(arrays) < 2:
        raise WorkloadError(
            f"{data} has the arrays {sorted(arrays)}; it must have each input by its name, and {TARGETS!r}"
        )
    return arrays
