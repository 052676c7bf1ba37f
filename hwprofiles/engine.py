"""The runtime that is timed on a target, and its settings."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from hwprofiles.part import Part

EngineName = Literal["onnxruntime", "onnxruntime-cuda", "onnxruntime-tensorrt", "tensorrt", "tensorrt-rtx"]
Core = Annotated[int, Field(ge=0)]
Word = Annotated[str, Field(min_length=1)]

PROVIDERS: Mapping[str, str] = MappingProxyType(
    {
        "onnxruntime": "CPUExecutionProvider",
        "onnxruntime-cuda": "CUDAExecutionProvider",
        "onnxruntime-tensorrt": "TensorrtExecutionProvider",
        "tensorrt": "TensorRT",
        "tensorrt-rtx": "TensorRT-RTX",
    }
)
"""What runs the network, by the engine's name."""


class Engine(Part):
    """The runtime that is timed, and the settings that its users will run it with.

    ``provider`` is ONNX Runtime's; what runs on a GPU has an engine of its own, which times with CUDA events.
    ``affinity`` pins the worker to these logical cores; None leaves it to the operating system. ``spinning`` lets
    idle runtime threads burn their core while they wait, which is ONNX Runtime's own default. ``device`` is the GPU's
    number, and ``options`` are the provider's own options by name.
    """

    name: EngineName = "onnxruntime"
    provider: Word = "CPUExecutionProvider"
    threads: Annotated[int, Field(ge=1)] = 1
    affinity: tuple[Core, ...] | None = None
    spinning: bool = True
    batch_size: Annotated[int, Field(ge=1)] = 1
    device: Annotated[int, Field(ge=0)] = 0
    options: tuple[tuple[Word, str], ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _decide_provider(cls, table: Any) -> Any:
        """The provider that the engine's name stands for, unless another is named; options from a TOML table."""
        if not isinstance(table, dict):
            return table
        table = dict(table)
        if "provider" not in table and table.get("name") in PROVIDERS:
            table["provider"] = PROVIDERS[table["name"]]
        if isinstance(table.get("options"), dict):
            table["options"] = tuple(sorted((key, _text(value)) for key, value in table["options"].items()))
        return table

    @model_validator(mode="after")
    def _fits_its_provider(self) -> Engine:
        by_provider = {provider: name for name, provider in PROVIDERS.items()}
        wanted = by_provider.get(self.provider, "onnxruntime")
        if self.name != wanted:
            msg = f"provider '{self.provider}' is run by the engine name = '{wanted}', got '{self.name}'"
            raise ValueError(msg)
        return self

    @field_validator("affinity")
    @classmethod
    def _cores_are_distinct(cls, affinity: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if affinity is not None and (not affinity or len(set(affinity)) != len(affinity)):
            msg = "list distinct logical cores, or leave affinity out"
            raise ValueError(msg)
        return affinity

    @property
    def builds(self) -> bool:
        """Whether the runtime builds an engine of the model on the target, which is then what runs."""
        return "tensorrt" in self.name

    @property
    def runs_on_gpu(self) -> bool:
        """Whether the network runs on a GPU: processor time then says nothing of it."""
        return self.name != "onnxruntime"


def _text(value: object) -> str:
    """A TOML value as the runtimes' option strings."""
    return str(int(value)) if isinstance(value, bool) else str(value)
