"""`paretune export`."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.inputs import HostOption
from search.cli.run_commands import RunArgument


def export(
    run: RunArgument,
    *,
    point: Annotated[
        str,
        typer.Option(
            help="A confirmed point: its number (16, or 16r if recovered), or the beginning of its digest.",
            metavar="ID",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The bundle's folder; an earlier bundle there is replaced.")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="onnx; triton adds a Triton Inference Server model repository; tensorrt adds the engine that was "
            "built on the target, timed, and kept by the run.",
        ),
    ] = "onnx",
    archive: Annotated[bool, typer.Option("--archive", help="Write OUT.tar.gz beside the folder too.")] = False,
    promise_max_latency_ms: Annotated[
        float | None, typer.Option(help="Promise this latency. Default: the high end of its interval.")
    ] = None,
    promise_max_drop: Annotated[
        float | None,
        typer.Option(help="Promise this drop, in the metric's own unit. Default: the high end of its interval."),
    ] = None,
    promise_min_speedup: Annotated[
        float | None, typer.Option(help="Promise this speedup. Default: the low end of its interval.")
    ] = None,
    promise_max_size_mb: Annotated[
        float | None, typer.Option(help="Promise this size of model.onnx, in MB. Default: its size.")
    ] = None,
    with_calibration: Annotated[
        bool,
        typer.Option(
            "--with-calibration",
            help="Put calibration.npz into the bundle, and recovered weights: paretune apply needs no more.",
        ),
    ] = False,
    workload: Annotated[
        str | None, typer.Option(help="Where the run's workload lies now. Default: where the run found it.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="The run's ONNX file, if it searched files.")] = None,
    data: Annotated[Path | None, typer.Option(help="With --model: the run's .npz file.")] = None,
    metric: Annotated[str | None, typer.Option(help="With --model: top1, mse, or FILE.py:FUNCTION.")] = None,
    host: HostOption = None,
) -> None:
    """Export a confirmed point as a bundle: all that is needed to run it, and to hold it to what it promises.

    The bytes that ship are measured again on the target. Where they are not as fast as the search confirmed, beyond
    the intervals of both, or where the target cannot be reached, nothing is written.

    For example:

        paretune export results/demo --point 16 --out bundle

        paretune export results/demo --point 82b2268d --out bundle --format triton --archive --promise-max-drop 0.02
    """
    from rich.console import Console

    from deploy.export import export_bundle
    from deploy.promises import Budgets
    from search.cli.inputs import read_workload
    from search.export import exportable

    given = None
    if any(value is not None for value in (workload, model, data, metric)):
        given = read_workload(workload, model=model, data=data, metric=metric)
    console = Console()
    console.print("Reading the run", highlight=False)
    chosen = exportable(run, point, workload=given, host=host, with_calibration=with_calibration)
    budgets = Budgets(
        max_latency_ms=promise_max_latency_ms,
        max_drop=promise_max_drop,
        min_speedup=promise_min_speedup,
        max_size_mb=promise_max_size_mb,
    )
    console.print(f"Measuring {chosen.title} again", highlight=False)
    exported = export_bundle(chosen, out, kind=format_, budgets=budgets, archive=archive)
    latency = exported.manifest.latency
    for name, figure in (("confirmed", latency.confirmed), ("measured again", latency.exported)):
        line = f"  {name}: {figure.ratio:.3f} [{figure.ratio_low:.3f}, {figure.ratio_high:.3f}] of FP32's time"
        console.print(f"{line}, {figure.ms:.4g} ms ({figure.grade})", highlight=False, soft_wrap=True)
    for path in (exported.folder, exported.archive):
        if path is not None:
            console.print(f"  {path}", soft_wrap=True, highlight=False, markup=False)
