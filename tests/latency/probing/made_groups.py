"""Groups of choices with made-up candidates, and a meter that knows how long each takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import numpy as np

from hwprofiles import HardwareProfile, Machine, ProbedChoice
from latency import MeasurementError, MeasurementLog
from latency.measurement import Measurement, MeasurementKey
from latency.probing import Bench, Built, ChoiceRefused, ProbeGroup
from latency.samples import ProcessSamples, Samples
from latency.statistics import SpreadPrior

MACHINE = Machine(
    cpu="A board", architecture="aarch64", flags=(), physical_cores=4, logical_cores=4, memory_bytes=2**32, os="Linux",
    python="3.11",
)  # fmt: skip


@dataclass(kw_only=True)
class MadeBench:
    """Candidates are the choices' JSON; those in a format named in ``refused`` cannot be built."""

    batch_size: int
    refused: frozenset[str] = frozenset()
    baseline: bytes = b"fp32"

    @property
    def feeds(self) -> Mapping[str, np.ndarray]:
        return {"x": np.zeros((self.batch_size, 1), np.float32)}

    def build(self, choice: ProbedChoice) -> Built:
        if choice.format in self.refused:
            raise ChoiceRefused(f"no kernel for {choice.format}\nand more that nobody reads")
        return Built(onnx_bytes=choice.model_dump_json().encode(), session_entries={"a": "1"}, kernels=("QLinearConv",))


def group(choices: Sequence[ProbedChoice], *, refused: Sequence[str] = ()) -> ProbeGroup:
    """Choices of one batch size."""
    batch_size = choices[0].batch_size
    return ProbeGroup(
        shape=choices[0],
        batch_size=batch_size,
        choices=tuple(choices),
        set_up=lambda: MadeBench(batch_size=batch_size, refused=frozenset(refused)),
    )


def unbuildable(choices: Sequence[ProbedChoice]) -> ProbeGroup:
    """A group whose baseline cannot be made."""

    def fail() -> Bench:
        raise ChoiceRefused("the layer is too large")

    return ProbeGroup(shape=choices[0], batch_size=choices[0].batch_size, choices=tuple(choices), set_up=fail)


@dataclass(kw_only=True)
class MadeTarget:
    """Opens meters that take made-up latencies by format; 1 ms for FP32.

    ``crashes`` names formats that the runtime refuses, ``dead_after`` is how many meters open before none does.
    """

    milliseconds: Mapping[str, float]
    log: MeasurementLog | None = None
    crashes: frozenset[str] = frozenset()
    dead_after: int = 1000
    measured: list[str] = field(default_factory=list)
    batch_sizes: list[int] = field(default_factory=list)

    def meter(self, profile: HardwareProfile, bench: Bench) -> MadeMeter:
        self.batch_sizes.append(profile.engine.batch_size)
        assert bench.feeds["x"].shape[0] == profile.engine.batch_size
        return MadeMeter(self, profile, dead=len(self.batch_sizes) > self.dead_after)


class MadeMeter:
    def __init__(self, target: MadeTarget, profile: HardwareProfile, *, dead: bool) -> None:
        self._target, self._profile, self._dead = target, profile, dead
        self.runtime, self.machine = "onnxruntime 1.32.0", MACHINE

    def __enter__(self) -> Self:
        if self._dead:
            raise MeasurementError("the baseline cannot be measured on 'board': no answer")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def measure(self, model: bytes, *, session_entries: Mapping[str, str] | None = None) -> Measurement:
        choice = ProbedChoice.model_validate_json(model)
        log, key = self._target.log, self._key(model, session_entries or {})
        found = None if log is None else log.find(key)
        if found is not None:
            return found
        if choice.format in self._target.crashes:
            raise MeasurementError(f"the candidate cannot be measured: no such operator for {choice.format}")
        self._target.measured.append(choice.format)
        measurement = made_measurement(key, self._target.milliseconds[choice.format])
        if log is not None:
            log.append(measurement)
        return measurement

    def _key(self, model: bytes, entries: Mapping[str, str]) -> MeasurementKey:
        engine = self._profile.engine
        return MeasurementKey(
            model_digest=model.decode(),
            baseline_digest="b",
            hardware_id=MACHINE.hardware_id,
            runtime=self.runtime,
            provider=engine.provider,
            threads=engine.threads,
            affinity=None,
            spinning=True,
            batch_size=engine.batch_size,
            input_shapes=(("x", "float32", (engine.batch_size, 1)),),
            session_entries=tuple(entries.items()),
            baseline_session_entries=(),
        )


def made_measurement(key: MeasurementKey, candidate_ms: float) -> Measurement:
    """Three processes with 1% of noise around 1 ms for FP32."""
    rng = np.random.default_rng(0)

    def samples(median_ms: float) -> Samples:
        times = tuple((median_ms * np.exp(rng.normal(0, 0.01, 40))).tolist())
        return Samples(wall_ms=times, cpu_ms=times, switches=(0,) * 40)

    values: dict[str, Any] = {"grade": "clean", "reason": "quiet", "remedy": "", "clock": "wall"}
    return Measurement(
        key=key,
        profile="board",
        processes=tuple(
            ProcessSamples(candidate=samples(candidate_ms), baseline=samples(1.0), rounds=10) for _ in range(3)
        ),
        spread_prior=SpreadPrior(),
        inference_s=0.1,
        overhead_s=0.1,
        taken_at="2026-03-01T00:00:00+00:00",
        **values,
    )
