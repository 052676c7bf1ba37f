"""`paretune profile probe`: which formats and ratios pay on a target, measured there."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.inputs import HostOption, TargetArgument

if TYPE_CHECKING:
    from rich.console import Console

    from hwprofiles import HardwareProfile
    from search.probing.shapes import SizedLayer

_NAME = re.compile(r"^[a-z0-9][a-z0-9-]*$")


def probe(
    target: TargetArgument,
    *,
    host: HostOption = None,
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Probe this network's layers: an ONNX file, or a workload's name or file."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="The probed profile. Default TARGET-probed.toml.")
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="Begin nothing new after this long: 10m, 1h30m, 45s.")
    ] = None,
    larger_batch: Annotated[
        int, typer.Option(min=1, help="A second batch size, beside the profile's; the profile's own for none.")
    ] = 32,
    quick: Annotated[
        bool, typer.Option("--quick", help="Formats and schemes only, measured roughly; without --model on two layers.")
    ] = False,
) -> None:
    """Measure which number formats, widths and ranks pay on a target, and write a profile that says so.

    Answers "why is my int8 slower?": every layer shape is timed in FP32 and in each format that it can have (8 bits in
    each scheme, dynamic, 8-bit and 4-bit weights, 16 bits), at the profile's batch size and a larger one; then at
    widths around multiples of 4 to 32, and as two factors. Layers stand among their like, so that conversions cost
    what they cost in a network. A search with the probed profile leaves out what cannot pay.

    Without --model the shapes are a grid of what networks are made of; with it, the network's own distinct layers, the
    heaviest first. Everything measured lies in a file beside the profile: the same command goes on where it stopped,
    and measures nothing twice; remove that file to begin afresh.

    For example:

        paretune profile probe local-cpu --quick

        paretune profile probe local-cpu --model mnist-resnet --out my-cpu.toml

        paretune profile probe raspberry-pi-5 --host pi@192.168.1.20 --time 30m --out my-pi.toml

        paretune search mnist-resnet --target my-pi.toml --host pi@192.168.1.20

    What it cannot tell: how accurate a format is, what unstructured zeros would save (no engine here skips them), and
    anything on an emulated target, which has no time to measure.
    """
    import datetime as dt

    from rich.console import Console

    from hwprofiles import ProfileError, write_profile
    from latency import MeasurementLog
    from latency.probing import QUICK, THOROUGH, conclude
    from latency.probing import probe as measure
    from search.cli.durations import parse_duration_s
    from search.cli.inputs import read_target
    from search.cli.profile.probe_progress import ProbeBar
    from search.probing import plan_groups

    time_s = None if time is None else parse_duration_s(time, "--time")
    profile = read_target(target, host)
    if profile.reach.transport == "emulated":
        raise ProfileError(
            f"profile '{profile.name}' is emulated: its time says nothing, so nothing can be found to pay; "
            "probe the device itself, over SSH with --host"
        )
    out = out or Path(f"{profile.name.removesuffix('-probed')}-probed.toml")
    _check_place(out)
    layers, subject = _layers(model, profile, quick=quick)
    console = Console()
    groups = plan_groups(layers, profile, larger_batch=larger_batch, quick=quick)
    log = out.with_name(f"{out.stem}.{'quick-' if quick else ''}measurements.jsonl")
    with ProbeBar(console) as bar:
        outcome = measure(
            groups,
            profile,
            log=MeasurementLog(log),
            effort=QUICK if quick else THOROUGH,
            time_s=time_s,
            listener=bar.listen,
        )
    today = dt.datetime.now().astimezone().date()
    name = out.stem if _NAME.match(out.stem) else profile.name
    probed = conclude(profile, outcome, name=name, subject=subject, taken_on=today)
    write_profile(probed, out)
    _show(console, probed)
    console.print(f"\n  {out}", soft_wrap=True, highlight=False)
    console.print(f"  {log}", soft_wrap=True, highlight=False)


def _check_place(out: Path) -> None:
    """Make the folder, and refuse to write over what somebody wrote by hand."""
    from hwprofiles import load_profile

    if out.suffix != ".toml":
        raise typer.BadParameter(f"--out takes a .toml file, got {str(out)!r}")
    if out.exists() and not load_profile(out).probed:
        raise typer.BadParameter(f"{str(out)!r} exists and is no probed profile; choose another --out")
    out.parent.mkdir(parents=True, exist_ok=True)


def _layers(model: str | None, profile: "HardwareProfile", *, quick: bool) -> "tuple[tuple[SizedLayer, ...], str]":
    """The layers to probe, and what they are from."""
    from compress.network import load_network
    from search.cli.inputs import read_model
    from search.probing import BUILT_IN, QUICK, shapes_of

    if model is None:
        return (QUICK, "two small layers") if quick else (BUILT_IN, "layers that many networks have")
    onnx_bytes, feeds = read_model(model, profile.engine.batch_size)
    layers = shapes_of(load_network(onnx_bytes, feeds))
    if not layers:
        raise typer.BadParameter(f"--model {model}: no layer has weights and a known size; see paretune layers")
    return layers, Path(model).name


def _show(console: "Console", profile: "HardwareProfile") -> None:
    """The tables, the findings, and what the profile says now."""
    from search.probing.table import LEGEND, probe_tables

    assert profile.probe is not None  # noqa: S101  # it has just been concluded
    console.print(probe_tables(profile))
    console.print(LEGEND, style="dim", highlight=False)
    console.print()
    for note in profile.probe.notes:
        console.print(f"- {note}", markup=False, highlight=False, soft_wrap=True)
    formats = profile.formats
    console.print()
    console.print(
        f"offered = {', '.join(formats.offered)}; int8_scheme = {formats.int8_scheme}; "
        f"weight_only_compute = {formats.weight_only_compute}; "
        f"channel_multiple = {profile.sparsity.channel_multiple}; "
        f"patterns = {', '.join(profile.sparsity.patterns) or 'none'}",
        highlight=False,
        soft_wrap=True,
    )
