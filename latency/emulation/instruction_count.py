"""The cost of a network where it is emulated: instructions of one inference. It is no latency and becomes none."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from statistics import fmean, median
from typing import TYPE_CHECKING, Any, Literal, Self

from latency.errors import MeasurementFormatError
from latency.measurement import MeasurementKey

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT_VERSION = 1
KIND = "instruction count"

RESOLUTION = 0.003
"""How far apart counts of one model can lie (relative), by what was loaded before it; small models are the worst."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassCounts:
    """Executed guest instructions: ``total``, and of these the classes that compressed networks are told apart by.

    ``dot`` and ``i8mm`` are 8-bit dot and matrix products, ``mlal`` widening integer multiply-adds, ``bf16``
    products of bfloat16, ``fmla32`` and ``fmla16`` fused multiply-adds on vectors of floats; ``sve`` and ``sme``
    whatever belongs to these extensions; ``load_store_simd`` loads and stores of vector registers, ``load_store`` all
    others.
    """

    total: int
    dot: int
    i8mm: int
    bf16: int
    fmla32: int
    fmla16: int
    mlal: int
    sve: int
    sme: int
    load_store_simd: int
    load_store: int

    def __post_init__(self) -> None:
        values = asdict(self)
        wrong = [f"{name} {value!r}" for name, value in values.items() if not isinstance(value, int) or value < 0]
        if wrong or not 0 < self.total >= sum(values.values()) - self.total:
            msg = f"instructions are whole numbers, their classes add up to at most total > 0; got {values}"
            raise ValueError(msg)


CLASSES: tuple[str, ...] = tuple(field.name for field in fields(ClassCounts))
"""The names of all classes, ``total`` first; the plugin writes its counts under the same names."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProcessCounts:
    """Single inferences of the candidate and of the baseline in one process."""

    candidate: tuple[ClassCounts, ...]
    baseline: tuple[ClassCounts, ...]

    def __post_init__(self) -> None:
        if not self.candidate or not self.baseline:
            raise ValueError("a process must have counted the candidate and the baseline at least once")

    def candidate_median(self, name: str = "total") -> float:
        """Instructions of the candidate's middle inference: now and then one is not like the others."""
        return float(median(getattr(counts, name) for counts in self.candidate))

    def baseline_median(self, name: str = "total") -> float:
        """Instructions of the baseline's middle inference."""
        return float(median(getattr(counts, name) for counts in self.baseline))


@dataclass(frozen=True, kw_only=True)
class InstructionCount:
    """How many instructions an inference takes, beside the FP32 baseline's, on an emulated processor.

    Counting is all but deterministic, so the interval of ``ratio`` is the whole range that the processes span, widened
    by ``RESOLUTION`` for what they have in common; it is no confidence interval. An instruction is not a nanosecond:
    how many are done at once, and how long memory takes, no emulator says. Hence nothing here is a time, nor can one be
    had from it.

    Attributes:
        key: What it is found by; its runtime names emulator and root too.
        profile: The target's name.
        cpu: The emulated processor, as qemu names it.
        runtime: The runtime and its version.
        emulator: The emulator and its version.
        processes: What was counted.
        taken_at: ISO 8601 with a time zone.
    """

    key: MeasurementKey
    profile: str
    cpu: str
    runtime: str
    emulator: str
    processes: tuple[ProcessCounts, ...]
    taken_at: str

    def __post_init__(self) -> None:
        if len(self.processes) < 2:
            msg = f"an instruction count needs at least 2 processes to know its spread, got {len(self.processes)}"
            raise ValueError(msg)

    @property
    def grade(self) -> Literal["emulated"]:
        """What figures of this type are graded: they rank among themselves, never among latencies."""
        return "emulated"

    @property
    def reason(self) -> str:
        """The grade in words."""
        return f"instructions on an emulated {self.cpu} ({self.emulator}); they say nothing certain about time"

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
        """The digest of the emulated machine."""
        return self.key.hardware_id

    @property
    def threads(self) -> int:
        """Threads within an inference: what is counted is the calling thread's work."""
        return self.key.threads

    @property
    def batch_size(self) -> int:
        """Samples per inference."""
        return self.key.batch_size

    @property
    def candidate_instructions(self) -> float:
        """Instructions of one inference of the candidate, the mean over the processes."""
        return self.candidate_by_class["total"]

    @property
    def baseline_instructions(self) -> float:
        """Instructions of one inference of the baseline, the mean over the processes."""
        return self.baseline_by_class["total"]

    @cached_property
    def candidate_by_class(self) -> Mapping[str, float]:
        """Instructions of one inference of the candidate by class (``CLASSES``)."""
        return {name: fmean(process.candidate_median(name) for process in self.processes) for name in CLASSES}

    @cached_property
    def baseline_by_class(self) -> Mapping[str, float]:
        """Instructions of one inference of the baseline by class (``CLASSES``)."""
        return {name: fmean(process.baseline_median(name) for process in self.processes) for name in CLASSES}

    @property
    def ratio(self) -> float:
        """Candidate over baseline; this is what candidates are ranked by."""
        return self.candidate_instructions / self.baseline_instructions

    @property
    def ratio_low(self) -> float:
        """The lower end of the interval: the candidate's lowest process over the baseline's highest."""
        lowest = min(process.candidate_median() for process in self.processes)
        return (1 - RESOLUTION) * lowest / max(process.baseline_median() for process in self.processes)

    @property
    def ratio_high(self) -> float:
        """The upper end of the interval: the candidate's highest process over the baseline's lowest."""
        highest = max(process.candidate_median() for process in self.processes)
        return (1 + RESOLUTION) * highest / min(process.baseline_median() for process in self.processes)

    @property
    def ratio_half_width(self) -> float:
        """Half the interval's width, relative to the ratio."""
        return (self.ratio_high - self.ratio_low) / (2 * self.ratio)

    def to_json(self) -> str:
        """One line of JSON."""
        return json.dumps({"format_version": FORMAT_VERSION, "kind": KIND, **asdict(self)}, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The inverse of ``to_json``.

        Raises:
            MeasurementFormatError: no instruction count, or one of a newer format.
        """
        values = read_values(text)
        try:
            values["key"] = MeasurementKey.from_dict(values["key"])
            values["processes"] = tuple(_process(each) for each in values["processes"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            msg = f"not a stored instruction count: {type(error).__name__}: {error}; remove it from the log"
            raise MeasurementFormatError(msg) from error


def read_values(text: str) -> dict[str, Any]:
    """The values of a stored instruction count, without its ``format_version`` and ``kind``.

    Raises:
        MeasurementFormatError: not JSON, something else, or of a newer format.
    """
    try:
        values = json.loads(text)
    except ValueError as error:
        msg = f"not a stored instruction count: {error}; remove it from the log"
        raise MeasurementFormatError(msg) from error
    if not isinstance(values, dict) or values.pop("kind", None) != KIND:
        msg = f"not a stored instruction count: its kind is not {KIND!r}; remove it from the log"
        raise MeasurementFormatError(msg)
    version = values.pop("format_version", None)
    if not isinstance(version, int):
        msg = f"not a stored instruction count: format_version is {version!r}; remove it from the log"
        raise MeasurementFormatError(msg)
    if version > FORMAT_VERSION:
        msg = f"instruction count of format_version {version}: this paretune reads up to {FORMAT_VERSION}; upgrade it"
        raise MeasurementFormatError(msg)
    return values


def _process(values: dict[str, Any]) -> ProcessCounts:
    counts = {model: tuple(ClassCounts(**each) for each in values[model]) for model in ("candidate", "baseline")}
    return ProcessCounts(**counts)
