"""Whether a target can be measured on: reached, answering, the machine it should be, and quiet enough."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from latency.effort import SEARCH
from latency.emulation.outputs import compare_outputs
from latency.errors import MeasurementError, OperationError, TargetError
from latency.finding import Finding
from latency.machine_findings import clock_setting, load, machine, memory, temperature
from latency.measure import Meter
from latency.noise_findings import level, noise, quiet
from latency.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile
    from latency.effort import Effort
    from latency.transports import Transport

_REACH_REMEDY = {
    "local": "see what the worker's last words say; it is started with the Python that runs paretune",
    "ssh": "do what it says; `ssh HOST` must work with your key and without a question, and so must the Python that "
    "reach.python_command names",
    "emulated": "paretune profile prepare TARGET makes the root that is emulated",
}
_ENGINE_REMEDY = "install it on the target, for the Python that the worker is started with (reach.python_command)"
_SAME = 1e-3  # relative difference of float outputs between processors; other orders of summation give 1e-6


def check_target(
    profile: HardwareProfile,
    model: bytes,
    feeds: Mapping[str, NDArray[Any]],
    *,
    session_entries: Mapping[str, str] | None = None,
    repeats: int = 6,
    effort: Effort = SEARCH,
    transport: Transport | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Finding]:
    """Looks at one thing after another; what cannot be looked at without an earlier one is left out.

    Args:
        profile: the target.
        model: ONNX bytes of an FP32 network.
        feeds: input name to array, first axis the profile's batch size.
        session_entries: session entries that the model needs.
        repeats: how often the model is measured against itself.
        effort: how exact each of these is.
        transport: how workers are started; None for what the profile names.
        clock: seconds from any origin.
    """
    entries = session_entries or {}
    start = clock()
    with ExitStack() as stack:
        try:
            target = stack.enter_context(Target(profile, transport=transport))
        except (TargetError, MeasurementError) as error:
            yield from _not_open(profile, error)
            return
        yield Finding(name="reached", status="ok", seen=f"{_way(profile)}, in {clock() - start:.1f} s")
        found = machine(profile, target.machine)
        try:
            yield _versions(target)
            yield found
            if found.status == "failed":  # what else there is to see says nothing of the profile's target
                return
            yield from _state(target, len(model))
            target.load(model, feeds, entries)
            yield _answers(target, model, feeds, entries)
        except (TargetError, MeasurementError) as error:
            remedy = "see what the engine says of the network, and whether it runs elsewhere"
            yield Finding(name="network", status="failed", seen=str(error), remedy=remedy)
            return
    if profile.reach.transport != "emulated":
        yield from _measured(profile, model, feeds, entries, repeats=repeats, effort=effort, transport=transport)


def _not_open(profile: HardwareProfile, error: Exception) -> Iterator[Finding]:
    """A living worker that refuses to answer has been reached; all else has not."""
    if isinstance(error.__cause__, OperationError):
        yield Finding(name="reached", status="ok", seen=_way(profile))
        yield Finding(name="engine", status="failed", seen=str(error.__cause__), remedy=_ENGINE_REMEDY)
        return
    remedy = _REACH_REMEDY[profile.reach.transport].replace("TARGET", profile.name)
    yield Finding(name="reached", status="failed", seen=str(error), remedy=remedy)


def _way(profile: HardwareProfile) -> str:
    reach = profile.reach
    if reach.transport == "ssh":
        user = f"{reach.user}@" if reach.user else ""
        return f"over SSH at {user}{reach.host}:{reach.port}"
    if reach.transport == "emulated":
        return f"an emulated {reach.cpu}"
    return "a process on this machine"


def _versions(target: Target) -> Finding:
    hello = target.request("hello", engine=target.profile.engine.name)
    seen = f"{target.runtime}, Python {hello['python']}, numpy {hello['numpy']}"
    return Finding(name="engine", status="ok", seen=seen)


def _state(target: Target, model_bytes: int) -> Iterator[Finding]:
    state = target.state()
    yield memory(state, model_bytes)
    if target.profile.reach.transport != "emulated":  # a host's load and clock say nothing of instructions
        yield load(state, target.machine.logical_cores)
        yield clock_setting(state)
        yield temperature(state)


def _answers(target: Target, model: bytes, feeds: Mapping[str, NDArray[Any]], entries: Mapping[str, str]) -> Finding:
    """What the loaded network answers; beside this machine's answers where it is another, or plays one."""
    import numpy as np

    answers = target.predict(feeds)
    seen = f"runs in {target.describe().get('provider', target.profile.engine.provider)}"
    broken = [name for name, array in answers.items() if not np.isfinite(np.asarray(array, np.float64)).all()]
    if broken:
        return Finding(
            name="network",
            status="failed",
            seen=f"{seen}, and its outputs {', '.join(broken)} are not finite",
            remedy="run the network elsewhere on the same inputs; if it is finite there, the runtime here is broken",
        )
    reference = _processor_here(target.profile)
    if reference is None:
        return Finding(name="network", status="ok", seen=f"{seen}, and its outputs are finite")
    difference = compare_outputs(target, model, feeds, entries, reference=reference)
    seen = f"{seen}; its outputs: {difference.words}"
    if difference.largest_relative <= _SAME:
        return Finding(name="network", status="ok", seen=seen)
    remedy = "it computes with fewer bits than FP32, as TF32 and bfloat16 do, or is broken: see the engine's options"
    return Finding(name="network", status="warning", seen=seen, remedy=remedy)


def _processor_here(profile: HardwareProfile) -> HardwareProfile | None:
    """ONNX Runtime on this machine's processor, for comparison; None where that is what the profile itself names."""
    from hwprofiles import Engine, LocalReach

    if profile.reach.transport == "local" and profile.engine.name == "onnxruntime":
        return None
    engine = Engine(batch_size=profile.engine.batch_size)
    return profile.model_copy(update={"reach": LocalReach(), "engine": engine})


def _measured(
    profile: HardwareProfile,
    model: bytes,
    feeds: Mapping[str, NDArray[Any]],
    entries: Mapping[str, str],
    *,
    repeats: int,
    effort: Effort,
    transport: Transport | None,
) -> Iterator[Finding]:
    """The network against itself, several times over."""
    try:
        with Meter(
            profile, model, feeds, baseline_session_entries=entries, effort=effort, transport=transport
        ) as meter:
            measurements = [meter.measure(model, session_entries=entries, fresh=True) for _ in range(repeats)]
    except (MeasurementError, TargetError) as error:
        remedy = "run the check again; if it fails again, see what the worker's last words say"
        yield Finding(name="measuring", status="failed", seen=str(error), remedy=remedy)
        return
    yield quiet(measurements)
    yield level(measurements)
    yield noise(measurements)
