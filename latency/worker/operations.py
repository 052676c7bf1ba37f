"""What a worker can be asked to do. Each operation takes the request's fields and returns the answer's."""

from __future__ import annotations

import os
import platform
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.busy import keep_busy
from latency.worker.counting import Marks, count_marked
from latency.worker.engine import EngineError
from latency.worker.loadgen import run_loadgen
from latency.worker.machine import machine_facts, machine_state
from latency.worker.schedule import interleave, warm_up
from latency.worker.turn import measuring, working

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from latency.worker.engine import Engine

PROTOCOL_VERSION = 1


class Operations:
    """The loaded models by slot, the inputs, and the operations on them.

    Args:
        engines: engine name to its class.
    """

    def __init__(self, engines: Mapping[str, Callable[[], Engine]]) -> None:
        self._engines = engines
        self._slots: dict[str, Engine] = {}
        self._inputs: dict[str, np.ndarray] = {}
        self._marks = Marks()
        self._by_name: dict[str, Callable[..., dict[str, Any]]] = {
            "hello": self.hello,
            "machine": self.machine,
            "state": self.state,
            "inputs": self.inputs,
            "load": self.load,
            "warm_up": self.warm_up,
            "time_interleaved": self.time_interleaved,
            "count_marked": self.count_marked,
            "busy": self.busy,
            "loadgen": self.loadgen,
            "infer": self.infer,
            "describe": self.describe,
            "layers": self.layers,
            "artifact": self.artifact,
            "unload": self.unload,
        }

    def call(self, request: dict[str, Any]) -> dict[str, Any]:
        """Runs one request; an exception becomes an answer with ``ok`` false, ``error`` and ``kind``."""
        fields = {key: value for key, value in request.items() if key not in {"op", "id"}}
        try:
            return {"ok": True, **self._operation(request.get("op"))(**fields)}
        except EngineError as error:
            return {"ok": False, "error": str(error), "kind": error.kind}
        except Exception as error:
            return {"ok": False, "error": f"{type(error).__name__}: {error}", "kind": type(error).__name__}

    def hello(self, engine: str) -> dict[str, Any]:
        """Versions and process id. Raises EngineError if the runtime is not installed."""
        import numpy as np

        return {
            "protocol": PROTOCOL_VERSION,
            "pid": os.getpid(),
            "python": platform.python_version(),
            "numpy": np.__version__,
            "runtime": self._engine_class(engine).version(),  # type: ignore[attr-defined]
        }

    def machine(self, engine: str, device: int) -> dict[str, Any]:
        """What the target is, with the accelerator that ``engine`` would use, or None."""
        return {**machine_facts(), "accelerator": self._engine_class(engine).accelerator(device)}  # type: ignore[attr-defined]

    def state(self) -> dict[str, Any]:
        """Free memory, temperatures, clocks: what changes from minute to minute."""
        return machine_state()

    def inputs(self, path: str, names: list[str]) -> dict[str, Any]:
        """Reads the arrays that models are timed with: an npz file with ``arr_0`` ... in the order of ``names``."""
        import numpy as np

        with np.load(path, allow_pickle=False) as file:
            self._inputs = {name: np.ascontiguousarray(file[f"arr_{index}"]) for index, name in enumerate(names)}
        return {}

    def load(self, slot: str, engine: str, path: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Loads a model file into a slot and binds the inputs; the slot's former model is closed.

        ``settings`` are the engine's, and ``affinity``: logical cores to stay on, or None. It is hard work, for which
        nobody waits at once: it is not done while times are taken on this machine.
        """
        self.unload(slot)
        _stay_on(settings.get("affinity"))
        loaded = self._engine_class(engine)()
        try:
            with working():
                loaded.load(Path(path).read_bytes(), settings)
                loaded.bind(self._inputs)
        except BaseException:
            loaded.close()  # what it took of a GPU would be missing for the next model
            raise
        self._slots[slot] = loaded
        return {}

    def warm_up(self, slots: list[str], budget_s: float) -> dict[str, Any]:
        """Runs the slots in turn until their times settle; ``waited_ns`` is how long others had the machine before."""
        engines = [self._slot(slot) for slot in slots]
        with measuring() as turn:
            return {**warm_up(engines, budget_s), "waited_ns": turn.waited_ns}

    def time_interleaved(
        self, slots: list[str], budget_s: float, min_rounds: int, limit_s: float, stays: list[int] | None = None
    ) -> dict[str, Any]:
        """Times two slots in the order A-B-B-A; ``stays`` are those of an earlier answer that this one goes on from.

        It waits for its turn on this machine, ``waited_ns``.
        """
        first, second = (self._slot(slot) for slot in slots)
        with measuring() as turn:
            return {**interleave(first, second, budget_s, min_rounds, limit_s, stays), "waited_ns": turn.waited_ns}

    def count_marked(self, slot: str, inferences: int) -> dict[str, Any]:
        """Runs the slot between marks, for an instruction counter that watches this process; no time is taken."""
        return count_marked(self._slot(slot), self._inputs, self._marks, inferences)

    def busy(self, slot: str, seconds: float) -> dict[str, Any]:
        """Runs back-to-back inferences on the bound inputs."""
        return keep_busy(self._slot(slot), seconds)

    def loadgen(self, slot: str, folder: str, settings: dict[str, Any]) -> dict[str, Any]:
        """Drives the slot through MLCommons' LoadGen; ``folder`` takes its logs until they are read."""
        return run_loadgen(self._slot(slot), folder, settings)

    def infer(
        self, slot: str, path: str, names: list[str], outputs_path: str, batch: int | None = None
    ) -> dict[str, Any]:
        """Runs the samples of an npz file; writes the outputs to another and returns their names.

        ``batch`` samples go into one inference; None takes all at once. A last batch that is not full repeats its
        last sample, since some engines are built for one batch size; these outputs are cut off.
        """
        import numpy as np

        with np.load(path, allow_pickle=False) as file:
            inputs = {name: file[f"arr_{index}"] for index, name in enumerate(names)}
        engine = self._slot(slot)
        outputs = engine.infer(inputs) if batch is None else _infer_in_batches(engine, inputs, batch)
        with Path(outputs_path).open("wb") as target:
            np.savez(target, *outputs.values())
        return {"names": list(outputs)}

    def describe(self, slot: str) -> dict[str, Any]:
        """What really runs in the slot."""
        return {"description": self._slot(slot).describe()}

    def layers(self, slot: str, count: int) -> dict[str, Any]:
        """Times the slot's layers over ``count`` inferences on the bound inputs; the sum of one is ``layers``' sum.

        Each row has ``name``, ``operator``, ``kernel``, ``median_ns`` and ``calls``, in the order they run.
        """
        engine = self._slot(slot)
        with measuring():
            return {"layers": engine.layers(count)}

    def artifact(self, slot: str, path: str) -> dict[str, Any]:
        """Writes what the engine built of the model to a file, and says what it is for; ``kind`` is None without."""
        built = self._slot(slot).artifact()
        if built is None:
            return {"kind": None}
        data, facts = built
        Path(path).write_bytes(data)
        return dict(facts)

    def unload(self, slot: str) -> dict[str, Any]:
        """Closes the slot's model, if there is one."""
        loaded = self._slots.pop(slot, None)
        if loaded is not None:
            loaded.close()
        return {}

    def _operation(self, name: object) -> Callable[..., dict[str, Any]]:
        operation = self._by_name.get(str(name))
        if operation is None:
            msg = f"unknown operation {name!r}; known: {', '.join([*self._by_name, 'exit'])}"
            raise EngineError(msg, kind="unknown_operation")
        return operation

    def _slot(self, slot: str) -> Engine:
        if slot not in self._slots:
            msg = f"slot '{slot}' is empty; loaded: {', '.join(self._slots) or 'none'}"
            raise EngineError(msg, kind="not_loaded")
        return self._slots[slot]

    def _engine_class(self, engine: str) -> Callable[[], Engine]:
        if engine not in self._engines:
            msg = f"unknown engine '{engine}'; known: {', '.join(self._engines)}"
            raise EngineError(msg, kind="unknown_engine")
        return self._engines[engine]


def _infer_in_batches(engine: Engine, inputs: dict[str, np.ndarray], batch: int) -> dict[str, np.ndarray]:
    import numpy as np

    total = len(next(iter(inputs.values())))
    parts: list[dict[str, np.ndarray]] = []
    for start in range(0, total, batch):
        indices = np.minimum(np.arange(start, start + batch), total - 1)
        outputs = engine.infer({name: np.ascontiguousarray(array[indices]) for name, array in inputs.items()})
        parts.append({name: array[: min(batch, total - start)] for name, array in outputs.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _stay_on(cores: list[int] | None) -> None:
    if cores is None:
        return
    if not hasattr(os, "sched_setaffinity"):
        msg = f"this system cannot pin a process, asked for cores {cores}; remove affinity from the profile"
        raise EngineError(msg, kind="affinity")
    try:
        os.sched_setaffinity(0, cores)
    except OSError as error:
        usable = sorted(os.sched_getaffinity(0))
        msg = f"cannot stay on cores {cores} ({error}); usable cores: {usable}; correct affinity in the profile"
        raise EngineError(msg, kind="affinity") from error
