"""What a probe measured on a target, layer by layer."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import Field, field_validator, model_validator

from hwprofiles.part import Part
from hwprofiles.vocabulary import DecidedScheme, NumberFormat, WeightBlockSize, WeightOnlyCompute

Count = Annotated[int, Field(ge=1)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Word = Annotated[str, Field(min_length=1)]
Verdict = Literal["pays", "cannot pay", "undecided", "refused"]

_SIMILAR = 2.0  # layers whose multiply-adds and weights differ by no more than this factor are judged alike


class LayerShape(Part):
    """What decides how fast a layer runs: its operator, its weight's shape, and its work for one sample.

    ``weight_shape`` is (out, in/groups, *kernel) for Conv, (in, out) for Gemm and MatMul. ``macs`` are multiply-adds
    per sample; 0 where they are not known.
    """

    operator: Literal["Conv", "Gemm", "MatMul"]
    weight_shape: Annotated[tuple[Count, ...], Field(min_length=2)]
    groups: Count = 1
    macs: Annotated[int, Field(ge=0)] = 0

    @property
    def kernel(self) -> tuple[int, ...]:
        """The kernel's size; empty for matrix products."""
        return self.weight_shape[2:] if self.operator == "Conv" else ()

    @property
    def weight_count(self) -> int:
        """Number of weights."""
        return math.prod(self.weight_shape)

    @property
    def grouping(self) -> Literal["dense", "grouped", "depthwise"]:
        """How the input's channels are shared out."""
        if self.groups == 1:
            return "dense"
        return "depthwise" if self.operator == "Conv" and self.weight_shape[1] == 1 else "grouped"

    @property
    def kind(self) -> str:
        """``Conv 3×3``, ``depthwise Conv 3×3``, ``MatMul``."""
        prefix = "" if self.grouping == "dense" else f"{self.grouping} "
        kernel = f" {'×'.join(map(str, self.kernel))}" if self.kernel else ""
        return f"{prefix}{self.operator}{kernel}"

    def is_like(self, other: LayerShape) -> bool:
        """Whether what was measured on ``other`` holds here: the same kind of layer, about as large."""
        return (
            (self.operator, self.kernel, self.grouping) == (other.operator, other.kernel, other.grouping)
            and _similar(self.macs, other.macs)
            and _similar(self.weight_count, other.weight_count)
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class RunsAs:
    """How a profile runs its formats: what must be the same for a row to speak for it."""

    batch_size: int
    threads: int
    scheme: str
    compute: str
    block_size: int


class ProbedChoice(LayerShape):
    """A layer and what was made of it.

    ``scheme`` goes with the formats that compute in integers, ``weight_only_compute`` and ``weight_block_size`` with
    the weight-only ones. At most one of the rest is given: ``width`` is a number of channels that the layer was
    narrowed to; ``rank`` that of two factors in its place; ``sparsity`` a pattern of zeros. ``mixed`` says that only
    every second layer of the chain was in the format, the others in FP32. ``chain`` layers of this shape, one behind
    the other, were timed together.
    """

    batch_size: Count
    format: NumberFormat
    scheme: DecidedScheme | None = None
    weight_only_compute: WeightOnlyCompute | None = None
    weight_block_size: WeightBlockSize | None = None
    width: Count | None = None
    rank: Count | None = None
    sparsity: Literal["2:4"] | None = None
    mixed: bool = False
    chain: Count = 1

    @model_validator(mode="after")
    def _goes_together(self) -> Self:
        integer, weight_only = self.format in ("int8", "int8-dynamic"), self.format.endswith("-weights")
        if integer != (self.scheme is not None):
            msg = f"scheme goes with int8 and int8-dynamic, and only with them; format is {self.format}"
            raise ValueError(msg)
        if weight_only != (self.weight_only_compute is not None) or weight_only != (self.weight_block_size is not None):
            msg = f"weight_only_compute and weight_block_size go with weight-only formats; format is {self.format}"
            raise ValueError(msg)
        if sum((self.width is not None, self.rank is not None, self.sparsity is not None, self.mixed)) > 1:
            msg = "give at most one of width, rank, sparsity and mixed"
            raise ValueError(msg)
        return self

    @property
    def is_plain(self) -> bool:
        """Whether the whole layer is in the format and nothing else was done to it."""
        return self.width is None and self.rank is None and self.sparsity is None and not self.mixed

    def runs_as(self, runs: RunsAs) -> bool:
        """Whether a profile with these settings would run the format in this way."""
        return (
            self.scheme in (None, runs.scheme)
            and self.weight_only_compute in (None, runs.compute)
            and self.weight_block_size in (None, runs.block_size)
        )


class ProbedLayer(ProbedChoice):
    """One row of a probe: how long the choice takes relative to FP32, with a 95% interval, or why it does not run.

    ``fp32_ms`` is FP32's median for one layer of the chain that was timed; ``kernels`` are those that ran the choice,
    where that can be told, and ``instead`` says what the runtime did where that was something else. A search refuses
    such a candidate, so it never pays.
    """

    ratio: Positive | None = None
    low: Positive | None = None
    high: Positive | None = None
    grade: Literal["clean", "contended", "unreliable"] | None = None
    fp32_ms: Positive | None = None
    kernels: tuple[Word, ...] = ()
    instead: Word | None = None
    refused: Word | None = None

    @model_validator(mode="after")
    def _is_measured_or_refused(self) -> Self:
        figures = (self.ratio, self.low, self.high, self.grade, self.fp32_ms)
        given = [figure is not None for figure in figures]
        if self.refused is not None and any(given):
            msg = "a choice that was refused has no figures"
            raise ValueError(msg)
        if self.refused is None and not all(given):
            msg = "ratio, low, high, grade and fp32_ms go together; give all of them, or refused"
            raise ValueError(msg)
        if self.ratio is not None and not (self.low or 0) <= self.ratio <= (self.high or 0):
            msg = f"low <= ratio <= high must hold, got {self.low}, {self.ratio}, {self.high}"
            raise ValueError(msg)
        return self

    @property
    def choice(self) -> ProbedChoice:
        """What was measured, without the figures."""
        return ProbedChoice.model_validate({name: getattr(self, name) for name in ProbedChoice.model_fields})

    @property
    def verdict(self) -> Verdict:
        """Whether it is faster than FP32, beyond its interval."""
        if self.refused is not None or self.low is None or self.high is None:
            return "refused"
        if self.grade == "unreliable":
            return "undecided"
        if self.high < 1.0:
            return "pays" if self.instead is None else "undecided"
        return "cannot pay" if self.low > 1.0 else "undecided"

    @property
    def speedup(self) -> float | None:
        """FP32's time over the choice's; None where it does not run."""
        return None if self.ratio is None else 1.0 / self.ratio


class Probe(Part):
    """What was measured, when, where and on which layers.

    ``subject`` names the network that the shapes are from. ``complete`` says that time was left for all of them.
    ``notes`` say in words what follows from the rows.
    """

    taken_on: dt.date
    runtime: Word
    hardware_id: Word
    threads: Count
    subject: Word
    complete: bool
    notes: tuple[str, ...] = ()
    layers: tuple[ProbedLayer, ...] = ()

    @field_validator("layers")
    @classmethod
    def _rows_are_distinct(cls, layers: tuple[ProbedLayer, ...]) -> tuple[ProbedLayer, ...]:
        choices = [row.choice for row in layers]
        if len(set(choices)) != len(choices):
            twice = next(choice for choice in choices if choices.count(choice) > 1)
            msg = f"list each choice once; {twice.kind} {twice.weight_shape} in {twice.format} stands there twice"
            raise ValueError(msg)
        return layers

    def cannot_pay(self, layer: LayerShape, runs: RunsAs) -> frozenset[NumberFormat]:
        """The formats in which every layer like this one was slower than FP32, beyond its interval.

        The layer itself decides where it was probed; else all that are like it have to agree. A layer that gives its
        neighbours integers or halves (all but MatMul in 8 bits) spares them conversions, so being slower itself is not
        enough: the chain in which every second layer stays in FP32 must be the faster one, its conversions included.
        """
        verdicts: dict[NumberFormat, list[bool]] = {}
        for row in self.rows_like(layer, runs):
            verdicts.setdefault(row.format, []).append(self._is_hopeless(row))
        return frozenset(name for name, hopeless in verdicts.items() if all(hopeless))

    def rows_like(self, layer: LayerShape, runs: RunsAs) -> tuple[ProbedLayer, ...]:
        """The measured rows that speak for a layer: its own, or those of all layers like it."""
        if runs.threads != self.threads:
            return ()
        alike = [row for row in self.layers if row.batch_size == runs.batch_size and layer.is_like(row)]
        alike = [row for row in alike if _same(row, layer)] or alike
        return tuple(row for row in alike if row.is_plain and row.verdict != "refused" and row.runs_as(runs))

    def _is_hopeless(self, row: ProbedLayer) -> bool:
        spares_conversions = row.format == "fp16" or (row.format == "int8" and row.operator != "MatMul")
        if row.verdict != "cannot pay" or not spares_conversions:
            return row.verdict == "cannot pay"
        wanted = row.choice.model_copy(update={"mixed": True})
        mixed = next((other for other in self.layers if other.mixed and other.choice == wanted), None)
        return mixed is not None and is_faster(mixed, row)


def is_faster(first: ProbedLayer, second: ProbedLayer) -> bool:
    """Whether ``first`` takes less of FP32's time than ``second``, beyond both intervals; both have one baseline."""
    if "unreliable" in (first.grade, second.grade) or first.high is None or second.low is None:
        return False
    return first.high < second.low


def _similar(first: int, second: int) -> bool:
    """Within a factor of two; unknown work (0) is like nothing else."""
    return first > 0 and second > 0 and max(first, second) <= _SIMILAR * min(first, second)


def _same(first: LayerShape, second: LayerShape) -> bool:
    fields = ("operator", "weight_shape", "groups", "macs")
    return all(getattr(first, name) == getattr(second, name) for name in fields)
