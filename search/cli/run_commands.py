"""`paretune status`, `report` and `layers`: looking at a run, and at what a network offers."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.channels.group import ChannelGroups
    from compress.network import Network
    from hwprofiles import HardwareProfile

RunArgument = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder: the --out of its search.")]


def status(run: RunArgument) -> None:
    """Show how far a run has come, and its front so far."""
    from rich.console import Console

    from search.errors import NoResultYetError
    from search.report.table import front_table
    from search.results import read_result

    console = Console()
    try:
        result = read_result(run)
    except NoResultYetError as error:  # a run that has just begun is no mistake of whoever looks at it
        console.print(str(error), markup=False, highlight=False, soft_wrap=True)
        return
    facts = result.facts
    console.print(f"{facts.trials_finished} trials finished, {facts.trials_failed} failed", highlight=False)
    console.print(front_table(result.points, facts, width=console.width))


def report(run: RunArgument) -> None:
    """Write a run's tables, plot and page again, from what its folder holds."""
    from search.results import write_report

    result = write_report(run)
    for path in (result.page_path, result.figure_path):
        typer.echo(path)


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
    from search.left_out import formats_left_out, words_of_left_out

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
