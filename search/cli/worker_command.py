"""`paretune worker`."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.inputs import HostOption, StorageOption


def worker(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run's folder: the --out of its search, or a copy.")],
    *,
    target: Annotated[
        str, typer.Option(help="How the device is reached from here: a profile's name or TOML file.")
    ] = "local-cpu",
    trials: Annotated[int | None, typer.Option(min=1, help="Run at most this many trials here.")] = None,
    time: Annotated[str | None, typer.Option(help="Begin no more trials after this long: 8h, 90m, 45s.")] = None,
    storage: StorageOption = None,
    workload: Annotated[
        str | None, typer.Option(help="The workload's file or name, where it lies elsewhere than for the search.")
    ] = None,
    model: Annotated[Path | None, typer.Option(help="Where the run searches an ONNX file: that file.")] = None,
    data: Annotated[Path | None, typer.Option(help="With --model: an .npz with the inputs, and 'targets'.")] = None,
    metric: Annotated[str | None, typer.Option(help="With --model: top1, mse, or FILE.py:FUNCTION.")] = None,
    host: HostOption = None,
) -> None:
    """Join a run with one more worker, from another process or another machine.

    It tries candidates on the run's study until the search has what it wants, and leaves confirmation and report to
    the search. The target must be a device like the run's (the same hardware and runtime); with several equal boards
    each worker takes one. On one device latencies are taken in turns.

    For example:

        paretune worker results/demo

        paretune worker results/night --target raspberry-pi-5 --host pi@board-2 --time 8h
    """
    from rich.console import Console

    from search.cli.durations import parse_duration_s
    from search.cli.inputs import read_target, read_workload
    from search.cli.watch import Watch
    from search.worker import work

    files = any(value is not None for value in (workload, model, data, metric))
    console = Console()
    with Watch(console) as watch:
        stint = work(
            run,
            read_target(target, host),
            workload=read_workload(workload, model=model, data=data, metric=metric) if files else None,
            storage=storage,
            trials=trials,
            time_s=None if time is None else parse_duration_s(time),
            listener=watch.listen,
        )
    console.print(
        f"{stint.trials_run} trials run here; the study has {stint.trials_finished} finished ones",
        highlight=False,
        soft_wrap=True,
    )
