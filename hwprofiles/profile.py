"""What a target is: how to reach it, what runs there, and which compression pays there."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, ValidationError, field_validator, model_validator

from hwprofiles.detect import Machine
from hwprofiles.engine import Engine
from hwprofiles.errors import ProfileError, first_problem
from hwprofiles.part import Part
from hwprofiles.probed import LayerShape, Probe, RunsAs
from hwprofiles.reach import LocalReach, Reach, SshReach
from hwprofiles.vocabulary import Int8Scheme, NumberFormat, SparsityPattern, WeightBlockSize, WeightOnlyCompute

FORMAT_VERSION = 1

_BY_BITS: Mapping[int, NumberFormat] = MappingProxyType({32: "fp32", 16: "fp16", 8: "int8", 4: "int4-weights"})


class Formats(Part):
    """The number formats that are worth searching on the target.

    ``offered`` lists them by name, FP32 always among them. ``int8`` takes the ranges of activations from calibration,
    ``int8-dynamic`` anew at every inference, and both are carried out in ``int8_scheme``: ``u8s8`` is unsigned 8-bit
    activations with signed 8-bit weights; ``u8s7`` is the same with weights reduced to 7 bits, for x86 without VNNI,
    whose 8-bit products can saturate; ``symmetric`` is ``s8s8`` with biases in float, as TensorRT wants them; ``auto``
    asks the machine.

    ``int8-weights`` and ``int4-weights`` leave activations in float; their weights share a scale in blocks of
    ``weight_block_size`` inputs. With ``weight_only_compute = "int8"`` the kernel may round blocks of activations to 8
    bits on the fly, without which these formats save bytes but no time on a processor.
    """

    offered: Annotated[tuple[NumberFormat, ...], Field(min_length=1)] = ("fp32", "int8")
    int8_scheme: Int8Scheme = "auto"
    weight_block_size: WeightBlockSize = 32
    weight_only_compute: WeightOnlyCompute = "float"

    @model_validator(mode="before")
    @classmethod
    def _read_bits(cls, table: Any) -> Any:
        """``weight_bits = [32, 8]``, as profiles had it before formats had names, reads as ``offered``."""
        if not isinstance(table, dict) or "weight_bits" not in table:
            return table
        if "offered" in table:
            msg = "weight_bits is the old name of offered; leave weight_bits out"
            raise ValueError(msg)
        bits = table["weight_bits"]
        if not isinstance(bits, list | tuple) or not all(isinstance(b, int) and b in _BY_BITS for b in bits):
            msg = f"weight_bits must be a list of {', '.join(map(str, _BY_BITS))}, got {bits!r}; better list offered"
            raise ValueError(msg)
        named = {"offered": tuple(dict.fromkeys(("fp32", *(_BY_BITS[b] for b in bits))))}
        return {key: value for key, value in table.items() if key != "weight_bits"} | named

    @field_validator("offered")
    @classmethod
    def _formats_are_distinct(cls, offered: tuple[NumberFormat, ...]) -> tuple[NumberFormat, ...]:
        """In the order of `NumberFormat`, so that the same choice is the same profile however it was written."""
        if len(set(offered)) != len(offered) or "fp32" not in offered:
            msg = "list distinct formats, fp32 among them"
            raise ValueError(msg)
        return tuple(name for name in get_args(NumberFormat) if name in offered)

    @property
    def weight_bits(self) -> tuple[int, ...]:
        """The distinct weight bitwidths among the formats offered, the widest first."""
        bits = {"fp32": 32, "fp16": 16, "int4-weights": 4}
        return tuple(sorted({bits.get(name, 8) for name in self.offered}, reverse=True))


class Sparsity(Part):
    """The zeros that pay: ``patterns``, and the multiple that channel counts should keep.

    ``channels`` are taken out of the graph, which pays everywhere; ``2:4`` and ``unstructured`` zeros pay where
    kernels skip them, or where bytes count.
    """

    patterns: tuple[SparsityPattern, ...] = ()
    channel_multiple: Annotated[int, Field(ge=1)]

    @field_validator("patterns")
    @classmethod
    def _patterns_are_distinct(cls, patterns: tuple[SparsityPattern, ...]) -> tuple[SparsityPattern, ...]:
        if len(set(patterns)) != len(patterns):
            msg = "list each pattern once"
            raise ValueError(msg)
        return patterns


class HardwareProfile(Part):
    """One target device.

    ``requires`` names what makes a machine this target: its architecture, instruction sets as Linux spells them, or
    parts of the board's, processor's or accelerator's name.
    ``probed`` says that the formats were measured on the device, not taken from documents (``sources``).
    ``price_per_hour_usd`` and ``power_sensor`` are None where unknown; nothing is estimated from them then. ``probe``
    is what was measured, layer by layer.
    """

    format_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: Annotated[str, Field(min_length=1)]
    sources: tuple[str, ...] = ()
    requires: tuple[Annotated[str, Field(min_length=1)], ...] = ()
    probed: bool = False
    reach: Reach = LocalReach()
    engine: Engine = Engine()
    formats: Formats = Formats()
    sparsity: Sparsity
    price_per_hour_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    power_sensor: Annotated[str, Field(min_length=1)] | None = None
    probe: Probe | None = None

    @property
    def runs_as(self) -> RunsAs:
        """What a row of a probe must have been run with to speak for this profile."""
        return RunsAs(
            batch_size=self.engine.batch_size,
            threads=self.engine.threads,
            scheme=self.formats.int8_scheme,
            compute=self.formats.weight_only_compute,
            block_size=self.formats.weight_block_size,
        )

    def cannot_pay(self, layer: LayerShape) -> frozenset[NumberFormat]:
        """The number formats that the probe found slower than FP32 for such a layer, as this profile would run them.

        Empty where nothing was probed, or under other settings: another number of threads, another batch size.
        """
        return frozenset() if self.probe is None else self.probe.cannot_pay(layer, self.runs_as)

    def probed_speedups(self, layer: LayerShape, number_format: NumberFormat) -> tuple[float, ...]:
        """How many times as fast as FP32 such layers were in a format, as this profile would run it."""
        rows = () if self.probe is None else self.probe.rows_like(layer, self.runs_as)
        return tuple(row.speedup for row in rows if row.format == number_format and row.speedup is not None)

    def missing_on(self, machine: Machine) -> tuple[str, ...]:
        """Those of ``requires`` that ``machine`` has not; none on the target itself."""
        names = " ".join(part for part in (machine.cpu, machine.accelerator) if part).lower()
        exact = {machine.architecture, *machine.flags}
        return tuple(word for word in self.requires if word not in exact and word.lower() not in names)

    @property
    def is_this_host(self) -> bool:
        """Whether the target is this machine's own ONNX Runtime on its processor."""
        return self.reach.transport == "local" and self.engine.provider == "CPUExecutionProvider"

    def with_engine(
        self,
        *,
        threads: int | None = None,
        affinity: tuple[int, ...] | None = None,
        batch_size: int | None = None,
        spinning: bool | None = None,
    ) -> Self:
        """The same target with other engine settings; None keeps the profile's own.

        Raises:
            ProfileError: a setting is out of range.
        """
        asked = {"threads": threads, "affinity": affinity, "batch_size": batch_size, "spinning": spinning}
        changes: dict[str, Any] = {key: value for key, value in asked.items() if value is not None}
        try:
            engine = Engine.model_validate({**self.engine.model_dump(), **changes})
        except ValidationError as error:
            msg = f"profile '{self.name}', engine override {first_problem(error, Engine)}"
            raise ProfileError(msg) from error
        return self.model_copy(update={"engine": engine})

    def with_host(self, destination: str) -> Self:
        """The same target at ``[USER@]HOST[:PORT]``.

        Raises:
            ProfileError: the destination is malformed, or the target is not reached over SSH.
        """
        if not isinstance(self.reach, SshReach):
            msg = f"profile '{self.name}' is reached by transport = '{self.reach.transport}'; --host goes with 'ssh'"
            raise ProfileError(msg)
        return self.model_copy(update={"reach": self.reach.at(destination)})

    def with_int8_scheme(self, scheme: Literal["u8s8", "u8s7", "s8s8", "symmetric", "none"]) -> Self:
        """The same target with its 8-bit scheme decided; ``none`` takes out the formats that compute in integers."""
        integer = ("int8", "int8-dynamic")
        offered = tuple(name for name in self.formats.offered if scheme != "none" or name not in integer)
        formats = self.formats.model_copy(update={"int8_scheme": scheme, "offered": offered})
        return self.model_copy(update={"formats": formats})
