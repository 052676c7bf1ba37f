"""Made-up rows of a probe."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

from hypothesis import strategies as st

from hwprofiles import HardwareProfile, Probe, ProbedLayer, Sparsity
from hwprofiles.engine import Engine
from hwprofiles.profile import Formats


def row(ratio: float | None = 0.5, *, half: float = 0.01, **changes: Any) -> ProbedLayer:
    """A Conv 3×3 64→64 at 14×14 in int8 u8s8, unless said otherwise; None for a choice that was refused."""
    values: dict[str, Any] = {"operator": "Conv", "batch_size": 1, "format": "int8", "chain": 4}
    values["weight_shape"] = (64, 64, 3, 3) if changes.get("operator", "Conv") == "Conv" else (384, 384)
    values |= changes
    if values["format"] in ("int8", "int8-dynamic"):
        values.setdefault("scheme", "u8s8")
    if values["format"].endswith("-weights"):
        values = {"weight_only_compute": "int8", "weight_block_size": 32} | values
    values.setdefault("macs", math.prod(values["weight_shape"]) * 196)
    if ratio is None:
        return ProbedLayer(**{"refused": "no such kernel", **values})
    figures = {"ratio": ratio, "low": ratio - half, "high": ratio + half, "grade": "clean", "fp32_ms": 1.0}
    return ProbedLayer(**{**figures, **values})


def profile_with(*rows: ProbedLayer, threads: int = 1, **formats: Any) -> HardwareProfile:
    """A probed profile that offers everything in u8s8 with int8 compute."""
    settings = {
        "offered": ("fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights"),
        "int8_scheme": "u8s8",
        "weight_only_compute": "int8",
    }
    return HardwareProfile(
        name="my-board",
        summary="A board",
        probed=True,
        engine=Engine(threads=threads),
        formats=Formats(**{**settings, **formats}),
        sparsity=Sparsity(patterns=("channels",), channel_multiple=16),
        probe=Probe(
            taken_on=dt.date(2026, 3, 1),
            runtime="onnxruntime 1.32.0",
            hardware_id="0123456789ab",
            threads=1,
            subject="a network",
            complete=True,
            layers=rows,
        ),
    )


@st.composite
def rows(draw: st.DrawFn) -> ProbedLayer:
    """Any row there can be."""
    operator = draw(st.sampled_from(["Conv", "Gemm", "MatMul"]))
    sides = st.integers(1, 4096)
    kernel = draw(st.lists(st.integers(1, 7), min_size=1, max_size=3)) if operator == "Conv" else []
    choice: dict[str, Any] = {
        "operator": operator,
        "weight_shape": (draw(sides), draw(sides), *kernel),
        "groups": draw(st.integers(1, 64)) if operator == "Conv" else 1,
        "macs": draw(st.integers(0, 10**12)),
        "batch_size": draw(st.integers(1, 512)),
        "format": draw(st.sampled_from(["fp32", "fp16", "int8", "int8-dynamic", "int8-weights", "int4-weights"])),
        "chain": draw(st.integers(1, 8)),
    }
    if choice["format"] in ("int8", "int8-dynamic"):
        choice["scheme"] = draw(st.sampled_from(["u8s8", "u8s7", "s8s8", "symmetric"]))
    if choice["format"].endswith("-weights"):
        choice["weight_only_compute"] = draw(st.sampled_from(["float", "int8"]))
        choice["weight_block_size"] = draw(st.sampled_from([16, 32, 64, 128, 256]))
    extra = draw(st.sampled_from(["", "width", "rank", "sparsity", "mixed"]))
    values = {"width": draw(sides), "rank": draw(sides), "sparsity": "2:4", "mixed": True}
    if extra:
        choice[extra] = values[extra]
    if draw(st.booleans()):
        return ProbedLayer(**choice, refused=draw(st.text(min_size=1)))
    positive = st.floats(1e-6, 1e6)
    low, ratio, high = sorted(draw(st.lists(positive, min_size=3, max_size=3)))
    grade = draw(st.sampled_from(["clean", "contended", "unreliable"]))
    figures = {"ratio": ratio, "low": low, "high": high, "grade": grade, "fp32_ms": draw(positive)}
    kernels = draw(st.lists(st.text(min_size=1), max_size=2))
    return ProbedLayer(**choice, **figures, kernels=tuple(kernels), instead=draw(st.none() | st.text(min_size=1)))
