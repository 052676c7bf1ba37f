"""Where the time of one inference goes: the runtime's rows, with the names that policies use beside them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from compress.network import Network
    from hwprofiles import HardwareProfile
    from latency import Samples, Target
    from latency.transports import Transport
    from workloads import Feeds

_SLOT = "model"
_CROWDED = 1.05  # wall time over processor time
_WARM_UP_S = 0.3
_WHOLE_S = 0.5  # how long whole inferences are timed, before the profiler looks and after
# What ONNX Runtime appends to a name while it fuses and lays out, and what its profiler appends.
_SUFFIXES = re.compile(r"(_token_\d+|_nchwc|_nhwc|_pre_q|_quant|_kernel_time)+$")
# TensorRT names a fused layer after all that went into it.
_SEPARATORS = re.compile(r"\s*(?:\+|\|\||,|[()\[\]{}])\s*|\s+")


@dataclass(frozen=True, kw_only=True)
class LayerTime:
    """One row of the runtime's profile.

    Attributes:
        order: Its place in the order of execution, from 0.
        layers: The layers of the network that it carries out; empty for what is no layer, such as an Add.
        node: What the runtime calls it.
        operator: The operator's type.
        kernel: What really runs it.
        median_ms: Of one inference.
        calls: In one inference.
        share: Of the sum over all rows.
    """

    order: int
    layers: tuple[str, ...]
    node: str
    operator: str
    kernel: str
    median_ms: float
    calls: float
    share: float


@dataclass(frozen=True, kw_only=True)
class LayerTimes:
    """All rows, in the order of execution, against the whole inference.

    Attributes:
        rows: The layers.
        whole_ms: Median of a whole inference without the profiler, in the same process.
        crowded: Whether other work had the processor meanwhile; a whole inference then is its processor time.
        repeats: Inferences that the profiler watched.
        runtime: The target's runtime and version.
        unmatched: Layers of the network that no row could be put down to.
    """

    rows: tuple[LayerTime, ...]
    whole_ms: float
    crowded: bool
    repeats: int
    runtime: str
    unmatched: tuple[str, ...]

    @property
    def sum_ms(self) -> float:
        """The rows' sum."""
        return sum(row.median_ms for row in self.rows)

    def by_time(self) -> tuple[LayerTime, ...]:
        """The rows, the slowest first."""
        return tuple(sorted(self.rows, key=lambda row: (-row.median_ms, row.order)))


def time_layers(
    model: bytes,
    named_by: Network,
    feeds: Feeds,
    profile: HardwareProfile,
    *,
    repeats: int,
    session_entries: Mapping[str, str],
    transport: Transport | None = None,
) -> LayerTimes:
    """Times each layer of a model on the profile's target.

    Args:
        model: ONNX bytes.
        named_by: The network that gives layers their names: the model's own, or the FP32 one that it was made from.
        feeds: What one inference reads, at the profile's batch size.
        profile: The target.
        repeats: How many inferences the profiler watches.
        session_entries: Session configuration that the model needs.
        transport: How the worker is started; None for what the profile names.

    Raises:
        TargetError, MeasurementError: The target cannot be reached or is emulated, or the engine refuses.
    """
    from latency import MeasurementError, Target

    if profile.reach.transport == "emulated":
        raise MeasurementError(f"'{profile.name}' is emulated: its time says nothing, whichever layer it is spent in")
    with Target(profile, transport=transport) as target:
        target.load(model, feeds, session_entries)
        target.request("warm_up", slots=[_SLOT], budget_s=_WARM_UP_S)
        before = _whole(target)
        rows = target.layers(repeats)
        whole = before.joined(_whole(target))
        runtime = target.runtime
    return collect(named_by, rows, whole=whole, threads=profile.engine.threads, repeats=repeats, runtime=runtime)


def collect(
    named_by: Network, rows: Sequence[Mapping[str, Any]], *, whole: Samples, threads: int, repeats: int, runtime: str
) -> LayerTimes:
    """The rows that an engine gave, as values: named, and with their shares."""
    found = named_rows(named_by, rows)
    matched = {layer for row in found for layer in row.layers}
    whole_ms, crowded = _level(whole, threads)
    return LayerTimes(
        rows=found,
        whole_ms=whole_ms,
        crowded=crowded,
        repeats=repeats,
        runtime=runtime,
        unmatched=tuple(layer.name for layer in named_by.layers if layer.name not in matched),
    )


def named_rows(named_by: Network, rows: Sequence[Mapping[str, Any]]) -> tuple[LayerTime, ...]:
    """The rows that an engine gave, as values, with the layers that they carry out.

    A layer that is split into two factors is in the rows of both.
    """
    total_ns = sum(float(row["median_ns"]) for row in rows) or 1.0
    known = _layers_by_mark(named_by)
    return tuple(
        LayerTime(
            order=order,
            layers=_layers_of(str(row["name"]), known),
            node=_SUFFIXES.sub("", str(row["name"])) or str(row["name"]),
            operator=str(row["operator"]),
            kernel=str(row["kernel"]),
            median_ms=float(row["median_ns"]) / 1e6,
            calls=float(row["calls"]),
            share=float(row["median_ns"]) / total_ns,
        )
        for order, row in enumerate(rows)
    )


def _whole(target: Target) -> Samples:
    from latency import Samples

    answer = target.request(
        "time_interleaved", slots=[_SLOT, _SLOT], budget_s=_WHOLE_S, min_rounds=1, limit_s=4 * _WHOLE_S
    )
    return Samples.from_worker([row for rows in answer["samples"] for row in rows])


def _level(whole: Samples, threads: int) -> tuple[float, bool]:
    """A whole inference, and whether others had the processor.

    An operator is over before anybody interrupts it, a whole inference on a crowded machine is not: wall time of the
    one and of the other do not compare there, processor time does.
    """
    import numpy as np

    wall_ms = float(np.median(whole.wall_ms))
    if whole.cpu_ms is None or threads > 1:
        return wall_ms, False
    cpu_ms = float(np.median(whole.cpu_ms))
    crowded = wall_ms > _CROWDED * cpu_ms
    return (cpu_ms if crowded else wall_ms), crowded


def _layers_by_mark(network: Network) -> dict[str, str]:
    """Layer names by what a runtime may call them: the operator, or a tensor that it or what is fused to it writes."""
    from compress.formats.kernels import marks, marks_of
    from compress.low_rank.factorize_layers import first_name, inner_name

    nodes = {node.name: node for node in network.model.graph}
    names = {layer.node_name: layer.name for layer in network.layers}
    # What is compressed already is no layer any more, and is called what its operator is called.
    names |= {skipped.name: skipped.name for skipped in network.skipped if skipped.name in nodes}
    known: dict[str, str] = {}
    for node_name, name in names.items():
        first, between = first_name(node_name), inner_name(nodes[node_name].outputs[0].name or "")
        for mark in (node_name, *marks_of(nodes[node_name]), first, *marks(first, [between])):
            known.setdefault(mark, name)
    return known


def _layers_of(name: str, known: Mapping[str, str]) -> tuple[str, ...]:
    whole = _SUFFIXES.sub("", name)
    if whole in known:
        return (known[whole],)
    parts = (_SUFFIXES.sub("", part) for part in _SEPARATORS.split(name))
    return tuple(dict.fromkeys(known[part] for part in parts if part in known))
