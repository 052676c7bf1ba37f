"""What compression costs in accuracy and wins in speed, on real networks: `python -m benchmarks.compression`.

Accuracy is taken on all validation data of a workload, in hundredths of its metric below FP32 ("points"). Speeds are
FP32's latency over the candidate's, measured in turns with it, one thread, one sample. Nothing is trained, and no
figure is the best of several seeds. `--only` picks some of the sections; `--quick` calibrates on one batch and checks
few policies, which shows that everything runs and nothing else.
"""

import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, parser, report
from benchmarks.subjects import Subject, prepare
from compress.channels.groups import ChannelGroup
from compress.errors import CompressionError
from compress.layers import Layer
from compress.narrowing import narrow_to, share_of_macs, sparse
from compress.policy import Policy
from compress.statistics.calibration_file import save_calibration
from search.space.space import build_space

Figures = dict[str, Figure]
INTEGER_KERNELS = ("QLinearConv", "QGemm", "QLinearMatMul", "MatMulIntegerToFloat")
BUILDS = 40
FAITHFUL_POLICIES = 200


def main() -> None:
    """Run the sections asked for."""
    options = parser(__doc__, quick="little calibration data and few policies")
    options.add_argument("--only", action="append", choices=sorted(SECTIONS), help="a section; may be repeated")
    arguments = options.parse_args()
    figures: Figures = {}
    for name, section in SECTIONS.items():
        if name in (arguments.only or SECTIONS) and arguments.workload in (None, *name.split("+")):
            figures |= section(arguments.quick)
            print(f"{name}: done", file=sys.stderr, flush=True)
    report("compression", figures)


def effnet(quick: bool) -> Figures:
    """Static 8-bit convolutions, static 8-bit everything, how long a candidate takes to build."""
    subject = prepare("effnet-lite0", quick=quick)
    convolutions = subject.compressor.build(subject.uniform("int8", _is_conv))
    everything = subject.compressor.build(subject.uniform("int8"))
    speed = subject.speedups({"convolutions": convolutions, "everything": everything})
    return {
        **_lost("effnet-lite0, convolutions int8", subject.points_lost(convolutions), 1.0),
        **_faster("effnet-lite0, convolutions int8", speed["convolutions"], 2.2),
        **_lost("effnet-lite0, all int8", subject.points_lost(everything), 2.0),
        **_faster("effnet-lite0, all int8", speed["everything"]),
        **_integer_kernels(subject),
        **_building(subject, 5 if quick else BUILDS),
        **_alone(subject),
    }


def minilm(quick: bool) -> Figures:
    """Every weight MatMul in each 8-bit and 4-bit format."""
    subject = prepare("minilm-retrieval", quick=quick)
    formats = ("int8-dynamic", "int8", "int8-weights", "int4-weights")
    candidates = {name: subject.compressor.build(subject.uniform(name)) for name in formats}
    speed = subject.speedups(candidates)
    figures: Figures = {}
    for name, candidate in candidates.items():
        asked = name == "int8-dynamic"
        figures |= _lost(f"minilm-retrieval, {name}", subject.points_lost(candidate), 0.5 if asked else None)
        figures |= _faster(f"minilm-retrieval, {name}", speed[name], 2.4 if asked else None)
    return figures


def characters(quick: bool) -> Figures:
    """Every weight MatMul of a small transformer in 8 bits."""
    subject = prepare("chars-transformer", quick=quick)
    figures: Figures = {}
    candidates = {name: subject.compressor.build(subject.uniform(name)) for name in ("int8", "int8-dynamic")}
    speed = subject.speedups(candidates)
    for name, candidate in candidates.items():
        figures |= _lost(f"chars-transformer, {name}", subject.points_lost(candidate), 0.5)
        figures |= _faster(f"chars-transformer, {name}", speed[name])
    return figures


def magika(quick: bool) -> Figures:
    """A network that ONNX Runtime's own quantizer crashes on."""
    subject = prepare("magika", quick=quick)
    candidate = subject.compressor.build(subject.uniform("int8"))
    speed = subject.speedups({"int8": candidate})
    return {
        **_lost("magika, all int8", subject.points_lost(candidate), None),
        **_faster("magika, all int8", speed["int8"]),
    }


def pruned_mnist(quick: bool) -> Figures:
    """Half and 70% of the multiply-adds gone from the blocks' inner channels, no training."""
    subject = prepare("mnist-resnet", quick=quick)
    figures = _integer_kernels(subject)
    for share, asked in ((0.5, 0.3), (0.3, 1.2)):
        figures |= _pruned(subject, share, asked, lambda group: group.may_vanish)
    return figures


def pruned_crepe(quick: bool) -> Figures:
    """Half of the multiply-adds gone, from wherever that costs least; no training."""
    subject = prepare("crepe-full", quick=quick)
    return {**_pruned(subject, 0.5, 1.0, lambda group: True), **_integer_kernels(subject)}


def faithful(quick: bool) -> Figures:
    """Random mixed policies: what the runtime does is what the policy says, or the candidate is refused."""
    figures: Figures = {}
    for name in ("mnist-resnet", "effnet-lite0", "minilm-retrieval"):
        figures |= _faithful(prepare(name, quick=quick), 5 if quick else FAITHFUL_POLICIES)
    return figures


SECTIONS: Mapping[str, Callable[[bool], Figures]] = {
    "effnet-lite0": effnet,
    "minilm-retrieval": minilm,
    "chars-transformer": characters,
    "magika": magika,
    "mnist-resnet": pruned_mnist,
    "crepe-full": pruned_crepe,
    "faithfulness": faithful,
}


def _pruned(subject: Subject, share: float, asked: float, where: Callable[[ChannelGroup], bool]) -> Figures:
    """Pruned alone, 8-bit alone, both; and how far both together are from the product of the two."""
    compressor, int8 = subject.compressor, subject.uniform("int8")
    ratios = narrow_to(compressor, share, [group for group in compressor.groups.values() if where(group)])
    policy = sparse(compressor, ratios)
    left = share_of_macs(compressor, policy)
    candidates = {
        "pruned": compressor.build(policy),
        "int8": compressor.build(int8),
        "int8 + pruned": compressor.build(sparse(compressor, ratios, int8)),
    }
    speed = subject.speedups(candidates)
    label = f"{subject.workload.name}, {1 - share:.0%} of MACs away"
    figures: Figures = {f"{label}: share left": Figure(value=left, unit="share", better="lower", asked=share)}
    for name, candidate in candidates.items():
        figures |= _lost(f"{label}, {name}", subject.points_lost(candidate), asked if name == "pruned" else None)
        figures |= _faster(f"{label}, {name}", speed[name])
    product = speed["pruned"] * speed["int8"]
    figures[f"{label}, product of the two alone: speed"] = Figure(value=product, unit="times", better="higher")
    return figures


def _integer_kernels(subject: Subject) -> Figures:
    """The share of 8-bit layers that run in an integer kernel."""
    kernels = subject.check(subject.compressor.build(subject.uniform("int8"))).kernels
    integer = [all(kernel in INTEGER_KERNELS for kernel in found) for found in kernels.values()]
    share = sum(integer) / len(integer)
    name = f"{subject.workload.name}: 8-bit layers in integer kernels"
    return {name: Figure(value=share, unit="share", better="higher", asked=1.0)}


def _building(subject: Subject, count: int) -> Figures:
    """Seconds from policy to bytes when the store has all weights."""
    generator = random.Random(0)
    layers = subject.network.layers
    policies = [subject.uniform("int8")]
    policies += [_mixed(subject, generator, int8_share=0.5) for _ in range(count)]
    for policy in policies:
        subject.compressor.build(policy)
    seconds = []
    for policy in policies:
        started = time.perf_counter()
        _ = subject.compressor.build(policy).digest
        seconds.append(time.perf_counter() - started)
    label = f"{subject.workload.name} ({len(layers)} layers), build from the store"
    return {
        f"{label}: median": Figure(value=1e3 * statistics.median(seconds), unit="ms", better="lower", asked=50.0),
        f"{label}: slowest": Figure(value=1e3 * max(seconds), unit="ms", better="lower"),
    }


def _mixed(subject: Subject, generator: random.Random, *, int8_share: float) -> Policy:
    chosen = {layer.name for layer in subject.network.layers if generator.random() < int8_share}
    return subject.uniform("int8", lambda layer: layer.name in chosen)


def _alone(subject: Subject) -> Figures:
    """The same policy in another process: the same bytes, and how much memory building took."""
    policy = subject.uniform("int8")
    here = subject.compressor.build(policy)
    with tempfile.TemporaryDirectory(prefix="paretune-benchmark-") as scratch:
        folder = Path(scratch)
        (folder / "network.onnx").write_bytes(subject.network.onnx_bytes)
        (folder / "policy.json").write_text(policy.to_json())
        save_calibration(subject.compressor.calibration, folder / "calibration.npz")
        compressor = subject.compressor
        assert compressor.scheme is not None
        arguments = [compressor.scheme.name, compressor.range_method, str(compressor.channel_multiple)]
        command = [sys.executable, "-m", "benchmarks.building_alone", scratch, subject.workload.name, *arguments]
        first, again = (_output_of(command) for _ in range(2))
    name = subject.workload.name
    size = len(subject.network.onnx_bytes)
    same = first["digest"] == again["digest"] == here.digest
    return {
        f"{name}: same bytes in another process": Figure(value=float(same), unit="share", better="higher", asked=1.0),
        f"{name}: peak memory, built from the store": Figure(
            value=again["peak_bytes"] / size, unit="× FP32", better="lower", asked=3.0
        ),
        f"{name}: peak memory, store still empty": Figure(
            value=first["peak_bytes"] / size, unit="× FP32", better="lower"
        ),
    }


def _output_of(command: list[str]) -> dict[str, Any]:
    """The JSON object that a process prints on its last line."""
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _faithful(subject: Subject, count: int) -> Figures:
    compressor, generator = subject.compressor, random.Random(0)
    space = build_space(
        subject.network.layers,
        compressor.groups.values(),
        formats=compressor.formats & {"fp32", *subject.profile.formats.offered},
        patterns=("channels",),
        channel_multiple=compressor.channel_multiple,
    )
    within = pieces = refused = wrong = 0
    for index in range(count):
        # Every other one mixes number formats alone: most that mix everything are so far from FP32 that little shows.
        knobs = [knob for knob in space.knobs if index % 2 or knob.kind == "bits"]
        policy = space.policy({knob.name: generator.choice(knob.choices) for knob in knobs})
        try:
            verdict = subject.check(compressor.build(policy))
        except CompressionError:
            refused += 1
            continue
        within += verdict.relative_difference <= verdict.allowed_difference
        pieces += verdict.piecewise_difference is not None and not verdict.problems
        refused += bool(verdict.problems)
        wrong += any("should run in FP32" in problem for problem in verdict.problems)
    name = f"{subject.workload.name}, {count} random policies"
    shares = {
        "outputs agree within the bound": (within, None),
        "beyond it, and every piece agrees": (pieces, None),
        "refused with the reason": (refused, None),
        "an FP32 layer ran in integers": (wrong, 0.0),
    }
    return {
        f"{name}: {what}": Figure(value=number / count, unit="share", better="lower", asked=asked)
        for what, (number, asked) in shares.items()
    }


def _is_conv(layer: Layer) -> bool:
    return layer.op_type == "Conv"


def _lost(name: str, points: float, asked: float | None) -> Figures:
    return {f"{name}: lost": Figure(value=points, unit="points", better="lower", asked=asked)}


def _faster(name: str, times: float, asked: float | None = None) -> Figures:
    return {f"{name}: speed": Figure(value=times, unit="times", better="higher", asked=asked)}


if __name__ == "__main__":
    main()
