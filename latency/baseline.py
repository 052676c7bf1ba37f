"""The fixed side of every measurement: the baseline, the inputs, and the engine settings."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING, Any

from latency.loading import BASELINE
from latency.measurement import MeasurementKey
from latency.ring import Request

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile
    from latency.transports import Transport


_SPARE = "spare"
_LARGEST_SPARE = 64 * 2**20  # bytes; what is larger is slow, and a few microseconds do not show


class Baseline:
    """The frozen FP32 model on its inputs, under a profile's engine settings.

    Args:
        profile: the target.
        model: ONNX bytes.
        feeds: input name to array, first axis the profile's batch size.
        session_entries: session entries that the model needs.
        digest: SHA-256 of ``model`` in hexadecimal, where it is known already; None finds it out.

    Raises:
        ValueError: feeds and batch size disagree.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        model: bytes,
        feeds: Mapping[str, NDArray[Any]],
        session_entries: Mapping[str, str],
        *,
        digest: str | None = None,
    ) -> None:
        _check_batch(feeds, profile.engine.batch_size)
        self._profile = profile
        self._engine = profile.engine
        self._model = model
        self._digest = digest or hashlib.sha256(model).hexdigest()
        self._feeds = dict(feeds)
        self._entries = dict(session_entries)
        self._timing_cache: str | None = None
        self._path = ""

    def preparation(self, transport: Transport, timing_cache: str | None = None) -> list[Request]:
        """What makes a started worker ready: it names its runtime and machine, takes the inputs, loads the baseline.

        ``timing_cache`` is a file on the target that builders share; None for no such file.
        """
        self._timing_cache = timing_cache
        inputs_path = transport.put(npz(self._feeds), "inputs.npz")
        self._path = transport.put(self._model, "baseline.onnx")
        baseline = self.own_fields
        # The first session of a process is slower than later ones of the same model, by 7 to 10 µs an inference (its
        # memory lies among the libraries'): a spare one takes that place, so that it falls on neither side.
        spare = self._engine.name == "onnxruntime" and len(self._model) <= _LARGEST_SPARE
        return [
            Request(op="hello", fields={"engine": self._engine.name}),
            Request(op="machine", fields={"engine": self._engine.name, "device": self._engine.device}),
            Request(op="inputs", fields={"path": inputs_path, "names": list(self._feeds)}),
            *([Request(op="load", fields={"slot": _SPARE, **baseline})] if spare else []),
            Request(op="load", fields={"slot": BASELINE, **baseline}),
        ]

    @property
    def own_fields(self) -> dict[str, Any]:
        """Those of the baseline's own request, once ``preparation`` has put it on the target."""
        return self.load_fields(self._path, self._entries)

    def load_fields(self, path: str, session_entries: Mapping[str, str]) -> dict[str, Any]:
        """The fields of a ``load`` request, but for the slot: any model under the profile's engine settings."""
        return load_fields(self._profile, path, session_entries, timing_cache=self._timing_cache)

    def key(
        self, model_digest: str, session_entries: Mapping[str, str], *, hardware_id: str, runtime: str
    ) -> MeasurementKey:
        """What a measurement of the model with this SHA-256 is found by."""
        shapes = sorted((name, str(array.dtype), tuple(array.shape)) for name, array in self._feeds.items())
        return MeasurementKey(
            model_digest=model_digest,
            baseline_digest=self._digest,
            hardware_id=hardware_id,
            runtime=runtime,
            provider=self._engine.provider,
            threads=self._engine.threads,
            affinity=self._engine.affinity,
            spinning=self._engine.spinning,
            batch_size=self._engine.batch_size,
            input_shapes=tuple(shapes),
            session_entries=tuple(sorted(session_entries.items())),
            baseline_session_entries=tuple(sorted(self._entries.items())),
            engine=self._engine.name,
            device=self._engine.device,
            options=self._engine.options,
        )


def load_fields(
    profile: HardwareProfile, path: str, session_entries: Mapping[str, str], *, timing_cache: str | None = None
) -> dict[str, Any]:
    """The fields of a ``load`` request, but for the slot.

    Args:
        profile: the runtime and its settings. Builders look for 2:4 patterns where the profile says that they pay.
        path: the model on the target.
        session_entries: session entries that the model needs.
        timing_cache: a file on the target that builders read and write; None for no such file.
    """
    engine = profile.engine
    settings = {
        "provider": engine.provider,
        "threads": engine.threads,
        "spinning": engine.spinning,
        "affinity": engine.affinity,
        "device": engine.device,
        "options": dict(engine.options),
        "session_entries": dict(session_entries),
        "timing_cache": timing_cache,
        "built": built_path(path),
        "sparse_weights": "2:4" in profile.sparsity.patterns,
    }
    return {"engine": engine.name, "path": path, "settings": settings}


def built_path(path: str) -> str:
    """Where the engine that a builder makes of the model at ``path`` lies on the target."""
    return f"{path}.engine"


def npz(feeds: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays as an npz file, ``arr_0`` ... in the mapping's order, as workers read them."""
    import numpy as np

    buffer = io.BytesIO()
    np.savez(buffer, *feeds.values())
    return buffer.getvalue()


def _check_batch(feeds: Mapping[str, NDArray[Any]], batch_size: int) -> None:
    if not feeds:
        raise ValueError("feeds must hold an array for each input, got none; pass input name to array")
    for name, array in feeds.items():
        if array.ndim == 0 or array.shape[0] != batch_size:
            msg = f"input '{name}' must have the profile's batch size {batch_size} first, got shape {array.shape}"
            raise ValueError(msg)
