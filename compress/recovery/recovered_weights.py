"""Recovered weights: all that makes a recovered candidate again, without data, and their file."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError, PolicyError
from compress.formats.scheme import Range
from compress.policy import Policy
from compress.recovery.lineage import Lineage, LossPoint
from compress.whole_file import whole_file

FORMAT_VERSION = 1

_WEIGHT, _RANGES = "weight/", "ranges"


@dataclass(frozen=True, kw_only=True, eq=False)
class RecoveredWeights:
    """What a recovered candidate is built of (`build_recovered`).

    Attributes:
        policy: What the candidate's layers are.
        network_digest: Of the FP32 network that it is a compressed form of.
        weights: Initializer name in the policy's float structure (`FloatStructure`) to its new values, float32, for
            those that were recovered.
        ranges: Lowest and highest value by tensor name, learned or observed, for the tensors that get quantized.
        lineage: Where the weights come from.
        history: How training went.
    """

    policy: Policy
    network_digest: str
    weights: Mapping[str, NDArray[np.float32]]
    ranges: Mapping[str, Range]
    lineage: Lineage
    history: tuple[LossPoint, ...] = ()

    def __post_init__(self) -> None:
        for name, array in self.weights.items():
            if array.dtype != np.float32 or not np.isfinite(array).all():
                raise CompressionError(f"recovered weight {name!r} must be finite float32, got {array.dtype}")
        for name, (low, high) in self.ranges.items():
            if not (np.isfinite([low, high]).all() and low <= high):
                raise CompressionError(f"the range of tensor {name!r} must be (low, high), got ({low}, {high})")

    @cached_property
    def digest(self) -> str:
        """SHA-256 over what decides the candidate's bytes: policy, network, weights and ranges."""
        found = hashlib.sha256()
        found.update(f"{self.policy.digest}\0{self.network_digest}\0".encode())
        for name, array in sorted(self.weights.items()):
            found.update(f"{name}\0{array.shape}\0".encode())
            found.update(np.ascontiguousarray(array).tobytes())
        found.update(json.dumps(sorted(self.ranges.items())).encode())
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Write a safetensors file, whole or not at all.

        Raises:
            OSError: The operating system refuses.
        """
        header = {
            "policy": json.loads(self.policy.to_json()),
            "network_digest": self.network_digest,
            "ranges": list(self.ranges),
            "lineage": self.lineage.as_dict(),
            "history": [asdict(point) for point in self.history],
        }
        arrays: dict[str, NDArray[Any]] = {_WEIGHT + name: array for name, array in sorted(self.weights.items())}
        arrays[_RANGES] = np.array(list(self.ranges.values()), np.float64).reshape(-1, 2)
        write_tensors(path, arrays, header, FORMAT_VERSION)

    @classmethod
    def load(cls, path: Path) -> "RecoveredWeights":
        """Read what `save` wrote.

        Raises:
            CompressionError: It is no such file, a damaged one, or of another version.
            OSError: It cannot be read.
        """
        arrays, header = read_tensors(path, FORMAT_VERSION, what="recovered weights")
        try:
            ranges = arrays[_RANGES]
            return cls(
                policy=Policy.from_json(json.dumps(header["policy"])),
                network_digest=str(header["network_digest"]),
                weights={
                    name.removeprefix(_WEIGHT): array for name, array in arrays.items() if name.startswith(_WEIGHT)
                },
                ranges={
                    str(name): (float(low), float(high))
                    for name, (low, high) in zip(header["ranges"], ranges, strict=True)
                },
                lineage=Lineage.from_dict(header["lineage"]),
                history=tuple(LossPoint(**point) for point in header["history"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            if isinstance(error, CompressionError) and not isinstance(error, PolicyError):
                raise
            raise CompressionError(f"{path} holds no recovered weights: {error}") from error


def write_tensors(path: Path, arrays: Mapping[str, NDArray[Any]], header: Mapping[str, Any], version: int) -> None:
    """Write arrays and a JSON header as safetensors, whole or not at all; the same content gives the same bytes."""
    from safetensors.numpy import save

    # One entry: safetensors writes several in an order of its own, another each time.
    metadata = {"header": json.dumps({**header, "format_version": version}, sort_keys=True)}
    # Not ascontiguousarray: it gives scalars an axis.
    data = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata=metadata)
    with whole_file(path) as file:
        file.write(data)


def read_tensors(path: Path, version: int, *, what: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """The arrays and the header that `write_tensors` wrote.

    Raises:
        CompressionError: It is no such file, a damaged one, or of another version.
        OSError: It cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path.stat()  # a missing file is the operating system's error
    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {})["header"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # it is no mapping
    except (SafetensorError, KeyError, json.JSONDecodeError) as error:
        raise CompressionError(f"{path} holds no {what}, or a damaged file: {error}") from error
    if not isinstance(header, dict):
        raise CompressionError(f"{path} holds no {what}: its header is no object")
    found = header.pop("format_version", None)
    if found != version:
        raise CompressionError(
            f"{path}: format_version of {what} must be {version}, got {found!r}; a newer one needs a newer paretune"
        )
    return arrays, header
