"""Made-up runs that look like real ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from search import pareto
from search.facts import ReportFacts
from search.point import TrialPoint

FP32_MS, FP32_METRIC, FP32_CONFIRMED = 1.67, 0.985, 0.9832
FP32_COUNT = 533_000_000
NOISE_RATIO, NOISE_METRIC = 0.012, 0.0022

MadeUpRun = tuple[list[TrialPoint], ReportFacts]


@pytest.fixture(scope="session")
def make_run() -> Callable[..., MadeUpRun]:
    """Give the function that makes a run up."""
    return made_up_run


def made_up_run(
    *, trials: int = 40, layers: int = 16, confirm: bool = True, seed: int = 5, sparse: bool = False, prefix: str = ""
) -> MadeUpRun:
    """Make up a run: FP32, all 8-bit, a few broken networks, a few failures, and a confirmed front."""
    rng = random.Random(seed)
    names = [f"{prefix}stage{i // 4 + 1}.block{i // 2 % 2 + 1}.conv{i % 2 + 1}" for i in range(layers - 1)] + [
        f"{prefix}head.linear"
    ]
    searched = [_trial(number, names, rng, sparse=sparse) for number in range(trials)]
    points = _confirmed(searched, rng) if confirm else searched
    failed = sum(point.state == "failed" for point in points)
    facts = ReportFacts(
        workload_name=f"{prefix}mnist-resnet",
        metric_name="top-1 accuracy",
        target_name="local-cpu",
        device="Intel Xeon Platinum 8481C, 1 thread",
        runtime="ONNX Runtime 1.32.0, CPUExecutionProvider",
        fp32_latency_ms=FP32_MS,
        fp32_metric_search=FP32_METRIC,
        fp32_metric_confirmation=FP32_CONFIRMED if confirm else None,
        samples_search=1500,
        samples_confirmation=1500 if confirm else None,
        trials_finished=trials - failed,
        trials_failed=failed,
        started_at=datetime(2026, 11, 20, 21, 4, tzinfo=UTC),
        wall_seconds=28_710.0,
        paretune_version="0.1.0",
    )
    return points, facts


@pytest.fixture(scope="session")
def emulated_run() -> MadeUpRun:
    """A run whose costs are instructions under emulation; no point has a latency."""
    points, facts = made_up_run()
    device = "emulated cortex-a76, 1 thread"
    changes: dict[str, Any] = {"target_name": "arm-emulated", "fp32_latency_ms": None, "fp32_instructions": FP32_COUNT}
    return [_counted(point) for point in points], replace(facts, device=device, **changes)


@pytest.fixture(scope="session")
def board_run() -> MadeUpRun:
    """A run on another machine, where all 8-bit answers otherwise than here and one of its layers runs in float."""
    points, facts = made_up_run()
    board = replace(facts, target_name="raspberry-pi-5", device="Raspberry Pi 5, 4 threads, over SSH")
    return [_on_board(point) if point.confirmed else point for point in points], board


@pytest.fixture(scope="session")
def recovered_run() -> MadeUpRun:
    """A run whose four fastest confirmed points were recovered; the last of these came to less than what it was."""
    points, facts = made_up_run()
    confirmed = sorted((point for point in points if point.confirmed and point.number > 1), key=lambda p: p.speedup)
    shares = (0.2, 0.2, 0.3, 1.5)
    return [*points, *map(_recovered, confirmed[-4:], shares)], facts


def _recovered(point: TrialPoint, left: float) -> TrialPoint:
    drop = left * point.metric_drop
    return replace(
        point, digest=point.digest[::-1], recovered_from=point.digest, label="", metric=FP32_CONFIRMED - drop,
        recovery="distillation, 3 epochs, seed 0", metric_drop=drop, metric_drop_low=drop - NOISE_METRIC,
        metric_drop_high=drop + NOISE_METRIC, search_metric_drop=drop,
    )  # fmt: skip


def _counted(point: TrialPoint) -> TrialPoint:
    if point.state != "complete":
        return point
    ratio = point.latency_ratio
    changes: dict[str, Any] = dict.fromkeys(
        ("latency_ms", "latency_ratio", "latency_ratio_low", "latency_ratio_high"), math.nan
    )
    changes |= {"search_instructions_ratio": point.search_latency_ratio, "search_latency_ratio": None}
    return replace(
        point, grade="emulated", instructions=round(ratio * FP32_COUNT), instructions_ratio=ratio,
        instructions_ratio_low=ratio * 0.999, instructions_ratio_high=ratio * 1.001, **changes,
    )  # fmt: skip


def _on_board(point: TrialPoint) -> TrialPoint:
    differs = point.number == 1
    metric = point.metric - (0.009 if differs else 0.0003)
    drop = FP32_CONFIRMED - 0.0003 - metric
    reason = "layer 'stage1.block1.conv1' should run in integers; on the target it runs in float (FusedConv)"
    return replace(
        point, target_metric=metric, target_metric_drop=drop, target_metric_drop_low=drop - 0.004,
        target_metric_drop_high=drop + 0.004, target_samples=256, host_metric=point.metric, target_differs=differs,
        reason=reason if differs else "",
    )  # fmt: skip


def _trial(number: int, names: list[str], rng: random.Random, *, sparse: bool) -> TrialPoint:
    if number in (7, 23):
        reason = "runtime refused layer 'stage2.block1.conv2': kernel is FP32, policy says 8-bit"
        return TrialPoint(number=number, digest=f"{rng.getrandbits(128):032x}", state="failed", reason=reason)
    layers = {name: _layer(number, rng, sparse=sparse) for name in names}
    fast = [layer for layer in layers.values() if layer["bits"] == 8]
    low_rank = [layer for layer in layers.values() if layer["rank"] is not None]
    ratio = 1 - 0.66 * len(fast) / len(names) - 0.25 * len(low_rank) / len(names) * rng.uniform(0.7, 1.1)
    ratio = max(ratio, 0.15) * (1 + (rng.gauss(0, NOISE_RATIO) if number else 0))
    drop = 0.004 * len(fast) / len(names) + 0.06 * (len(low_rank) / len(names)) ** 2 * rng.uniform(0.5, 2.0)
    drop = 0.0 if number == 0 else round((drop + rng.gauss(0, 0.0012)) * 1500) / 1500
    if number in (11, 19, 31):
        ratio, drop = ratio * 0.6, FP32_METRIC - rng.uniform(0.09, 0.3)
    return TrialPoint(
        number=number, digest=f"{rng.getrandbits(128):032x}", state="complete",
        grade="contended" if number % 9 == 4 else "clean",
        label={0: "FP32", 1: "all 8-bit"}.get(number, ""),
        policy_summary=f"{len(fast)} layers 8-bit, {len(low_rank)} at rank 0.5" if number else "nothing compressed",
        model_bytes=int(1_250_000 * (1 - 0.72 * len(fast) / len(names) - 0.2 * len(low_rank) / len(names))),
        layers=layers, **_figures(ratio, drop, FP32_METRIC, exact=number == 0),
    )  # fmt: skip


def _layer(number: int, rng: random.Random, *, sparse: bool) -> dict[str, float | int | None]:
    if number < 2:
        return {"bits": (32, 8)[number], "sparsity": 0.0, "rank": None}
    share = (number % 10 + 1) / 10
    return {
        "bits": 8 if rng.random() < share else 32,
        "sparsity": rng.choice([0.0, 0.25, 0.5]) if sparse else 0.0,
        "rank": rng.choice([0.25, 0.5]) if rng.random() < 0.5 * share * (number % 3) / 2 else None,
    }


def _figures(ratio: float, drop: float, fp32_metric: float, *, exact: bool = False) -> dict[str, float]:
    spread = 0.0 if exact else 1.0
    return {
        "latency_ms": ratio * FP32_MS,
        "latency_ratio": ratio,
        "latency_ratio_low": ratio * (1 - spread * NOISE_RATIO),
        "latency_ratio_high": ratio * (1 + spread * 1.2 * NOISE_RATIO),
        "metric": fp32_metric - drop,
        "metric_drop": drop,
        "metric_drop_low": drop - spread * NOISE_METRIC,
        "metric_drop_high": drop + spread * 1.1 * NOISE_METRIC,
    }


def _confirmed(points: list[TrialPoint], rng: random.Random) -> list[TrialPoint]:
    complete = [point for point in points if point.state == "complete"]
    front = pareto.front([(point.latency_ratio, point.metric) for point in complete])
    always = {0, 1}  # FP32 and all 8-bit
    chosen = {complete[position].number for position in front if complete[position].metric > 0.5} | always
    return [_confirm(point, rng) if point.number in chosen else point for point in points]


def _confirm(point: TrialPoint, rng: random.Random) -> TrialPoint:
    exact = point.number == 0
    ratio = point.latency_ratio * (1 if exact else 1 + abs(rng.gauss(0.008, 0.01)))
    drop = 0.0 if exact else point.metric_drop + round(abs(rng.gauss(0.0008, 0.001)) * 1500) / 1500
    kept = {
        name: getattr(point, name)
        for name in ("number", "digest", "state", "grade", "label", "policy_summary", "model_bytes", "layers")
    }
    return TrialPoint(
        confirmed=True,
        search_latency_ratio=point.latency_ratio,
        search_metric_drop=point.metric_drop,
        **kept,
        **_figures(ratio, drop, FP32_CONFIRMED, exact=exact),
    )
