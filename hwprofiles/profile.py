"""What a target is: how to reach it, what runs there, and which compression pays there."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from hwprofiles.errors import ProfileError, first_problem

FORMAT_VERSION = 1

Int8Scheme = Literal["auto", "u8s8", "u8s7", "s8s8", "none"]
WeightBits = Literal[32, 16, 8, 4]
SparsityPattern = Literal["channel", "2:4"]
Core = Annotated[int, Field(ge=0)]


class _Part(BaseModel):
    """A frozen piece of a profile that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Reach(_Part):
    """How the worker is started on the target. ``local`` is this machine."""

    transport: Literal["local"] = "local"


class Engine(_Part):
    """The runtime that is timed, and the settings that its users will run it with.

    ``affinity`` pins the worker to these logical cores; None leaves it to the operating system. ``spinning`` lets
    idle runtime threads burn their core while they wait, which is ONNX Runtime's own default.
    """

    name: Literal["onnxruntime"] = "onnxruntime"
    provider: Annotated[str, Field(min_length=1)] = "CPUExecutionProvider"
    threads: Annotated[int, Field(ge=1)] = 1
    affinity: tuple[Core, ...] | None = None
    spinning: bool = True
    batch_size: Annotated[int, Field(ge=1)] = 1

    @field_validator("affinity")
    @classmethod
    def _cores_are_distinct(cls, affinity: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if affinity is not None and (not affinity or len(set(affinity)) != len(affinity)):
            msg = "list distinct logical cores, or leave affinity out"
            raise ValueError(msg)
        return affinity


class Formats(_Part):
    """The number formats that are worth searching on the target.

    ``u8s8`` is unsigned 8-bit activations with signed 8-bit weights; ``u8s7`` is the same with weights reduced to
    7 bits, for x86 without VNNI, whose 8-bit products can saturate; ``auto`` asks the machine.
    """

    int8_scheme: Int8Scheme = "auto"
    weight_bits: Annotated[tuple[WeightBits, ...], Field(min_length=1)] = (32, 8)


class Sparsity(_Part):
    """The zeros that pay: ``patterns`` that kernels skip, and the multiple that channel counts should keep."""

    patterns: tuple[SparsityPattern, ...] = ()
    channel_multiple: Annotated[int, Field(ge=1)]


class HardwareProfile(_Part):
    """One target device.

    ``probed`` says that the formats were measured on the device, not taken from documents (``sources``).
    ``price_per_hour_usd`` and ``power_sensor`` are None where unknown; nothing is estimated from them then.
    """

    format_version: Literal[1] = 1
    name: Annotated[str, Field(min_length=1, pattern=r"^[a-z0-9][a-z0-9-]*$")]
    summary: Annotated[str, Field(min_length=1)]
    sources: tuple[str, ...] = ()
    probed: bool = False
    reach: Reach = Reach()
    engine: Engine = Engine()
    formats: Formats = Formats()
    sparsity: Sparsity
    price_per_hour_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    power_sensor: Annotated[str, Field(min_length=1)] | None = None

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

    def with_int8_scheme(self, scheme: Literal["u8s8", "u8s7", "s8s8", "none"]) -> Self:
        """The same target with its 8-bit scheme decided; ``none`` also takes 8 out of the bits that pay."""
        bits = tuple(bits for bits in self.formats.weight_bits if bits != 8 or scheme != "none")
        formats = Formats(int8_scheme=scheme, weight_bits=bits or (32,))
        return self.model_copy(update={"formats": formats})
