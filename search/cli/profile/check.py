"""`paretune profile check`: whether a target can be measured on."""

from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.inputs import HostOption, TargetArgument

if TYPE_CHECKING:
    from rich.console import Console

    from hwprofiles import HardwareProfile
    from latency.finding import Finding, Status
    from latency.sustained import Moment
    from workloads import Feeds

_EXIT_FAILED = 1
_LINES = 10  # of progress in a log file


def check(
    target: TargetArgument,
    *,
    host: HostOption = None,
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="What is run there: an ONNX file, or a workload's name or file.")
    ] = "mnist-resnet",
    repeats: Annotated[int, typer.Option(min=2, help="How often the network is measured against itself.")] = 6,
    sustained: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Keep the target busy for so long, and say what that changed."),
    ] = None,
) -> None:
    """See whether a target can be reached and measured on, and what stands in the way.

    Each line is ok, a warning or a failure, with what to do about it. At the end a network is measured against itself:
    that ratio is known, so it shows how far others can be trusted. The exit code is 1 when something failed.

    For example:

        paretune profile check local-cpu

        paretune profile check raspberry-pi-5 --host pi@192.168.1.20

        paretune profile check raspberry-pi-5 --host pi@192.168.1.20 --sustained 10m
    """
    from rich.console import Console

    from compress.runtime import FAITHFUL_SESSION_ENTRIES
    from hwprofiles import ProfileError
    from latency.check import check_target
    from search.cli.durations import parse_duration_s
    from search.cli.inputs import read_model, read_target

    duration_s = None if sustained is None else parse_duration_s(sustained, "--sustained")
    profile = read_target(target, host)
    if duration_s is not None and profile.reach.transport == "emulated":
        raise ProfileError(f"profile '{profile.name}' is emulated: no load makes it hot; leave --sustained out")
    network, feeds = read_model(model, profile.engine.batch_size)
    console = Console()
    worst: list[Status] = []
    for finding in check_target(profile, network, feeds, session_entries=FAITHFUL_SESSION_ENTRIES, repeats=repeats):
        _show(console, finding)
        worst.append(finding.status)
    if duration_s is not None and "failed" not in worst:
        finding = _keep_busy(console, profile, network, feeds, duration_s)
        _show(console, finding)
        worst.append(finding.status)
    _conclude(console, profile.name, worst)
    if "failed" in worst:
        raise typer.Exit(_EXIT_FAILED)


def _show(console: "Console", finding: "Finding") -> None:
    from rich.text import Text

    style = {"ok": "green", "warning": "yellow", "failed": "bold red"}[finding.status]
    line = Text(f"{finding.status:<8}", style=style)
    line.append(f"{finding.name}: {finding.seen}", style="default")
    console.print(line, soft_wrap=True, highlight=False)
    if finding.remedy:
        console.print(Text(f"        → {finding.remedy}"), soft_wrap=True, highlight=False)


def _conclude(console: "Console", name: str, statuses: "list[Status]") -> None:
    failed, warnings = statuses.count("failed"), statuses.count("warning")
    if failed:
        said = f"'{name}' cannot be measured on as it is: {failed} failed"
    elif warnings:
        said = f"'{name}' can be measured on; {warnings} warning{'s' if warnings > 1 else ''}"
    else:
        said = f"'{name}' can be measured on"
    console.print(said, markup=False, highlight=False, soft_wrap=True)


def _keep_busy(
    console: "Console", profile: "HardwareProfile", network: bytes, feeds: "Feeds", duration_s: float
) -> "Finding":
    """The load, with a bar on a terminal and a line now and then in a log."""
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeRemainingColumn

    from compress.runtime import FAITHFUL_SESSION_ENTRIES
    from latency import MeasurementError, TargetError
    from latency.finding import Finding
    from latency.noise_findings import sustained
    from latency.sustained import measure_drift

    bar = Progress(
        SpinnerColumn(),
        TextColumn("Keeping it busy"),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[seen]}"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    task = bar.add_task("", total=duration_s, seen="")
    shown = 0

    def see(moment: "Moment") -> None:
        nonlocal shown
        elapsed_s = min(moment.elapsed_s, duration_s)  # the last look is a moment late
        bar.update(task, completed=elapsed_s, seen=_in_passing(moment))
        part = int(_LINES * elapsed_s / duration_s)
        if not console.is_terminal and part > shown:
            shown = part
            said = f"Keeping it busy {elapsed_s:.0f}/{duration_s:.0f} s: {_in_passing(moment)}"
            console.print(said, markup=False, highlight=False, soft_wrap=True)

    try:
        with bar:
            drift = measure_drift(
                profile,
                network,
                feeds,
                duration_s=duration_s,
                session_entries=FAITHFUL_SESSION_ENTRIES,
                on_moment=see,
            )
    except (MeasurementError, TargetError) as error:
        remedy = "a target that fails under load has no power or no cooling to spare; see its own log"
        return Finding(name="sustained load", status="failed", seen=str(error), remedy=remedy)
    return sustained(drift)


def _in_passing(moment: "Moment") -> str:
    heat = "" if moment.temperature_c is None else f", {moment.temperature_c:.0f} °C"
    return f"{moment.median_ms:.3g} ms{heat}"
