"""`environment.json`: the target, its runtime, this host and its libraries: what a run's figures come from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hwprofiles import HardwareProfile, Machine, detect_machine
from search.errors import RunFolderError, SearchError
from search.folder.run_folder import RunFolder

FORMAT_VERSION = 1

# What decides, on a host that builds and scores candidates, which bytes and which accuracy come out.
_DECISIVE_OF_HOSTS = ("architecture", "flags")
_DECISIVE_LIBRARIES = ("paretune", "onnx", "onnx-ir", "onnxruntime", "numpy")

# What the hardware id is made of.
_DECISIVE = ("cpu", "architecture", "flags", "physical_cores", "logical_cores", "accelerator")


def read_environment(folder: RunFolder) -> dict[str, Any]:
    """What the run was measured with; empty before anything was.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    return folder.read_json(folder.environment_path, FORMAT_VERSION)


def require_target(profile: HardwareProfile, machine: Machine) -> None:
    """See that the machine behind a profile is the one that it describes.

    Raises:
        SearchError: It lacks something; its figures would be those of another device.
    """
    missing = profile.missing_on(machine)
    if missing:
        found = f"{machine.accelerator or machine.cpu} ({machine.architecture})"
        raise SearchError(
            f"profile {profile.name!r} is for a machine with {', '.join(profile.requires)}; {found} lacks "
            f"{', '.join(missing)}: run it on that device, give --host, or another profile (paretune profile list)"
        )


def keep_environment(
    folder: RunFolder, profile: HardwareProfile, machine: Machine, runtime: str, *, has_trials: bool | None = None
) -> dict[str, Any]:
    """Write what this session measures with; a run that has trials must have been measured with the same.

    `machine` and `runtime` are the target's, which another host may reach; `host` and `versions` are those of the
    machine that searches: candidates are built and accuracy in the search is taken here.

    Figures of two machines, or of two versions of a runtime, do not compare: mixed, they would make a front of both.

    Args:
        folder: The run's folder.
        profile: The target.
        machine: What it is.
        runtime: What runs there.
        has_trials: Whether the folder's run has trials; None where its own `study.db` says so.

    Returns:
        What was written.

    Raises:
        RunFolderError: Machine or runtime are others than those of the run's trials; nothing is written.
    """
    document = describe_environment(profile, machine, runtime)
    if folder.study_path.exists() if has_trials is None else has_trials:
        _require_same(folder, read_environment(folder), document, profile)
    folder.write(folder.environment_path, json.dumps(document, indent=1))
    return document


def describe_environment(profile: HardwareProfile, machine: Machine, runtime: str) -> dict[str, Any]:
    """What a session on this host measures with, as `environment.json` has it."""
    return {
        "format_version": FORMAT_VERSION,
        "device": _device(profile, machine),
        "runtime": f"{runtime}, {profile.engine.provider}",
        "hardware_id": machine.hardware_id,
        "machine": json.loads(json.dumps(asdict(machine))),
        "host": json.loads(json.dumps(asdict(detect_machine()))),
        "versions": library_versions(),
    }


def require_environment(folder: RunFolder, profile: HardwareProfile, machine: Machine, runtime: str) -> None:
    """See that a worker that joins measures, builds and scores as the run's own search does.

    Raises:
        RunFolderError: The target is another device, or its runtime another; or this host has another architecture,
            other instruction sets or other libraries, with which candidates or their accuracy could differ.
    """
    found, now = read_environment(folder), describe_environment(profile, machine, runtime)
    _require_same(folder, found, now, profile)
    remedy = "their candidates or their accuracy could differ: run the worker on a host like that of the search"
    for name in _DECISIVE_OF_HOSTS:
        was, is_now = found["host"].get(name), now["host"][name]
        if was != is_now:
            raise RunFolderError(f"this host's {name} is {is_now}, that of the search is {was}; {remedy}")
    for name in _DECISIVE_LIBRARIES:
        was, is_now = found["versions"].get(name), now["versions"][name]
        if was != is_now:
            raise RunFolderError(f"{name} is {is_now} here and {was} where the search runs; {remedy}")


def library_versions() -> dict[str, str]:
    """Versions of what decides a run's figures."""
    from importlib.metadata import version

    names = ("paretune", "onnx", "onnx-ir", "onnxruntime", "optuna", "numpy", "torch")
    return {name: version(name) for name in names}


def _device(profile: HardwareProfile, machine: Machine) -> str:
    """The target in words: what runs the network there, and how it is reached where that is not by standing on it."""
    threads = profile.engine.threads
    device = f"{machine.cpu}, {threads} thread{'s' if threads > 1 else ''}"
    if profile.engine.runs_on_gpu:
        device = machine.accelerator or machine.cpu
    return f"{device}, over SSH" if profile.reach.transport == "ssh" else device


def _require_same(
    folder: RunFolder, found: Mapping[str, Any], now: Mapping[str, Any], profile: HardwareProfile
) -> None:
    if found.get("hardware_id") != now["hardware_id"]:
        remedy = (
            "continue it there, or use another --out here"
            if profile.reach.transport == "local"
            else f"let the profile {profile.name!r} reach the former one, or use another --out for this one"
        )
        raise RunFolderError(
            f"{str(folder.path)!r} was measured on another machine: {_difference(found, now)}; figures of two "
            f"machines do not mix: {remedy}. If it is the same machine with other cores (taskset, a container), give "
            "it the former ones. paretune report reads the folder anywhere"
        )
    if found.get("runtime") != now["runtime"]:
        raise RunFolderError(
            f"{str(folder.path)!r} was measured with another runtime: was {found.get('runtime')!r}, is "
            f"{now['runtime']!r}; their latencies do not mix: to continue the run install that version again, or use "
            "another --out to start over with this one. paretune report reads the folder with any"
        )


def _difference(found: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """The first of the decisive facts that differs."""
    was = found.get("machine", {})
    for name in _DECISIVE:
        if was.get(name) != now["machine"][name]:
            return f"{name} was {was.get(name)}, is {now['machine'][name]}"
    return f"hardware id was {found.get('hardware_id')}, is {now['hardware_id']}"
