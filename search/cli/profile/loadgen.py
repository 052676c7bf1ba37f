"""`paretune profile loadgen`: an outside witness of our latencies."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from search.cli.inputs import HostOption, ModelArgument, TargetOption

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from latency.witness import Traffic, Witness

_SHORT_MS = 0.3  # below, what LoadGen's own calls take is above 3%


def loadgen(
    model: ModelArgument,
    *,
    target: TargetOption = "local-cpu",
    host: HostOption = None,
    scenario: Annotated[
        Literal["single-stream", "offline", "server"],
        typer.Option(help="One query after the other, all samples at once, or queries that arrive at random."),
    ] = "single-stream",
    seconds: Annotated[float, typer.Option(min=0.1, help="How long LoadGen runs at least.")] = 10.0,
    min_queries: Annotated[int, typer.Option(min=1, help="How many queries it makes at least.")] = 100,
    qps: Annotated[
        float | None,
        typer.Option(
            help="Of the server: arrivals a second. Default 60% of what one inference after the other allows."
        ),
    ] = None,
    target_latency_ms: Annotated[
        float | None, typer.Option(help="Of the server: what its 99th percentile must keep. Default ten inferences.")
    ] = None,
    json_path: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all of it to a file.")] = None,
) -> None:
    """Let MLCommons' LoadGen time a network on a target, and compare its median with ours.

    LoadGen runs on the target, in the worker's process, and drives the same engine on the same inputs. It must be
    installed there: pip install mlcommons-loadgen. We measure before and after; the two figures should agree within
    5% on a quiet machine.

    For example:

        paretune profile loadgen mnist-resnet

        paretune profile loadgen model.onnx --target raspberry-pi-5 --host pi@192.168.1.20 --scenario offline

        paretune profile loadgen model.onnx --scenario server --qps 200 --target-latency-ms 15 --seconds 60
    """
    from rich.console import Console

    from compress.runtime import FAITHFUL_SESSION_ENTRIES
    from latency.witness import Traffic, call_witness
    from search.cli.inputs import read_model, read_target, require_folder

    require_folder(json_path, "--json")
    try:
        traffic = Traffic(
            scenario=scenario, seconds=seconds, min_queries=min_queries, qps=qps, target_latency_ms=target_latency_ms
        )
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error
    profile = read_target(target, host)
    network, feeds = read_model(model, profile.engine.batch_size)
    console = Console()
    witness = call_witness(
        profile,
        network,
        feeds,
        traffic,
        session_entries=FAITHFUL_SESSION_ENTRIES,
        on_step=lambda step: console.print(step, style="dim", markup=False, highlight=False, soft_wrap=True),
    )
    if json_path is not None:
        json_path.write_text(json.dumps(witness.to_dict(), indent=2) + "\n", encoding="utf-8")
    _show(console, witness, traffic)
    if json_path is not None:
        console.print(str(json_path), markup=False, highlight=False, soft_wrap=True)


def _show(console: "Console", witness: "Witness", traffic: "Traffic") -> None:
    console.print()
    console.print(witness.result.summary.rstrip(), markup=False, highlight=False, soft_wrap=True)
    console.print()
    for line in _lines(witness, traffic):
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _lines(witness: "Witness", traffic: "Traffic") -> "Iterator[str]":
    from search.notation import latency_text

    result = witness.result
    why = f" ({', '.join(result.reasons)} not satisfied)" if result.reasons else ""
    yield f"LoadGen says {'VALID' if result.valid else 'INVALID'}{why}, {result.samples_per_s:,.1f} samples/s"
    meaning = {
        "single-stream": "its median",
        "offline": "its time per inference",
        "server": "its median, with the wait in the queue",
    }[result.scenario]
    yield f"LoadGen  {latency_text(witness.loadgen_ms):>7} ms  {meaning} ({result.version})"
    grades = " and ".join(dict.fromkeys((witness.before.grade, witness.after.grade)))
    yield (
        f"paretune {latency_text(witness.our_ms):>7} ms  its median of {witness.before.runtime}, graded {grades}; "
        f"after over before {witness.our_drift:.3f}"
    )
    yield f"ratio    {witness.ratio:>7.3f}     LoadGen over paretune"
    yield from _cautions(witness, traffic)


def _cautions(witness: "Witness", traffic: "Traffic") -> "Iterator[str]":
    """What keeps the figures from meaning more."""
    from latency.witness import OFFICIAL_QUERIES, OFFICIAL_S

    for one in (witness.before, witness.after):
        if one.grade != "clean":
            yield f"the machine was not quiet, and LoadGen cannot tell who had the processor: {one.remedy}"
            break
    if witness.our_ms < _SHORT_MS:
        yield "asking and answering takes LoadGen about 0.01 ms a query, which shows beside an inference this short"
    if witness.result.scenario == "server":
        yield (
            f"{witness.asked['qps']:,.1f} arrivals a second, and {1e3 * witness.asked['target_latency_s']:.3g} ms for "
            "99% of them; the wait for others is no part of our figure, so this ratio is above 1 by nature"
        )
    if witness.result.scenario != "offline" and witness.asked["batch"] > 1:
        yield f"a query is one inference, whose batch holds {witness.asked['batch']} samples"
    if not traffic.is_official:
        queries = OFFICIAL_QUERIES[traffic.scenario]
        yield (
            f"no official run: those take {OFFICIAL_S:.0f} s and {queries:,} queries at least "
            f"(--seconds {OFFICIAL_S:.0f} --min-queries {queries}), and MLCommons' own models and data"
        )
