"""From what the command line was given to a workload and a target."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.network import Network
    from hwprofiles import HardwareProfile
    from workloads import Feeds, Workload

TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="A hardware profile's name or TOML file.")]
TargetOption = Annotated[str, typer.Option("--target", help="A hardware profile's name or TOML file.")]
HostOption = Annotated[
    str | None, typer.Option("--host", metavar="[USER@]HOST[:PORT]", help="Where a profile reached over SSH stands.")
]
StorageOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="The database that keeps the study, as Optuna takes it: postgresql://USER@HOST/DATABASE, "
        "sqlite:///FILE. Default study.db in the run's folder. A password is never stored: it stands in the URL of "
        "each call, or for PostgreSQL in PGPASSWORD or the file of PGPASSFILE.",
    ),
]
ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="An ONNX file, or a workload's name or file.")]


def read_target(target: str, host: str | None = None) -> "HardwareProfile":
    """The profile, at another host if one is given.

    Raises:
        ProfileError: There is none, or it is not reached over SSH.
    """
    from hwprofiles import load_profile

    profile = load_profile(target)
    return profile if host is None else profile.with_host(host)


def read_model(model: str, batch_size: int) -> "tuple[bytes, Feeds]":
    """The normalized network's bytes, and the inputs that it is timed on; see `read_network`."""
    network, feeds = read_network(model, batch_size)
    return network.onnx_bytes, feeds


def read_network(model: str, batch_size: int) -> "tuple[Network, Feeds]":
    """The normalized network, and the inputs that it is timed on, `batch_size` samples.

    An ONNX file brings no data: its inputs are drawn from a normal distribution (integers: zeros), in the shapes that
    it declares; axes that it leaves open become 1, the first one the batch.

    Raises:
        typer.BadParameter: The file's inputs have no known shape.
        CompressionError, WorkloadError: It does not work.
    """
    from compress.network import load_network
    from search.trial.timed_input import timed_feeds
    from workloads import load

    if model.endswith(".onnx"):
        feeds = _made_feeds(Path(model), batch_size)
        return load_network(Path(model), feeds), feeds
    workload = load(model)
    network = load_network(workload.network(), workload.calibration[0])
    return network, timed_feeds(workload, batch_size)


def _made_feeds(path: Path, batch_size: int) -> "Feeds":
    import numpy as np
    import onnx_ir as ir

    from compress.intake.normalize import read_onnx

    rng = np.random.default_rng(0)
    feeds = {}
    for value in read_onnx(path).graph.inputs:
        if value.shape is None or value.dtype is None or value.name is None:
            raise typer.BadParameter(f"input {value.name!r} of {str(path)!r} has no shape; give a workload instead")
        sizes = [size if isinstance(size, int) else 1 for size in value.shape]
        shape = (batch_size, *sizes[1:])
        dtype = ir.DataType(value.dtype).numpy()
        drawn = rng.normal(size=shape) if np.issubdtype(dtype, np.floating) else np.zeros(shape)
        feeds[value.name] = drawn.astype(dtype)
    return feeds


def read_workload(reference: str | None, *, model: Path | None, data: Path | None, metric: str | None) -> "Workload":
    """The workload by reference, or from an ONNX file with data and a metric.

    Raises:
        typer.BadParameter: Both ways are mixed, or neither is complete.
        WorkloadError: What is named does not work.
    """
    from workloads import from_files, load

    files = {"--model": model, "--data": data, "--metric": metric}
    given = [name for name, value in files.items() if value is not None]
    if reference is not None:
        if given:
            raise typer.BadParameter(
                f"give either WORKLOAD or --model, --data and --metric; got {reference!r} and {given[0]}"
            )
        return load(reference)
    if model is None or data is None or metric is None:
        missing = [name for name, value in files.items() if value is None]
        wanted = "a WORKLOAD, or --model, --data and --metric" if not given else " and ".join(missing)
        raise typer.BadParameter(f"{wanted} must be given; see paretune search --help")
    return from_files(model, data, metric)


def require_folder(path: Path | None, option: str) -> None:
    """Refuse a file that cannot be written for want of a folder, before anything long is begun for it.

    Raises:
        typer.BadParameter: There is no such folder, or the file is one.
    """
    if path is None:
        return
    if path.is_dir():
        raise typer.BadParameter(f"{option} takes the path of a file, got the folder {str(path)!r}")
    if not path.absolute().parent.is_dir():
        raise typer.BadParameter(f"{option}: there is no folder {str(path.parent)!r}; make it, or give another path")


def parse_affinity(text: str | None) -> tuple[int, ...] | None:
    """`0,2` as CPU numbers.

    Raises:
        typer.BadParameter: It is no list of CPU numbers.
    """
    if text is None:
        return None
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError as error:
        raise typer.BadParameter(f"--affinity takes CPU numbers such as 0,2, got {text!r}") from error


def parse_count(text: str | None, option: str) -> int | str | None:
    """`256` as a number, or `all`.

    Raises:
        typer.BadParameter: It is neither, or not above 0.
    """
    if text is None or text == "all":
        return text
    if not text.isdecimal() or not int(text):
        raise typer.BadParameter(f"{option} takes a number above 0, or all; got {text!r}")
    return int(text)
