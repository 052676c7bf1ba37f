"""Where the time goes under a few policies, from the runtime's own profile on the target; and what wholes take.

A profile is not believed in three things. It slows what it watches: each row by about as much, which is most of the
smallest one; what the smallest row that is no layer takes is taken off all rows. The machine is faster or slower from
one profile to the next: a policy's rows are scaled to its ratio to FP32, timed in turns without a profiler. And what
several layers take together is none of theirs.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.network import Network
from compress.stitch import Compressor
from latency import MeasurementError, Target
from search.layers.table import TimedPolicy
from search.layers.times import LayerTime, named_rows
from search.progress import Listener, Progress
from search.space.space import SearchSpace
from search.stages import StageClock
from search.sweep.policies import Params
from search.trial.turns import in_turn

_FP32 = "fp32"
_CANDIDATE = "model"
_BEFORE_WHOLES = 6  # FP32, and each way of making a layer smaller once
_REPEATS = 30
_WARM_UP_S = 0.1
_TIMED_S = 0.15


@dataclass(frozen=True, kw_only=True)
class Profiled:
    """One policy's rows, none where it was only timed as a whole; and its time over FP32's."""

    params: Params
    rows: tuple[LayerTime, ...]
    ratio: float


def profile_layers(
    target: Target,
    compressor: Compressor,
    feeds: Mapping[str, NDArray[Any]],
    space: SearchSpace,
    policies: Iterable[Params],
    *,
    wholes: Iterable[Params] = (),
    limit_s: float,
    stages: StageClock,
    listener: Listener,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[TimedPolicy, ...]:
    """Profile policies one after the other in the target's one worker, as long as there is time.

    A policy whose candidate cannot be built or profiled is left out, and the reason is said.

    Args:
        target: Opened already.
        compressor: Builds the candidates.
        feeds: What one inference reads, at the profile's batch size.
        space: What the policies are of.
        policies: Their parameters; FP32's first.
        wholes: Parameters of others, which are timed as a whole and not profiled; after the first few of `policies`,
            since they tell more than further ones.
        limit_s: When to stop.
        stages: Where the seconds are counted.
        listener: Told after each.
        clock: Monotonic seconds.

    Raises:
        MeasurementError: The engine has no profile, or refuses FP32.
        TargetError: The target went away.
    """
    started_s, network = clock(), compressor.network
    with stages.stage("latency overhead"):
        target.load(network.onnx_bytes, feeds, slot=_FP32)
    wanted = [(params, True) for params in policies]
    wanted[_BEFORE_WHOLES:_BEFORE_WHOLES] = [(params, False) for params in wholes]
    taken: list[Profiled] = []
    for done, (params, is_profiled) in enumerate(wanted, start=1):
        if clock() - started_s >= limit_s:
            break
        note = ""
        try:
            taken.append(_profile(target, compressor, feeds, space, params, stages, is_profiled=is_profiled))
        except (CompressionError, MeasurementError) as error:
            if not taken:  # FP32 itself
                raise
            note = f"layers are not timed under one of {len(wanted)} policies: {error}"
        listener(Progress(stage="layer times", done=done, total=len(wanted), note=note))
    return shares_of(taken, network)


def _profile(
    target: Target,
    compressor: Compressor,
    feeds: Mapping[str, NDArray[Any]],
    space: SearchSpace,
    params: Params,
    stages: StageClock,
    *,
    is_profiled: bool,
) -> Profiled:
    with in_turn(stages, "building"):
        candidate = compressor.build(space.policy(params))
    with stages.stage("latency overhead"):
        target.load(candidate.onnx_bytes, feeds, candidate.session_entries, slot=_CANDIDATE)
    is_fp32 = candidate.onnx_bytes == compressor.network.onnx_bytes
    with stages.stage("latency inference"):
        timed = {"warm_up_s": _WARM_UP_S, "budget_s": _TIMED_S}
        ratio = 1.0 if is_fp32 else target.ratio(_FP32, slot=_CANDIDATE, **timed)
        rows = target.layers(_REPEATS, slot=_CANDIDATE) if is_profiled else []
    return Profiled(params=params, rows=named_rows(compressor.network, rows), ratio=ratio)


def shares_of(profiles: Iterable[Profiled], network: Network) -> tuple[TimedPolicy, ...]:
    """Each layer's time over FP32's whole time, and the whole's."""
    taken = tuple(profiles)
    between = [row.median_ms / max(row.calls, 1.0) for profile in taken for row in profile.rows if not row.layers]
    watching_ms = min(between, default=0.0)
    known = {layer.name for layer in network.layers}
    table = []
    for profile in taken:
        times = [max(row.median_ms - row.calls * watching_ms, 0.0) for row in profile.rows]
        whole = sum(times)
        if profile.rows and not whole > 0:
            raise MeasurementError("the runtime's profile has no time in it")
        shares: dict[str, float] = {}
        for row, spent in zip(profile.rows, times, strict=True):
            if len(row.layers) == 1 and row.layers[0] in known:
                shares[row.layers[0]] = shares.get(row.layers[0], 0.0) + profile.ratio * spent / whole
        mixed = {layer for row in profile.rows if len(row.layers) > 1 for layer in row.layers}
        kept = {layer: share for layer, share in shares.items() if layer not in mixed}
        table.append(TimedPolicy(params=profile.params, shares=kept, ratio=profile.ratio))
    return tuple(table)
