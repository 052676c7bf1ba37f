"""What a target's machine and its state mean for measuring there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latency.finding import Finding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hwprofiles import HardwareProfile, Machine

# Judgements, on the safe side: they decide whether a line is a warning, never a figure.
_WORKERS = 4
_BYTES_PER_WORKER = 150 * 2**20  # Python, numpy and the runtime
_COPIES = 6  # of the weights in a worker: the bytes, the session's and the packed ones, for two networks
_BUSY = 0.5  # runnable processes per core
_HOT_C = 80.0  # where a Raspberry Pi begins to slow down, and not far from where others do
_STEADY_GOVERNOR = "performance"


def machine(profile: HardwareProfile, found: Machine) -> Finding:
    """Whether it is the machine that the profile describes, and whether the 8-bit scheme suits it."""
    from hwprofiles import int8_scheme

    accelerator = f" with {found.accelerator}" if found.accelerator else ""
    name = f"{found.cpu}{accelerator}, {found.architecture}, {found.physical_cores} cores"
    missing = profile.missing_on(found)
    if missing:
        return Finding(
            name="machine",
            status="failed",
            seen=f"{name}: profile '{profile.name}' is for a machine with {', '.join(missing)}",
            remedy="reach the right machine (--host, or transport = 'ssh' in a copy of the profile), "
            "or give another profile; `paretune profile detect` says what a machine is",
        )
    asked = profile.formats.int8_scheme
    if profile.engine.name == "onnxruntime" and not profile.probed and asked not in {"none", "auto"}:
        best, reason = int8_scheme(found)
        if best != asked:
            return Finding(
                name="machine",
                status="warning",
                seen=f"{name}: the profile's 8-bit scheme is {asked}, and {best} suits this machine ({reason})",
                remedy=f"set formats.int8_scheme = '{best}' in a copy of the profile, or measure it: "
                "paretune profile probe",
            )
    return Finding(name="machine", status="ok", seen=name)


def memory(state: Mapping[str, Any], model_bytes: int) -> Finding:
    """Whether the workers of a measurement fit."""
    free = state["free_bytes"]
    if free is None:
        return Finding(name="free memory", status="ok", seen="the system does not tell")
    needed = _WORKERS * (_BYTES_PER_WORKER + _COPIES * model_bytes)
    seen = f"{free / 2**30:.1f} GiB"
    if free >= needed:
        return Finding(name="free memory", status="ok", seen=seen)
    return Finding(
        name="free memory",
        status="failed" if free < needed / _WORKERS else "warning",
        seen=f"{seen}, and {_WORKERS} workers with this network take about {needed / 2**30:.1f} GiB",
        remedy="end other programs there; a machine that swaps cannot be measured",
    )


def load(state: Mapping[str, Any], cores: int) -> Finding:
    """Whether others want the processor."""
    runnable = state["load"]
    if runnable is None:
        return Finding(name="load", status="ok", seen="the system does not tell")
    seen = f"{runnable:.1f} runnable processes on {cores} cores over the last minute"
    if runnable <= _BUSY * cores:
        return Finding(name="load", status="ok", seen=seen)
    return Finding(
        name="load",
        status="warning",
        seen=seen,
        remedy="stop other work there, or pin the worker with engine.affinity to cores that nothing else uses",
    )


def clock_setting(state: Mapping[str, Any]) -> Finding:
    """Whether the system changes the processor's clock as it likes."""
    governor = state["governor"]
    if governor is None:
        return Finding(name="clock setting", status="ok", seen="the system does not tell (as virtual machines do not)")
    if governor == _STEADY_GOVERNOR:
        return Finding(name="clock setting", status="ok", seen=f"governor '{governor}'")
    return Finding(
        name="clock setting",
        status="warning",
        seen=f"governor '{governor}' changes the clock with the load",
        remedy=f"fix it while you measure: echo {_STEADY_GOVERNOR} | sudo tee "
        "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )


def temperature(state: Mapping[str, Any]) -> Finding:
    """Whether it is near the point where it slows down."""
    readings = state["temperatures_c"]
    if not readings:
        return Finding(name="temperature", status="ok", seen="there is no sensor that can be read")
    where, hottest = max(readings.items(), key=lambda item: item[1])
    seen = f"{hottest:.0f} °C ({where})"
    if hottest < _HOT_C:
        return Finding(name="temperature", status="ok", seen=seen)
    return Finding(
        name="temperature",
        status="warning",
        seen=seen,
        remedy="let it cool down, or cool it; --sustained 10m says how much it slows down",
    )
