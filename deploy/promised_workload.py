"""The workload that a bundle's promise was made on, from where it was found then."""

from pathlib import Path

from deploy.errors import BundleError
from deploy.manifest import Manifest
from workloads import BUILTIN_WORKLOADS, Workload, WorkloadError, load


def load_promised(manifest: Manifest, folder: Path) -> Workload:
    """Load a bundle's workload by its origin, and see that it is still the same.

    A workload file is a program. That of a bundle is looked for where its exporter had it and nowhere near the bundle,
    so that what somebody sends is never run.

    Args:
        manifest: The bundle's.
        folder: Where the bundle lies.

    Raises:
        BundleError: It is not there, was given as files, lies in the bundle, or has changed since.
        WorkloadError: It is there and does not work.
    """
    origin, promised = manifest.workload.origin, manifest.workload
    if origin not in BUILTIN_WORKLOADS:
        _require_file(origin, folder)
    try:
        workload = load(origin)
    except WorkloadError as error:
        raise WorkloadError(f"the bundle's workload {origin!r} does not load: {error}") from error
    if workload.digest != promised.digest:
        raise BundleError(
            f"the workload {origin!r} ({workload.digest[:12]}) is not the one that the promise was made on "
            f"({promised.digest[:12]}): its code, its network or its data have changed since; restore it, or say with "
            "--workload what to verify on"
        )
    return workload


def require_same_inputs(workload: Workload, manifest: Manifest) -> None:
    """Raise BundleError where a workload feeds other inputs than the bundle's network takes."""
    given, taken = sorted(workload.confirmation_part.input_names), sorted(tensor.name for tensor in manifest.inputs)
    if given != taken:
        raise BundleError(
            f"the workload {workload.origin!r} feeds {given}, the bundle's network takes {taken}; give the one that "
            "the network was made for"
        )


def _require_file(origin: str, folder: Path) -> None:
    path = Path(origin)
    if path.suffix == ".onnx":
        raise BundleError(
            f"the promise was made on the file {origin!r} with data; give them again: --model, --data and --metric"
        )
    if not path.is_absolute() or path.resolve().is_relative_to(folder.resolve()):
        raise BundleError(f"the manifest names the workload {origin!r}, which no export does; give --workload")
    if not path.is_file():
        raise BundleError(f"the workload {origin!r} is not on this machine; say with --workload where it is")
