"""From what the command line was given to a workload and a target."""

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from workloads import Workload


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
