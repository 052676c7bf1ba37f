"""`paretune search`."""

from pathlib import Path
from typing import Annotated

import typer

from search.cli.inputs import HostOption, StorageOption
from search.recovery.plan import CHOICES, DEFAULT_DEVICE, DEFAULT_EPOCHS, DEFAULT_SEARCH_EPOCHS, OFF, SEARCH
from search.samplers import DEFAULT_SAMPLER, SAMPLERS


def search(
    workload: Annotated[
        str | None,
        typer.Argument(help="A Python file with model(), calibration(), validation(), metric(), or a built-in's name."),
    ] = None,
    *,
    model: Annotated[Path | None, typer.Option(help="Instead of WORKLOAD: an ONNX file.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="With --model: an .npz with the inputs by name, and 'targets'.")
    ] = None,
    metric: Annotated[str | None, typer.Option(help="With --model: top1, mse, or FILE.py:FUNCTION.")] = None,
    target: Annotated[str, typer.Option(help="A hardware profile's name or TOML file.")] = "local-cpu",
    out: Annotated[
        Path | None,
        typer.Option(help="The run's folder; the same command on it resumes. Default results/WORKLOAD-TARGET."),
    ] = None,
    trials: Annotated[
        int | None,
        typer.Option(min=1, help="Stop after this many finished trials. Default 100 when no time is given."),
    ] = None,
    time: Annotated[str | None, typer.Option(help="Stop after this long: 8h, 90m, 1h30m, 45s.")] = None,
    until: Annotated[str | None, typer.Option(help="Be done by this time of day: 07:00.")] = None,
    sampler: Annotated[
        str,
        typer.Option(
            help=f"One of {', '.join(SAMPLERS)}. frontier learns how latency and damage add up over the layers, after "
            "a short look at single ones; the others are Optuna's own."
        ),
    ] = DEFAULT_SAMPLER,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the sampler.")] = 0,
    calibration_memory: Annotated[
        float, typer.Option(min=0.01, metavar="GIB", help="About how much memory calibration may take.")
    ] = 2.0,
    threads: Annotated[int | None, typer.Option(min=1, help="Override the profile's threads.")] = None,
    affinity: Annotated[str | None, typer.Option(help="Override the profile's CPUs: 0,2.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Override the profile's batch size.")] = None,
    spinning: Annotated[
        bool | None, typer.Option("--spinning/--no-spinning", help="Override whether idle threads spin.")
    ] = None,
    target_samples: Annotated[
        str | None,
        typer.Option(
            metavar="N|all",
            help="Unseen samples that the confirmation runs on the target itself. Default all; 256 over SSH, where a "
            "board may be slow, and 64 where the target is emulated.",
        ),
    ] = None,
    storage: StorageOption = None,
    study: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="With --storage: the study's name there. Default one that follows from workload and target, so that "
            "the same search finds its study again.",
        ),
    ] = None,
    recover: Annotated[
        str,
        typer.Option(
            metavar="off|front|search",
            help="front: after the search, train the front's candidates and those close behind it to win back what "
            "compression cost: on the workload's training(), else by distillation on its calibration inputs. search: "
            "train every candidate that promises something shortly before it gets its figures, so that the search goes "
            "where trained networks are good; afterwards its front gets the full training. A trial then takes several "
            "times as long. A run stays what it was begun as.",
        ),
    ] = OFF,
    recover_epochs: Annotated[
        int,
        typer.Option(
            min=1,
            help="With --recover: passes over the data, after the search; what promises most gets up to four times it.",
        ),
    ] = DEFAULT_EPOCHS,
    recover_search_epochs: Annotated[
        int, typer.Option(min=1, help="With --recover search: passes over the data for each candidate in the search.")
    ] = DEFAULT_SEARCH_EPOCHS,
    recover_time: Annotated[
        str | None,
        typer.Option(
            help="With --recover: how long all that comes after the search may take. Default a third of the time, else "
            "half an hour."
        ),
    ] = None,
    recover_device: Annotated[
        str,
        typer.Option(metavar="cpu|cuda[:N]", help="With --recover: where candidates are trained; measured on TARGET."),
    ] = DEFAULT_DEVICE,
    host: HostOption = None,
) -> None:
    """Search a network on a device and draw its Pareto front.

    Every candidate is built, checked, validated and timed against the FP32 network; at the end the front is measured
    afresh and validated on data that the search never saw. Ctrl-C stops; the same command continues.

    For example:

        paretune search mnist-resnet --trials 40 --out results/demo

        paretune search my_workload.py --target local-cpu --time 8h

        paretune search my_workload.py --time 8h --recover front

        paretune search my_workload.py --time 8h --recover search

        paretune search --model m.onnx --data val.npz --metric top1 --until 07:00

        paretune search mnist-resnet --storage postgresql://me@server/paretune --out results/demo
    """
    from rich.console import Console

    from search.cli.durations import parse_duration_s, seconds_until
    from search.cli.inputs import parse_affinity, parse_count, read_target, read_workload
    from search.cli.run_commands import show_result
    from search.cli.watch import Watch
    from search.job import run

    if sampler not in SAMPLERS:
        raise typer.BadParameter(f"--sampler takes one of {', '.join(SAMPLERS)}, got {sampler!r}")
    if recover not in CHOICES:
        raise typer.BadParameter(f"--recover takes one of {', '.join(CHOICES)}, got {recover!r}")
    how = (recover_time is not None, recover_epochs != DEFAULT_EPOCHS, recover_device != DEFAULT_DEVICE)
    if recover == OFF and any(how):
        raise typer.BadParameter(
            "--recover-epochs, --recover-time and --recover-device say how to recover; give --recover front too"
        )
    if recover != SEARCH and recover_search_epochs != DEFAULT_SEARCH_EPOCHS:
        raise typer.BadParameter("--recover-search-epochs says how the search trains; give --recover search too")
    console = Console()
    limits_s = [parse_duration_s(time)] if time is not None else []
    limits_s += [seconds_until(until)] if until is not None else []
    profile = read_target(target, host).with_engine(
        threads=threads, affinity=parse_affinity(affinity), batch_size=batch_size, spinning=spinning
    )
    with Watch(console) as watch:
        result = run(
            read_workload(workload, model=model, data=data, metric=metric),
            profile,
            out=out,
            trials=trials,
            time_s=min(limits_s) if limits_s else None,
            sampler=sampler,
            seed=seed,
            target_samples=parse_count(target_samples, "--target-samples"),
            storage=storage,
            study_name=study,
            recover=recover,
            recover_epochs=recover_epochs,
            recover_search_epochs=recover_search_epochs,
            recover_time_s=None if recover_time is None else parse_duration_s(recover_time, "--recover-time"),
            recover_device=recover_device,
            calibration_memory_bytes=int(calibration_memory * 2**30),
            listener=watch.listen,
        )
    show_result(console, result)
    for path in (result.page_path, result.figure_path):
        console.print(f"  {path}", soft_wrap=True, highlight=False)
