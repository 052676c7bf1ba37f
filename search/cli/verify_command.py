"""`paretune verify`."""

from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.inputs import HostOption

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from deploy.verdict import Verdict
    from latency.transports import Transport
    from workloads import Workload

_EXIT_BROKEN = 1
_STYLES = {"kept": "green", "broken": "bold red", "undecided": "yellow", "noted": "dim"}


def verify(
    bundle: Annotated[Path, typer.Argument(metavar="BUNDLE", help="A bundle's folder, or its .tar.gz.")],
    *,
    target: Annotated[
        str | None,
        typer.Option(
            help="The device to verify on: a hardware profile's name or TOML file. Default: this machine's processor, "
            "with the engine settings of the bundle."
        ),
    ] = None,
    host: HostOption = None,
    max_latency_ms: Annotated[
        float | None,
        typer.Option(
            help="Hold it to this latency on the promised device in place of its own promise. On another device the "
            "same share of FP32's time counts."
        ),
    ] = None,
    max_drop: Annotated[float | None, typer.Option(help="Hold it to this drop, in the metric's own unit.")] = None,
    min_speedup: Annotated[float | None, typer.Option(help="Hold it to this speedup over its own FP32.")] = None,
    max_size_mb: Annotated[float | None, typer.Option(help="Hold model.onnx to this size, in MB.")] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Fail, too, where a promise lies within the interval of what was found.")
    ] = False,
    workload: Annotated[
        str | None,
        typer.Option(
            help="Verify on this workload. Default: the one that the promise was made on, if it is unchanged."
        ),
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Instead of --workload: an ONNX file.")] = None,
    data: Annotated[Path | None, typer.Option(help="With --model: an .npz file.")] = None,
    metric: Annotated[str | None, typer.Option(help="With --model: top1, mse, or FILE.py:FUNCTION.")] = None,
    json: Annotated[Path | None, typer.Option("--json", help="Write a report as JSON.")] = None,
    junit: Annotated[Path | None, typer.Option("--junit", help="Write a report as JUnit XML, for CI.")] = None,
) -> None:
    """Verify a bundle: its files, its network, its latency and its accuracy, against what it promises.

    It is measured and validated again, here or on --target. A promise is broken where even the interval of what was
    found lies beyond it, and on a busy machine by more than other work has been seen to do. Exit code 0: nothing is
    broken; 1: a promise is broken or the bundle was changed; 2: the call is wrong, or nothing can be measured now.

    For example:

        paretune verify bundle

        paretune verify bundle.tar.gz --max-drop 0.01 --junit verify.xml --json verify.json
    """
    from search.cli.inputs import read_workload, require_folder

    for path, option in ((json, "--json"), (junit, "--junit")):
        require_folder(path, option)
    if host is not None and target is None:
        raise typer.BadParameter("--host goes with --target")
    given = None
    if any(value is not None for value in (workload, model, data, metric)):
        given = read_workload(workload, model=model, data=data, metric=metric)
    budgets = {
        "max_latency_ms": max_latency_ms,
        "max_drop": max_drop,
        "min_speedup": min_speedup,
        "max_size_mb": max_size_mb,
    }
    verdict = _verdict(bundle, given, target, host, budgets, strict=strict)
    _tell(verdict, json, junit)
    if not verdict.is_kept:
        raise typer.Exit(_EXIT_BROKEN)


def _verdict(
    bundle: Path,
    workload: "Workload | None",
    target: str | None,
    host: str | None,
    budgets: "Mapping[str, float | None]",
    *,
    strict: bool,
) -> "Verdict":
    """Verifies. The workers of this machine import their runtime while this process imports what it needs itself."""
    if target is None:
        from deploy.first_look import start_ahead

        workers: AbstractContextManager[Transport | None] = start_ahead()
    else:
        workers = nullcontext()
    with workers as ahead:
        from deploy.promises import Budgets
        from deploy.verify import verify_bundle
        from search.cli.inputs import read_target

        profile = None if target is None else read_target(target, host)
        return verify_bundle(
            bundle, workload=workload, profile=profile, budgets=Budgets(**budgets), strict=strict, ahead=ahead
        )


def _tell(verdict: "Verdict", json: Path | None, junit: Path | None) -> None:
    from rich.console import Console

    from deploy.verdict_files import write_reports

    write_reports(verdict, json, junit)
    console = Console()
    console.print(_table(verdict))
    for check in verdict.checks:
        if check.reason:
            console.print(f"{check.name}: {check.reason}", highlight=False, markup=False, soft_wrap=True)
    if verdict.is_kept:
        doubted = ", ".join(check.name for check in verdict.checks if check.status == "undecided")
        told = (
            f"Nothing that is promised is broken; undecided: {doubted}." if doubted else "All that is promised is kept."
        )
        console.print(told, highlight=False)
        return
    names = ", ".join(check.name for check in verdict.failed)
    console.print(f"Broken: {names}.", style="bold red", highlight=False)


def _table(verdict: "Verdict") -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, title_justify="left")
    table.title = Text(f"{verdict.name or verdict.bundle}: what is promised, and what was found")
    for name in ("check", "promised", "found"):
        table.add_column(name, overflow="fold")
    table.add_column("", no_wrap=True)
    for check in verdict.checks:
        status = Text(check.status, style=_STYLES[check.status])
        table.add_row(Text(check.name), Text(check.promised or "–"), Text(check.found or "–"), status)
    return table
