"""`environment.json`: the machine, the runtime and the libraries that a run's figures come from."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from hwprofiles import HardwareProfile, Machine
from search.errors import RunFolderError
from search.run_folder import RunFolder

FORMAT_VERSION = 1

# What the hardware id is made of.
_DECISIVE = ("cpu", "architecture", "flags", "physical_cores", "logical_cores", "accelerator")


def read_environment(folder: RunFolder) -> dict[str, Any]:
    """What the run was measured with; empty before anything was.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    return folder.read_json(folder.environment_path, FORMAT_VERSION)


def keep_environment(folder: RunFolder, profile: HardwareProfile, machine: Machine, runtime: str) -> None:
    """Write what this session measures with; a run that has trials must have been measured with the same.

    Figures of two machines, or of two versions of a runtime, do not compare: mixed, they would make a front of both.

    Raises:
        RunFolderError: Machine or runtime are others than those of the run's trials; nothing is written.
    """
    threads = profile.engine.threads
    document = {
        "format_version": FORMAT_VERSION,
        "device": machine.accelerator or f"{machine.cpu}, {threads} thread{'s' if threads > 1 else ''}",
        "runtime": f"{runtime}, {profile.engine.provider}",
        "hardware_id": machine.hardware_id,
        "machine": json.loads(json.dumps(asdict(machine))),
        "versions": library_versions(),
    }
    if folder.study_path.exists():
        _require_same(folder, read_environment(folder), document)
    folder.write(folder.environment_path, json.dumps(document, indent=1))


def library_versions() -> dict[str, str]:
    """Versions of what decides a run's figures."""
    from importlib.metadata import version

    names = ("paretune", "onnx", "onnx-ir", "onnxruntime", "optuna", "numpy", "torch")
    return {name: version(name) for name in names}


def _require_same(folder: RunFolder, found: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    if found.get("hardware_id") != now["hardware_id"]:
        raise RunFolderError(
            f"{str(folder.path)!r} was measured on another machine: {_difference(found, now)}; latencies of two "
            "machines do not mix: continue it there, or use another --out here. If it is the same machine with other "
            "cores (taskset, a container), give it the former ones. paretune report reads the folder anywhere"
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
