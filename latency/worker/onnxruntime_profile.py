"""What ONNX Runtime's profile file says: which kernels ran, where, and for how long."""

from __future__ import annotations

import bisect
import json
import re
import statistics
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_SUFFIX = "_kernel_time"
_REWRITTEN = re.compile(r"(_token_\d+|_nchwc|_nhwc|_quant)+$")  # what ONNX Runtime appends to a node that it replaces


class KernelRun(NamedTuple):
    """One node's run in one inference.

    Attributes:
        inference: number of the inference, from 0.
        name: the node's.
        kernel: what ran, such as ``QLinearConv``.
        provider: where.
        outputs: element type and shape of each output.
        duration_ns: wall time.
    """

    inference: int
    name: str
    kernel: str
    provider: str
    outputs: tuple[tuple[str, tuple[int, ...]], ...]
    duration_ns: int


def read_profile(path: Path) -> list[KernelRun]:
    """The kernels in a profile file, in the order they ran. Its clock ticks in microseconds."""
    events = [event for event in json.loads(path.read_text(encoding="utf-8")) if event.get("ph") == "X"]
    starts = sorted(event["ts"] for event in events if event["name"] == "model_run")
    runs = []
    for event in sorted(events, key=lambda event: event["ts"]):
        if event.get("cat") != "Node" or not event["name"].endswith(_SUFFIX):
            continue
        arguments = event["args"]
        outputs = tuple(
            (element, tuple(shape))
            for output in arguments.get("output_type_shape", [])
            for element, shape in output.items()
        )
        runs.append(
            KernelRun(
                inference=bisect.bisect_right(starts, event["ts"]) - 1,
                name=event["name"][: -len(_SUFFIX)],
                kernel=arguments.get("op_name", ""),
                provider=arguments.get("provider", ""),
                outputs=outputs,
                duration_ns=round(event["dur"] * 1000),
            )
        )
    return runs


def layer_rows(runs: list[KernelRun], operators: Mapping[str, str], *, skip: int) -> list[dict[str, Any]]:
    """Rows of ``Engine.layers``.

    Args:
        runs: what ran.
        operators: the model's operators by node name; a node that the runtime made itself has its kernel's name.
        skip: how many inferences were warm-up.
    """
    timed = [run for run in runs if run.inference >= skip]
    inferences = len({run.inference for run in timed})
    layers: dict[tuple[str, str], dict[int, list[int]]] = {}
    for run in timed:
        layers.setdefault((run.name, run.kernel), {}).setdefault(run.inference, []).append(run.duration_ns)
    return [
        {
            "name": name,
            "operator": operators.get(name) or operators.get(_REWRITTEN.sub("", name)) or kernel,
            "kernel": kernel,
            # A node that not every inference reaches (a branch) takes nothing in the others.
            "median_ns": round(
                statistics.median([sum(ns) for ns in by_inference.values()] + [0] * (inferences - len(by_inference)))
            ),
            "calls": round(sum(len(ns) for ns in by_inference.values()) / inferences, 3),
        }
        for (name, kernel), by_inference in layers.items()
    ]
