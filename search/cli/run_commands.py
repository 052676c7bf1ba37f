"""`paretune status`, `report` and `layers`: looking at a run, and at what a network offers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from compress.channels.group import ChannelGroups
    from compress.network import Network
    from hwprofiles import HardwareProfile
    from search.results import RunResult

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder: the --out of its search.")]


def status(run: RunArgument) -> None:
    """Show how far a run has come, its front so far, and how its search goes."""
    from rich.console import Console

    from search.errors import NoResultYetError
    from search.results import read_result

    console = Console()
    try:
        result = read_result(run)
    except NoResultYetError as error:  # a run that has just begun is no mistake of whoever looks at it
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return
    console.print(result.facts.trials_text, highlight=False)
    _show_recovery(console, result)
    show_result(console, result)


def _show_recovery(console: "Console", result: "RunResult") -> None:
    """Show how far the recovery of a run is that goes on at this moment."""
    from rich.progress_bar import ProgressBar
    from rich.table import Table
    from rich.text import Text

    from search.cli.watch import clock_text
    from search.folder.run_folder import RunFolder
    from search.recovery.state import read_state

    state = read_state(RunFolder(result.folder))
    if state is None:
        return
    line = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=state.candidates * state.steps, completed=state.done * state.steps + state.step, width=20)
    left = f"{clock_text(state.remaining_s)} left"
    line.add_row("Recovering candidates", bar, Text(f"{state.detail(result.facts.metric_name)} · {left}"))
    console.print(line)


def show_result(console: "Console", result: "RunResult") -> None:
    """Show the front of a run, and how its search went."""
    from search.report.account_words import account_lines
    from search.report.table import front_table
    from search.results import read_account

    console.print(front_table(result.points, result.facts, width=console.width))
    for line in account_lines(read_account(result.folder), result.facts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def report(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="A run's folder; several to see their fronts on one another."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The page of several runs; needed with more than one.")
    ] = None,
) -> None:
    """Write a run's tables, plot and page again, from what its folder holds, and say how its search went.

    With several runs of one network on several devices: one page with their fronts on one another.

    For example:

        paretune report results/demo

        paretune report results/desk results/board --out both.html
    """
    from rich.console import Console

    from search.cli.inputs import require_folder
    from search.report.account_words import account_lines
    from search.results import read_account, write_overlay, write_report

    require_folder(out, "--out")
    if out is None and len(runs) > 1:
        raise typer.BadParameter(f"--out says where the page of {len(runs)} runs goes, such as --out both.html")
    if out is not None:
        write_overlay(runs, out)
        typer.echo(out)
        return
    result = write_report(runs[0])
    for path in (result.page_path, result.figure_path):
        typer.echo(path)
    console = Console()
    for line in account_lines(read_account(result.folder), result.facts):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _said_of_channels(network: "Network", groups: "ChannelGroups") -> Iterator[str]:
    """Which layers lose channels together only, and which keep theirs and why."""
    for group in groups.groups:
        if len(group.producers) > 1:
            yield f"lose channels together: {', '.join(member.layer for member in group.producers)}"
    for layer in network.layers:
        if layer.name in groups.fixed:
            yield f"keeps channels: {layer.name}: {groups.fixed[layer.name]}"


def _said_of_formats(network: "Network", profile: "HardwareProfile") -> list[str]:
    """Which formats a search on the profile leaves out, and of how many layers."""
    from search.space.left_out import formats_left_out, words_of_left_out

    if profile.probe is None:
        return [f"{profile.name} was not probed, so no format is left out: paretune profile probe {profile.name}"]
    left_out = formats_left_out(network.layers, profile)
    return words_of_left_out(left_out, network.layers, profile) or ["every format offered may pay on every layer"]


def layers(
    workload: Annotated[str | None, typer.Argument(help="A Python file or a built-in's name.")] = None,
    *,
    model: Annotated[Path | None, typer.Option(help="Instead of WORKLOAD: an ONNX file.")] = None,
    data: Annotated[Path | None, typer.Option(help="With --model: an .npz with the inputs by name.")] = None,
    metric: Annotated[str | None, typer.Option(help="With --model: top1, mse, or FILE.py:FUNCTION.")] = None,
    target: Annotated[
        str | None, typer.Option(help="A probed profile: say which formats a search on it leaves out.")
    ] = None,
) -> None:
    """List a network's layers: what a policy can speak of, and what is left alone with the reason."""
    from rich.console import Console
    from rich.table import Table

    from compress.channels.groups import find_channel_groups
    from compress.network import load_network
    from compress.ranks import break_even_rank
    from search.cli.inputs import read_target, read_workload

    profile = None if target is None else read_target(target)
    loaded = read_workload(workload, model=model, data=data, metric=metric)
    network = load_network(loaded.network(), loaded.calibration[0])
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("layer", overflow="fold")
    for name in ("operator", "weight shape", "weights", "multiply-adds", "break-even rank"):
        table.add_column(name, justify="left" if name in ("operator", "weight shape") else "right")
    table.add_column("channel units", justify="right")
    groups = find_channel_groups(network)
    removable = {member.layer: group for group in groups.groups for member in group.producers}
    for layer in network.layers:
        shape = "×".join(map(str, layer.weight_shape))
        rank = break_even_rank(layer)
        table.add_row(
            layer.name,
            layer.op_type,
            shape,
            f"{layer.weight_count:,}",
            f"{layer.macs:,}",
            str(rank) if rank else "–",
            str(removable[layer.name].unit_count) if layer.name in removable else "–",
        )
    console = Console()
    console.print(table)
    console.print()
    for note in _said_of_channels(network, groups):
        console.print(note, highlight=False, soft_wrap=True)
    for line in () if profile is None else _said_of_formats(network, profile):
        console.print(line, highlight=False, soft_wrap=True)
    for skipped in network.skipped:
        console.print(
            f"left alone: {skipped.op_type} {skipped.name}: {skipped.reason}", highlight=False, soft_wrap=True
        )
