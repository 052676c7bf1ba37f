"""Candidates on their way to a target: the file there, what was built of it before, and the workers that load it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency.baseline import built_path
from latency.loading import CANDIDATE, Loading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latency.baseline import Baseline
    from latency.built_engines import BuiltEngines
    from latency.measurement import MeasurementKey
    from latency.ring import WorkerRing
    from latency.transports import Transport


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A candidate on the target: by what its measurement is found, its file there, and how workers load it."""

    key: MeasurementKey
    path: str
    loading: Loading


class Sending:
    """Sends candidates to a target, and remembers the one that is expected to be measured next.

    Args:
        transport: to the target.
        ring: its workers.
        baseline: what candidates are measured against.
        engines: what a runtime built of candidates.
        baseline_anew: whether the baseline is loaded anew beside each candidate.
        patience_s: how long a worker may take to load a model.
    """

    def __init__(
        self,
        transport: Transport,
        ring: WorkerRing,
        *,
        baseline: Baseline,
        engines: BuiltEngines,
        baseline_anew: bool,
        patience_s: float,
    ) -> None:
        self._transport = transport
        self._ring = ring
        self._baseline = baseline
        self._engines = engines
        self._baseline_anew = baseline_anew
        self._patience_s = patience_s
        self._expected: Sent | None = None

    def expect(self, key: MeasurementKey, model: bytes, entries: Mapping[str, str]) -> None:
        """Sends a candidate and has it loaded, without waiting for it; what was expected before is cleared away.

        Raises:
            TargetError: the target has no room for it.
        """
        self._forget()
        self._expected = self._send(key, model, entries)
        self._expected.loading.begin()

    def take(self, key: MeasurementKey, model: bytes, entries: Mapping[str, str]) -> Sent:
        """The candidate that was expected, or another, which is sent now; the caller clears it away.

        Raises:
            TargetError: the target has no room for it.
        """
        if self._expected is None or self._expected.key != key:
            self._forget()
            return self._send(key, model, entries)
        sent, self._expected = self._expected, None
        return sent

    def keep(self, sent: Sent) -> None:
        """Keeps what the runtime built of it, if a worker that holds it lives."""
        if sent.loading.loaded is not None:
            path = built_path(sent.path)
            self._engines.keep(self._transport, sent.loading.loaded, CANDIDATE, path, sent.key.model_digest)

    def clear_away(self, sent: Sent) -> None:
        """Takes it out of the workers and its files from the target."""
        sent.loading.clear_away()
        self._transport.remove(sent.path)
        self._engines.clear_away(self._transport, built_path(sent.path))

    def _send(self, key: MeasurementKey, model: bytes, entries: Mapping[str, str]) -> Sent:
        path = self._transport.put(model, f"candidate-{key.model_digest[:16]}.onnx")
        self._engines.place(self._transport, built_path(path), key.model_digest)
        loading = Loading(
            self._ring,
            load_fields=self._baseline.load_fields(path, entries),
            baseline_fields=self._baseline.own_fields if self._baseline_anew else None,
            patience_s=self._patience_s,
        )
        return Sent(key=key, path=path, loading=loading)

    def _forget(self) -> None:
        sent, self._expected = self._expected, None
        if sent is not None:
            self.clear_away(sent)
