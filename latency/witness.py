"""An outside witness: the same network on the same engine, timed by MLCommons' LoadGen and by us."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from latency.effort import CONFIRM
from latency.errors import MeasurementError
from latency.loadgen_result import parse_summary
from latency.measure import Meter
from latency.target import Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile
    from latency.effort import Effort
    from latency.loadgen_result import LoadGenResult, Scenario
    from latency.measurement import Measurement
    from latency.transports import Transport

# What MLCommons' rules ask of an official run (mlperf.conf); the number of queries differs by scenario.
OFFICIAL_S = 600.0
OFFICIAL_QUERIES: Mapping[Scenario, int] = {"single-stream": 1024, "offline": 24576, "server": 270336}
_PERCENTILES: Mapping[Scenario, float] = {"single-stream": 0.90, "offline": 0.90, "server": 0.99}

_UTILIZATION = 0.6  # of a server, where nothing else is asked: busy, and queries seldom wait for more than one other
_WAIT = 10.0  # times an inference that a server's query may take, where nothing else is asked
_LONGEST = 20  # times the asked-for time after which LoadGen ends by itself (worker/loadgen.py)
_PATIENCE_S = 120.0
_WARM_UP_S = 0.3


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """What LoadGen is asked for.

    Attributes:
        scenario: One query after the other, all samples at once, or queries that arrive at random.
        seconds: How long at least.
        min_queries: How many queries, or samples of the one offline query, at least.
        qps: Arrivals a second in the server scenario; None for 60% of what one inference after the other allows.
        target_latency_ms: What the server's 99th percentile must keep; None for ten inferences.
    """

    scenario: Scenario
    seconds: float = 10.0
    min_queries: int = 100
    qps: float | None = None
    target_latency_ms: float | None = None

    def __post_init__(self) -> None:
        asked = {"seconds": self.seconds, "min_queries": self.min_queries}
        asked |= {
            name: value
            for name, value in (("qps", self.qps), ("target_latency_ms", self.target_latency_ms))
            if value is not None
        }
        for name, value in asked.items():
            if not value > 0:
                msg = f"{name} must be above 0, got {value}"
                raise ValueError(msg)
        given = self.qps is not None or self.target_latency_ms is not None
        if given and self.scenario != "server":
            msg = f"qps and target_latency_ms go with the server scenario, got them with '{self.scenario}'"
            raise ValueError(msg)

    @property
    def is_official(self) -> bool:
        """Whether it is as long as MLCommons' rules ask."""
        return self.seconds >= OFFICIAL_S and self.min_queries >= OFFICIAL_QUERIES[self.scenario]

    def settings(self, inference_s: float, batch_size: int) -> dict[str, Any]:
        """The worker's settings, completed with how long an inference takes."""
        latency_s = _WAIT * inference_s if self.target_latency_ms is None else self.target_latency_ms / 1e3
        return {
            "scenario": self.scenario,
            "seconds": self.seconds,
            "min_queries": self.min_queries,
            "batch": batch_size,
            "expected_s": inference_s,
            "qps": _UTILIZATION / inference_s if self.qps is None else self.qps,
            "target_latency_s": latency_s,
            "percentile": _PERCENTILES[self.scenario],
        }


@dataclass(frozen=True, kw_only=True)
class Witness:
    """LoadGen's result between two measurements of ours, of the network against itself.

    Attributes:
        result: LoadGen's.
        asked: The settings that it ran with.
        before: Ours, taken before.
        after: Ours, taken after.
    """

    result: LoadGenResult
    asked: Mapping[str, Any]
    before: Measurement
    after: Measurement

    @cached_property
    def our_ms(self) -> float:
        """The median wall time of an inference, over all processes of both measurements."""
        return _wall_median_ms(self.before, self.after)

    @property
    def our_drift(self) -> float:
        """Our later median over our earlier one: what the machine itself changed meanwhile."""
        return _wall_median_ms(self.after) / _wall_median_ms(self.before)

    @property
    def loadgen_ms(self) -> float:
        """LoadGen's figure for an inference.

        Of single-stream its median. Offline its samples are answered one inference after the other, so it is the time
        per inference. Of a server it is the median with the wait in the queue, which no inference of ours has.
        """
        if self.result.scenario == "offline":
            return 1e3 * float(self.asked["batch"]) / self.result.samples_per_s
        return self.result.median_ms

    @property
    def ratio(self) -> float:
        """LoadGen's figure over ours."""
        return self.loadgen_ms / self.our_ms

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        ours = [
            {"median_ms": _wall_median_ms(one), "grade": one.grade, "reason": one.reason, "taken_at": one.taken_at}
            for one in (self.before, self.after)
        ]
        return {
            "loadgen": self.result.to_dict(),
            "asked": dict(self.asked),
            "loadgen_ms": self.loadgen_ms,
            "our_ms": self.our_ms,
            "ratio": self.ratio,
            "our_drift": self.our_drift,
            "before": ours[0],
            "after": ours[1],
            "runtime": self.before.runtime,
            "hardware_id": self.before.hardware_id,
            "profile": self.before.profile,
        }


def call_witness(
    profile: HardwareProfile,
    model: bytes,
    feeds: Mapping[str, NDArray[Any]],
    traffic: Traffic,
    *,
    session_entries: Mapping[str, str] | None = None,
    effort: Effort = CONFIRM,
    transport: Transport | None = None,
    on_step: Callable[[str], None] | None = None,
) -> Witness:
    """Measures, lets LoadGen measure, and measures again.

    Args:
        profile: the target.
        model: ONNX bytes.
        feeds: input name to array, first axis the profile's batch size; LoadGen's queries all run on them.
        traffic: what LoadGen is asked for.
        session_entries: session entries that the model needs.
        effort: of our own measurements.
        transport: how workers are started; None for what the profile names.
        on_step: gets what is about to happen, in words.

    Raises:
        TargetError: the target cannot be reached, or has no room.
        MeasurementError: it cannot be measured there, LoadGen is not installed there, or the target is emulated.
    """
    if profile.reach.transport == "emulated":
        msg = f"'{profile.name}' is emulated: its time says nothing, so LoadGen has nothing to witness there"
        raise MeasurementError(msg)
    say = on_step or (lambda _step: None)
    entries = session_entries or {}

    def ours() -> Measurement:
        with Meter(
            profile, model, feeds, baseline_session_entries=entries, effort=effort, transport=transport
        ) as meter:
            return meter.measure(model, session_entries=entries, fresh=True)

    say("Measuring")
    before = ours()
    asked = traffic.settings(_wall_median_ms(before) / 1e3, profile.engine.batch_size)
    say(f"LoadGen, {traffic.scenario}, {traffic.seconds:g} s or more")
    with Target(profile, transport=transport, patience_s=_PATIENCE_S + _LONGEST * traffic.seconds) as target:
        target.load(model, feeds, entries)
        target.request("warm_up", slots=["model"], budget_s=_WARM_UP_S)
        answer = target.request("loadgen", slot="model", folder=target.path("loadgen"), settings=asked)
    result = parse_summary(str(answer["summary"]), str(answer["version"]))
    say("Measuring again")
    return Witness(result=result, asked=asked, before=before, after=ours())


def _wall_median_ms(*measurements: Measurement) -> float:
    """Of both models of each process: they are the same. Wall time, since LoadGen has no other."""
    import numpy as np

    processes = [process for one in measurements for process in one.processes]
    samples = [model.wall_ms for process in processes for model in (process.candidate, process.baseline)]
    return float(np.median(np.concatenate(samples)))
