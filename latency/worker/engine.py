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


class Engine(Protocol):
    """A runtime that can be timed."""

    @classmethod
    def version(cls) -> str:
        """The runtime and its version, such as ``onnxruntime 1.32.0``; importing the runtime happens here."""
        ...

    def load(self, model_bytes: bytes, settings: Mapping[str, Any]) -> None:
        """Makes the model ready to run.

        Settings are ``provider``, ``threads``, ``spinning`` and ``session_entries``.

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
        does not tell.
        """
        ...

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference: output name to array."""
        ...

    def describe(self) -> dict[str, Any]:
        """What really runs: provider, inputs, outputs."""
        ...

    def close(self) -> None:
        """Frees the model. Closing twice is harmless."""
        ...
