"""What the worker can tell of the machine it runs on, with nothing but the standard library."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

_CPUINFO = Path("/proc/cpuinfo")
_BOARD = Path("/proc/device-tree/model")
_MEMORY = Path("/proc/meminfo")
_THERMAL = Path("/sys/class/thermal")
_GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


def machine_facts() -> dict[str, Any]:
    """Raw facts: what ``hwprofiles.machine_of`` makes a machine of.

    ``cpuinfo`` is the part of Linux's ``/proc/cpuinfo`` that names processors and flags, each distinct line once;
    ``board`` the device tree's model; ``logical_cores`` those that this process may use; ``cores`` pairs of package
    and core number of each of these.
    """
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))
    return {
        "cpuinfo": _distinct_lines(_text(_CPUINFO)),
        "board": _text(_BOARD).strip("\0 \n"),
        "architecture": platform.machine().lower(),
        "logical_cores": len(usable),
        "physical_cores": _physical(usable),
        "memory_bytes": _meminfo("MemTotal"),
        "os": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
    }


def machine_state() -> dict[str, Any]:
    """What changes from minute to minute: free memory, temperatures in degrees Celsius, the clock governor, the load.

    None, or empty, where the system does not tell.
    """
    temperatures = {}
    for zone in sorted(_THERMAL.glob("thermal_zone*")) if _THERMAL.is_dir() else []:
        reading = _text(zone / "temp").strip()
        if reading.lstrip("-").isdigit():
            temperatures[_text(zone / "type").strip() or zone.name] = int(reading) / 1000
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {
        "free_bytes": _meminfo("MemAvailable"),
        "temperatures_c": temperatures,
        "governor": _text(_GOVERNOR).strip() or None,
        "load": load,
    }


def _text(path: Path) -> str:
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""


def _distinct_lines(cpuinfo: str) -> str:
    wanted = ("model name", "flags", "Features", "CPU part", "CPU implementer")
    return "\n".join(dict.fromkeys(line for line in cpuinfo.splitlines() if line.startswith(wanted)))


def _meminfo(name: str) -> int | None:
    for line in _text(_MEMORY).splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None


def _physical(usable: list[int]) -> int:
    """Cores that share nothing but memory, among the usable logical ones."""
    seen = set()
    for number in usable:
        topology = Path(f"/sys/devices/system/cpu/cpu{number}/topology")
        seen.add((_text(topology / "physical_package_id"), _text(topology / "core_id") or str(number)))
    return len(seen)
