"""What shipping costs: `python -m benchmarks.deploy`.

Exporting a network of 25 MB without the measurement, and verifying it without inference. Its FP32 network, which the
bundle holds too, is four times as large. The run that is exported is a real one, of a stack of fully connected layers.
"""

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar
from unittest.mock import patch

from benchmarks.figures import Figure, parser, report

Taken = ParamSpec("Taken")
Given = TypeVar("Given")

_WIDTH = 1024
_LAYERS, _QUICK_LAYERS = 24, 4
_TRIALS = 2  # FP32 and all 8-bit
_ATTEMPTS = 4

_WORKLOAD = '''
"""A stack of fully connected layers on made-up numbers: large files, cheap data."""

import numpy as np

WIDTH, LAYERS = {width}, {layers}
NAME = "stack"


def _inputs(count, seed):
    return np.random.default_rng(seed).normal(size=(count, WIDTH)).astype(np.float32)


def model():
    return "stack.onnx"


def calibration():
    yield {{"x": _inputs(64, 1)}}


def validation():
    for seed in (2, 3):
        yield {{"x": _inputs(64, seed)}}, np.zeros(64)


def metric(outputs, targets):
    return -np.square(outputs).mean(axis=1)
'''


def main() -> None:
    """Search a stack shortly, then export and verify its 8-bit form."""
    options = parser(__doc__, quick="a network of 4 MB instead").parse_args()
    layers = _QUICK_LAYERS if options.quick else _LAYERS
    with tempfile.TemporaryDirectory(prefix="paretune-benchmark-") as scratch:
        run = _search(Path(scratch), layers)
        bundle = Path(scratch) / "bundle"
        figures = {**_export(run, bundle, asked=None if options.quick else 2.0), **_verify(bundle, Path(scratch))}
    report("deploy", figures)


def _search(folder: Path, layers: int) -> Path:
    """A finished run of the stack, its 8-bit form confirmed."""
    from search.point import ALL_8_BIT_LABEL
    from search.results import read_result

    (folder / "workload.py").write_text(_WORKLOAD.format(width=_WIDTH, layers=layers))
    (folder / "stack.onnx").write_bytes(_stack(layers))
    for _ in range(_ATTEMPTS):  # on a busy machine not every point can be confirmed at once
        _paretune(
            folder,
            "search",
            folder / "workload.py",
            "--sampler",
            "random",
            "--trials",
            _TRIALS,
            "--out",
            folder / "run",
        )
        points = read_result(folder / "run").points
        if any(point.confirmed and point.label == ALL_8_BIT_LABEL for point in points):
            return folder / "run"
    raise SystemExit("the 8-bit network could not be confirmed: this machine is too busy to measure on")


def _stack(layers: int) -> bytes:
    import numpy as np
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    weights, nodes, value = [], [], "x"
    for number in range(layers):
        weight = rng.normal(0, (2 / _WIDTH) ** 0.5, (_WIDTH, _WIDTH)).astype(np.float32)
        weights.append(numpy_helper.from_array(weight, f"layer{number}.weight"))
        nodes.append(helper.make_node("Gemm", [value, f"layer{number}.weight"], [f"z{number}"], transB=1))
        nodes.append(helper.make_node("Relu", [f"z{number}"], [f"a{number}"]))
        value = f"a{number}"
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", _WIDTH]) for name in ("x", value)]
    graph = helper.make_graph(nodes, "stack", ends[:1], ends[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def _export(run: Path, bundle: Path, *, asked: float | None) -> dict[str, Figure]:
    """Export the smallest confirmed point; the seconds in the measurement are taken out."""
    from deploy.export import export_bundle
    from deploy.remeasure import remeasure
    from search.export import exportable
    from search.results import read_result

    confirmed = [point for point in read_result(run).points if point.confirmed]
    smallest = min(confirmed, key=lambda point: point.model_bytes or 0)
    measuring, whole = _Stopwatch(), _Stopwatch()
    with patch("deploy.export.remeasure", measuring.around(remeasure)):
        exported = whole.around(lambda: export_bundle(exportable(run, smallest.digest), bundle))()
    size = exported.manifest.files["model.onnx"].bytes
    return {
        "size of model.onnx": Figure(value=size / 1e6, unit="MB", better="lower"),
        "size of the bundle": Figure(value=_size(bundle) / 1e6, unit="MB", better="lower"),
        "export without measuring": Figure(
            value=whole.wall_s - measuring.wall_s, unit="s", better="lower", asked=asked
        ),
        "export without measuring, processor time": Figure(
            value=whole.cpu_s - measuring.cpu_s, unit="s", better="lower"
        ),
        "measuring again": Figure(value=measuring.wall_s, unit="s", better="lower"),
    }


def _verify(bundle: Path, folder: Path) -> dict[str, Figure]:
    """Verify as a CI step does, from the start of the program to its end.

    Once before it counts: what Python compiles of an installed program it keeps.
    """
    _paretune(folder, "verify", bundle)
    cpu_s, started = _children_cpu_s(), time.perf_counter()
    _paretune(folder, "verify", bundle, "--json", folder / "verify.json")
    whole_s, cpu_s = time.perf_counter() - started, _children_cpu_s() - cpu_s
    document = json.loads((folder / "verify.json").read_text())
    figures, checks = document["figures"], {check["name"]: check["seconds"] for check in document["checks"]}
    inference_s = figures["latency"]["inference_s"] + figures["accuracy"]["inference_s"]
    seconds = {
        "verify, all of it": whole_s,
        "verify: inference": inference_s,
        "verify: processor time of all its processes": cpu_s,
        "verify: program start and end": whole_s - sum(checks.values()),
        "verify: starting and keeping workers": figures["latency"]["overhead_s"],
        **{f"verify: {name}": checks[name] for name in ("files", "network", "workload", "accuracy")},
    }
    return {
        "verify without inference": Figure(value=whole_s - inference_s, unit="s", better="lower", asked=1.0),
        "verify: processes that were asked": Figure(value=figures["latency"]["processes"], unit="", better="lower"),
        **{name: Figure(value=value, unit="s", better="lower") for name, value in seconds.items()},
    }


def _children_cpu_s() -> float:
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


class _Stopwatch:
    """Seconds in calls, by the clock and of this process."""

    def __init__(self) -> None:
        self.wall_s = self.cpu_s = 0.0

    def around(self, call: Callable[Taken, Given]) -> Callable[Taken, Given]:
        """The same call, timed."""

        def timed(*arguments: Taken.args, **others: Taken.kwargs) -> Given:
            wall_s, cpu_s = time.perf_counter(), time.process_time()
            try:
                return call(*arguments, **others)
            finally:
                self.wall_s += time.perf_counter() - wall_s
                self.cpu_s += time.process_time() - cpu_s

        return timed


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _paretune(folder: Path, *arguments: object) -> None:
    """Run the program as a user has it installed: with its bytecode kept, whatever this environment says of that."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")
    subprocess.run([sys.executable, "-m", "search", *map(str, arguments)], check=True, env=environment)


if __name__ == "__main__":
    main()
