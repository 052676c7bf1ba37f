"""The value that a measurement is: raw samples with a grade, from which every figure is derived."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, get_args

from latency.errors import MeasurementFormatError
from latency.grading import Grade, ratio_on
from latency.samples import Clock, ProcessSamples
from latency.statistics import MINIMUM_SAMPLES, SpreadPrior, percentile_ms

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from latency.reference_speed import ReferenceSpeed
    from latency.statistics import RatioEstimate

FORMAT_VERSION = 2

_PAIRS = ("session_entries", "baseline_session_entries", "options")


@dataclass(frozen=True, kw_only=True, slots=True)
class MeasurementKey:
    """What must be equal for one measurement to stand for another.

    Digests are SHA-256 of the model's bytes in hexadecimal; shapes and entries are sorted by name. ``runtime`` is
    name and version. Input values are not part of it: the same shapes take the same time.
    """

    model_digest: str
    baseline_digest: str
    hardware_id: str
    runtime: str
    provider: str
    threads: int
    affinity: tuple[int, ...] | None
    spinning: bool
    batch_size: int
    input_shapes: tuple[tuple[str, str, tuple[int, ...]], ...]
    session_entries: tuple[tuple[str, str], ...]
    baseline_session_entries: tuple[tuple[str, str], ...]
    engine: str = "onnxruntime"
    device: int = 0
    options: tuple[tuple[str, str], ...] = ()

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """From JSON values."""
        affinity = values["affinity"]
        shapes = tuple((name, kind, tuple(shape)) for name, kind, shape in values["input_shapes"])
        entries = {key: _pairs(values.get(key, ())) for key in _PAIRS}
        tuples = {"affinity": None if affinity is None else tuple(affinity), "input_shapes": shapes, **entries}
        return cls(**{**values, **tuples})


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """How long a candidate takes, against the FP32 baseline that was interleaved with it.

    ``clock`` says which of the two recorded times the figures are taken from. ``spread_prior`` is what earlier
    models had told of the spread between processes when the interval was made. ``inference_s`` was spent in the
    models, warm-up included; ``overhead_s`` on everything else. ``taken_at`` is ISO 8601 with a time zone.

    ``speed`` is how it is looked at, not what it is, and is not stored: with one, ratio and interval are as they would
    be at that speed, and everything else stays as it was taken.
    """

    key: MeasurementKey
    profile: str
    processes: tuple[ProcessSamples, ...]
    grade: Grade
    reason: str
    remedy: str
    clock: Clock
    spread_prior: SpreadPrior
    inference_s: float
    overhead_s: float
    taken_at: str
    speed: ReferenceSpeed | None = None

    def __post_init__(self) -> None:
        if not self.processes:
            raise ValueError("a measurement needs the samples of at least one process, got none")
        for name, value, allowed in (("grade", self.grade, get_args(Grade)), ("clock", self.clock, get_args(Clock))):
            if value not in allowed:
                msg = f"{name} must be one of {', '.join(allowed)}, got {value!r}"
                raise ValueError(msg)

    @property
    def model_digest(self) -> str:
        """SHA-256 of the candidate's bytes."""
        return self.key.model_digest

    @property
    def baseline_digest(self) -> str:
        """SHA-256 of the baseline's bytes."""
        return self.key.baseline_digest

    @property
    def hardware_id(self) -> str:
        """The digest of the machine that it was taken on."""
        return self.key.hardware_id

    @property
    def runtime(self) -> str:
        """The runtime and its version."""
        return self.key.runtime

    @property
    def threads(self) -> int:
        """Threads within an inference."""
        return self.key.threads

    @property
    def batch_size(self) -> int:
        """Samples per inference."""
        return self.key.batch_size

    @cached_property
    def latency_ms(self) -> float:
        """The candidate's median."""
        return _median(self.candidate_ms())

    @cached_property
    def baseline_ms(self) -> float:
        """The baseline's median in the same processes."""
        return _median(self._pooled("baseline"))

    @property
    def ratio(self) -> float:
        """Candidate over baseline; this is what candidates are ranked by."""
        return self._estimate.ratio

    @property
    def ratio_low(self) -> float:
        """The lower end of the ratio's 95% interval."""
        return self._estimate.low

    @property
    def ratio_high(self) -> float:
        """The upper end of the ratio's 95% interval."""
        return self._estimate.high

    @property
    def ratio_half_width(self) -> float:
        """Half the interval's width, relative to the ratio."""
        return self._estimate.half_width

    def at(self, speed: ReferenceSpeed | None) -> Measurement:
        """The same samples, looked at from another speed; None for the one that they were taken at."""
        return self if speed == self.speed else replace(self, speed=speed)

    @cached_property
    def percentiles_ms(self) -> dict[int, float]:
        """The candidate's percentiles over all processes, those that the number of samples allows."""
        samples = self.candidate_ms()
        found = {percent: percentile_ms(samples, percent) for percent in MINIMUM_SAMPLES}
        return {percent: value for percent, value in found.items() if value is not None}

    def candidate_ms(self) -> tuple[float, ...]:
        """The candidate's samples of all processes, on the clock used."""
        return self._pooled("candidate")

    def to_json(self) -> str:
        """One line of JSON."""
        values = {
            "format_version": FORMAT_VERSION,
            "key": asdict(self.key),
            "profile": self.profile,
            "grade": self.grade,
            "reason": self.reason,
            "remedy": self.remedy,
            "clock": self.clock,
            "spread_prior": asdict(self.spread_prior),
            "inference_s": self.inference_s,
            "overhead_s": self.overhead_s,
            "taken_at": self.taken_at,
            "processes": [process.to_dict() for process in self.processes],
        }
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``.

        Raises:
            MeasurementFormatError: not a measurement, or one of a newer format.
        """
        values = read_values(text)
        try:
            values["key"] = MeasurementKey.from_dict(values["key"])
            values["spread_prior"] = SpreadPrior(**values["spread_prior"])
            values["processes"] = tuple(ProcessSamples.from_dict(process) for process in values["processes"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"not a stored measurement: {type(error).__name__}: {error}; remove it from the log"
            raise MeasurementFormatError(msg) from error

    @cached_property
    def _estimate(self) -> RatioEstimate:
        return ratio_on(self.processes, self.clock, self.spread_prior, self.speed)

    def _pooled(self, model: str) -> tuple[float, ...]:
        def each() -> Iterator[float]:
            for process in self.processes:
                yield from (process.candidate if model == "candidate" else process.baseline).milliseconds(self.clock)

        return tuple(each())


def read_values(text: str) -> dict[str, Any]:
    """The values of a stored measurement, without its ``format_version``.

    Raises:
        MeasurementFormatError: not JSON, not an object, or of a newer format.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        msg = f"not a stored measurement: {error}; remove it from the log"
        raise MeasurementFormatError(msg) from error
    version = values.pop("format_version", None) if isinstance(values, dict) else None
    if not isinstance(version, int):
        msg = f"not a stored measurement: format_version is {version!r}; remove it from the log"
        raise MeasurementFormatError(msg)
    if version > FORMAT_VERSION:
        msg = f"measurement format_version {version}: this paretune reads up to {FORMAT_VERSION}; upgrade paretune"
        raise MeasurementFormatError(msg)
    return dict(values)


def _pairs(values: Sequence[Sequence[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((key, value) for key, value in values)


def _median(values: tuple[float, ...]) -> float:
    import numpy as np

    return float(np.median(values))
