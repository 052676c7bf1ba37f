"""The pip packages that bring the public workloads' weights and data."""

import importlib.util
from pathlib import Path

from workloads.errors import WorkloadError


def require_package(name: str) -> Path:
    """The folder of the installed package that is imported as `name`; nothing of it is run.

    Args:
        name: A top-level name, such as `magika`.

    Raises:
        WorkloadError: It is not installed.
    """
    spec = importlib.util.find_spec(name)
    if spec is None or not spec.submodule_search_locations:
        raise WorkloadError(
            f"this workload needs the Python package {name!r}, which is not installed; "
            "pip install 'paretune[benchmarks]'"
        )
    return Path(spec.submodule_search_locations[0])
