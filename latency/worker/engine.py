"""What every engine can do. One engine object is one loaded model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np


class EngineError(Exception):
    """The engine cannot do what was asked. ``kind`` is one word for the reason."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


def complete(settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of ``Engine.load``, with the defaults of those that may be left out."""
    optional = {"device": 0, "options": {}, "timing_cache": None, "built": None, "sparse_weights": False}
    return {**optional, **settings}


def check_provider(provider: str, settings: Mapping[str, Any]) -> None:
    """Raises EngineError unless the settings ask for the provider that an engine has."""
    if settings["provider"] != provider:
        msg = f"asked for {settings['provider']}, got {provider}; correct the profile's provider"
        raise EngineError(msg, kind="provider")


def check_names(names: list[str], inputs: Mapping[str, Any]) -> None:
    """Raises EngineError unless ``inputs`` has exactly the model's input names."""
    if sorted(inputs) != sorted(names):
        msg = f"the model's inputs are {sorted(names)}, got {sorted(inputs)}; pass these inputs by name"
        raise EngineError(msg, kind="inputs")


class Engine(Protocol):
    """A runtime that can be timed."""

    @classmethod
    def version(cls) -> str:
        """The runtime and its version, such as ``onnxruntime 1.32.0``; importing the runtime happens here."""
        ...

    @classmethod
    def accelerator(cls, device: int) -> str | None:
        """The name, and the driver's version, of the GPU ``device`` that it would run on; None on a processor.

        Raises:
            EngineError: there is none.
        """
        ...

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Makes the model ready to run.

        Settings are ``provider``, ``threads``, ``spinning``, ``session_entries``; and, where they are not left out,
        ``device`` (a GPU's number), ``options`` (the provider's own), ``timing_cache`` (a file that builders read and
        write), ``built`` (a file for what a builder makes of this model: taken from there if it exists, so that all
        workers time the same) and ``sparse_weights`` (whether a builder looks for 2:4 patterns). An engine that
        builds for the shapes of its inputs does so in ``bind``, which may then raise what this may.

        Raises:
            EngineError: the model or the settings are refused, or another provider than asked for would run it.
        """
        ...

    def bind(self, inputs: Mapping[str, np.ndarray]) -> None:
        """Sets the inputs that ``time`` runs with: input name to array.

        Raises:
            EngineError: the names are not the model's.
        """
        ...

    def time(self, count: int) -> list[list[int | None]]:
        """Runs ``count`` inferences on the bound inputs.

        Returns one ``[wall_ns, thread_cpu_ns, involuntary context switches]`` for each; None where the system
        does not tell, or where it says nothing of the inference: processor time of what runs on a GPU.
        """
        ...

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference: output name to array."""
        ...

    def describe(self) -> dict[str, Any]:
        """What really runs: runtime, provider, inputs and outputs.

        For a GPU also ``transfers_ms``: of the bound inputs to it and of the outputs back, which ``time`` leaves out.
        """
        ...

    def layers(self, count: int) -> list[dict[str, Any]]:
        """Time and kernel of each layer over ``count`` inferences on the bound inputs, in the order they run.

        Rows have ``name``, ``operator``, ``kernel`` (what really runs it), ``median_ns`` of one inference and
        ``calls`` in an inference.

        Raises:
            EngineError: no inputs are bound.
        """
        ...

    def artifact(self) -> tuple[bytes, dict[str, Any]] | None:
        """What the runtime built of the model, if that is what runs (a TensorRT engine), and what it is for.

        Facts are ``kind``, ``runtime`` and ``accelerator``. None where the model's own bytes are what runs.
        """
        ...

    def close(self) -> None:
        """Frees the model. Closing twice is harmless."""
        ...
