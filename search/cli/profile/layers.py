"""`paretune profile layers`: where the time of one inference goes."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from search.cli.inputs import HostOption, ModelArgument, TargetOption

if TYPE_CHECKING:
    from rich.table import Table

    from compress.network import Network
    from search.layers.times import LayerTime, LayerTimes

_BAR_WIDTH = 12
_COMPRESSED = frozenset(("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulNBits"))
_MUCH = 0.1  # what the profiler may cost before the milliseconds say little


def layers(
    model: ModelArgument,
    *,
    target: TargetOption = "local-cpu",
    host: HostOption = None,
    repeats: Annotated[int, typer.Option(min=1, help="Inferences that the runtime's profiler watches.")] = 100,
    sort: Annotated[
        Literal["order", "time"], typer.Option(help="In the order of execution, or the slowest first.")
    ] = "order",
    names_from: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Of a compressed MODEL: the FP32 network that its layers are called after."),
    ] = None,
    csv_path: Annotated[
        Path | None, typer.Option("--csv", metavar="FILE", help="Write the rows to a CSV file.")
    ] = None,
) -> None:
    """Time every layer of a network on a target, with the kernel that really runs it.

    A layer that runs in another kernel than you expected, or an operator between layers that costs more than they do,
    is where a compressed network loses its speed. Layers are called what policies and `paretune layers` call them; a
    compressed file has lost these names, and --names-from brings them back.

    For example:

        paretune profile layers mnist-resnet

        paretune profile layers model.onnx --target raspberry-pi-5 --host pi@192.168.1.20 --sort time

        paretune profile layers candidates/3f9a01c2/model.onnx --names-from mnist-resnet --csv layers.csv
    """
    from rich.console import Console

    from compress.runtime import FAITHFUL_SESSION_ENTRIES
    from search.cli.inputs import read_network, read_target, require_folder
    from search.layers.times import time_layers

    require_folder(csv_path, "--csv")
    profile = read_target(target, host)
    network, feeds = read_network(model, profile.engine.batch_size)
    named_by = network if names_from is None else read_network(names_from, profile.engine.batch_size)[0]
    times = time_layers(
        _timed_bytes(model, network),
        named_by,
        feeds,
        profile,
        repeats=repeats,
        session_entries=FAITHFUL_SESSION_ENTRIES,
    )
    rows = times.by_time() if sort == "time" else times.rows
    if csv_path is not None:
        _write_csv(csv_path, rows)
    console = Console()
    console.print(_table(rows))
    console.print()
    for line in _notes(times, profile.name):
        console.print(line, markup=False, highlight=False, soft_wrap=True)
    if csv_path is not None:
        console.print(str(csv_path), markup=False, highlight=False, soft_wrap=True)


def _timed_bytes(model: str, network: "Network") -> bytes:
    """A compressed file is timed as it stands, byte for byte what is shipped; all else in its normal form."""
    is_compressed = any(node.op_type in _COMPRESSED for node in network.model.graph)
    return Path(model).read_bytes() if is_compressed and model.endswith(".onnx") else network.onnx_bytes


def _table(rows: "Sequence[LayerTime]") -> "Table":
    from rich.table import Table
    from rich.text import Text

    from search.notation import latency_text

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    table.add_column("ms", justify="right", no_wrap=True)
    table.add_column("share", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True, min_width=_BAR_WIDTH)
    table.add_column("kernel", overflow="fold")
    table.add_column("in the runtime", overflow="fold")
    largest = max((row.share for row in rows), default=0.0) or 1.0
    for row in rows:
        table.add_row(
            Text(", ".join(row.layers) or "–"),
            latency_text(row.median_ms),
            f"{row.share:.1%}",
            _bar(row.share / largest),
            Text(row.kernel if row.calls == 1 else f"{row.kernel} ×{row.calls:g}"),
            Text(row.node),
        )
    return table


def _bar(part: float) -> str:
    """A bar in eighths of a character."""
    eighths = round(part * _BAR_WIDTH * 8)
    return "█" * (eighths // 8) + " ▏▎▍▌▋▊▉"[eighths % 8].strip()


def _notes(times: "LayerTimes", target: str) -> list[str]:
    from search.notation import latency_text

    notes = [
        f"{len(times.rows)} operators in {times.runtime} on {target}: median of {times.repeats} inferences each, "
        f"{latency_text(times.sum_ms)} ms together",
        f"a whole inference takes {latency_text(times.whole_ms)} ms without the profiler: {_difference(times)}",
    ]
    if times.crowded:
        notes.append("other work had the processor meanwhile: the whole inference is its own processor time")
    if times.unmatched:
        notes.append(
            f"could not be told apart in the runtime's rows: {', '.join(times.unmatched)}; "
            "it has fused or renamed them, and their time stands in rows without a layer"
        )
    return notes


def _difference(times: "LayerTimes") -> str:
    """What lies between the layers' sum and the whole inference, in words."""
    beside = times.sum_ms / times.whole_ms - 1
    if beside < 0:
        return f"{-beside:.0%} of it lies between the layers"
    if beside < _MUCH:
        return f"the profiler itself costs {beside:.0%} of it"
    return f"the profiler itself costs {beside:.0%} of it, so trust the shares more than the milliseconds"


def _write_csv(path: Path, rows: "Sequence[LayerTime]") -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(("order", "layers", "operator", "kernel", "node", "median_ms", "calls", "share"))
        for row in rows:
            writer.writerow(
                (
                    row.order,
                    " ".join(row.layers),
                    row.operator,
                    row.kernel,
                    row.node,
                    f"{row.median_ms:.6f}",
                    f"{row.calls:g}",
                    f"{row.share:.6f}",
                )
            )
