"""A target for whoever wants to look at it rather than to compare: one worker, a model, its layers and outputs."""

from __future__ import annotations

import hashlib
import io
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from latency.baseline import built_path, load_fields, npz
from latency.built_engines import BuiltEngines
from latency.errors import MeasurementError, OperationError, WorkerError
from latency.grading import judge
from latency.samples import ProcessSamples, Samples
from latency.statistics import SpreadPrior
from latency.transports import open_transport

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from numpy.typing import NDArray

    from hwprofiles import EmulatedReach, HardwareProfile, LocalReach, Machine, SshReach
    from latency.samples import Clock
    from latency.transports import Connection, Transport

_SLOT = "model"


def machine_behind(reach: LocalReach | SshReach | EmulatedReach, facts: Mapping[str, Any]) -> Machine:
    """The machine behind a worker's ``machine`` answer; this one is detected as it is everywhere else."""
    from hwprofiles import detect_machine, machine_of

    if reach.transport == "local":
        return replace(detect_machine(), accelerator=facts.get("accelerator"))
    machine = machine_of(facts)
    if reach.transport == "emulated":  # the cores are those of the machine that emulates it
        return replace(machine, cpu=f"emulated {reach.cpu}", physical_cores=1, logical_cores=1)
    return machine


class Target:
    """One worker on a profile's target; a context manager.

    Args:
        profile: the target. Its engine settings are applied as they are.
        transport: how the worker is started; None for what the profile names.
        patience_s: how long an answer may take.
        built: the folder where a ``Meter`` has kept engines that the runtime built; the one of a model that is loaded
            runs again, and is not built a second time.
    """

    def __init__(
        self,
        profile: HardwareProfile,
        *,
        transport: Transport | None = None,
        patience_s: float = 600.0,
        built: Path | None = None,
    ) -> None:
        self.profile = profile
        self._patience_s = patience_s
        self._given = transport
        self._engines = BuiltEngines(profile, built)
        self._open: tuple[Transport, Connection, ExitStack] | None = None
        self._machine: Machine | None = None
        self.runtime = ""

    def __enter__(self) -> Self:
        """Start the worker and ask what it is.

        Raises:
            TargetError: the target cannot be reached, or has no room.
            MeasurementError: the worker does not start, or lacks the engine.
        """
        with ExitStack() as stack:
            transport = stack.enter_context(self._given or open_transport(self.profile.reach))
            try:
                connection = transport.start()
            except WorkerError as error:
                msg = f"no worker on '{self.profile.name}': {error}"
                raise MeasurementError(msg) from error
            self._open = (transport, connection, stack)
            engine = self.profile.engine
            self.runtime = str(self.request("hello", engine=engine.name)["runtime"])
            facts = self.request("machine", engine=engine.name, device=engine.device)
            self._machine = machine_behind(self.profile.reach, facts)
            self._open = (transport, connection, stack.pop_all())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open is not None:
            self._open[2].close()
            self._open = None

    @property
    def machine(self) -> Machine:
        """What the target is, once it is open."""
        if self._machine is None:
            raise RuntimeError("the target is not open; use it in a with statement")
        return self._machine

    def request(self, op: str, **fields: Any) -> dict[str, Any]:
        """One operation of the worker.

        Raises:
            MeasurementError: it refused, died or did not answer in time.
        """
        _transport, connection, _stack = self._opened()
        try:
            return connection.request(op, self._patience_s, **fields)
        except (WorkerError, OperationError) as error:
            msg = f"'{op}' on '{self.profile.name}': {error}"
            raise MeasurementError(msg) from error

    def load(
        self,
        model: bytes,
        feeds: Mapping[str, NDArray[Any]],
        session_entries: Mapping[str, str] | None = None,
        *,
        slot: str = _SLOT,
    ) -> None:
        """Loads ONNX bytes and binds the inputs that its layers are timed on.

        ``slot`` takes the place of the model that was loaded into it before; models in other slots stay.

        Raises:
            MeasurementError: the engine refuses them.
        """
        transport, _connection, _stack = self._opened()
        inputs = transport.put(npz(feeds), "inputs.npz")
        self.request("inputs", path=inputs, names=list(feeds))
        path = transport.put(model, f"{slot}.onnx")
        self._engines.place(transport, built_path(path), hashlib.sha256(model).hexdigest())
        fields = load_fields(self.profile, path, session_entries or {})
        self.request("load", slot=slot, **fields)

    def layers(self, count: int, *, slot: str = _SLOT) -> list[dict[str, Any]]:
        """Time and kernel of each of the loaded model's layers (``Engine.layers``)."""
        return list(self.request("layers", slot=slot, count=count)["layers"])

    def ratio(self, baseline: str, *, slot: str = _SLOT, warm_up_s: float, budget_s: float) -> float:
        """How long the loaded model takes over the one in the slot ``baseline``, both timed in turns in this worker.

        For whoever wants to know it to a few percent; what ranks comes from a ``Meter``.

        Raises:
            MeasurementError: the worker refused, died or did not answer in time.
        """
        self.request("warm_up", slots=[baseline, slot], budget_s=warm_up_s)
        answer = self.request(
            "time_interleaved", slots=[baseline, slot], budget_s=budget_s, min_rounds=1, limit_s=4 * budget_s
        )
        first, second = (Samples.from_worker(rows) for rows in answer["samples"])
        taken = ProcessSamples(candidate=second, baseline=first, rounds=answer["rounds"])
        priors: dict[Clock, SpreadPrior] = {"wall": SpreadPrior(), "cpu": SpreadPrior()}
        return judge([taken], threads=self.profile.engine.threads, priors=priors).estimate.ratio

    def describe(self) -> dict[str, Any]:
        """What really runs the loaded model."""
        return dict(self.request("describe", slot=_SLOT)["description"])

    def state(self) -> dict[str, Any]:
        """Free memory, temperatures, clock governor and load of the target at this moment."""
        return self.request("state")

    def predict(self, feeds: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """The loaded model's outputs by name for any number of samples, run in the profile's batch size."""
        import numpy as np

        transport, _connection, _stack = self._opened()
        path, outputs_path = transport.put(npz(feeds), "samples.npz"), transport.path("outputs.npz")
        batch = self.profile.engine.batch_size
        answer = self.request("infer", slot=_SLOT, path=path, names=list(feeds), outputs_path=outputs_path, batch=batch)
        with np.load(io.BytesIO(self._get(transport, outputs_path)), allow_pickle=False) as file:
            return {name: file[f"arr_{index}"] for index, name in enumerate(answer["names"])}

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """What the engine built of the loaded model, and what it is for; None where the model's own bytes run."""
        transport, _connection, _stack = self._opened()
        path = transport.path("artifact.bin")
        facts = self.request("artifact", slot=_SLOT, path=path)
        if facts["kind"] is None:
            return None
        return self._get(transport, path), {key: value for key, value in facts.items() if key not in {"ok", "id"}}

    def path(self, name: str) -> str:
        """A path on the target, in the private folder of this session, that the worker may write to."""
        transport, _connection, _stack = self._opened()
        return transport.path(name)

    def _get(self, transport: Transport, path: str) -> bytes:
        try:
            return transport.get(path)
        except (OSError, WorkerError) as error:
            msg = f"cannot read {path!r} back from '{self.profile.name}': {error}"
            raise MeasurementError(msg) from error

    def _opened(self) -> tuple[Transport, Connection, ExitStack]:
        if self._open is None:
            raise RuntimeError("the target is not open; use it in a with statement")
        return self._open
