"""What a probe is given to measure: groups of choices, each with its baseline and whoever builds the candidates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from hwprofiles import LayerShape, ProbedChoice


class ChoiceRefused(Exception):  # noqa: N818  # an answer, not a fault
    """A choice that cannot be built, or that would not run as what it is called; the message is the reason."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    """A candidate as it is timed: ONNX bytes and the session entries that they need.

    ``kernels`` are those that run its layers, where that can be told; ``instead`` says what the runtime does where
    that is not what the choice says.
    """

    onnx_bytes: bytes
    session_entries: Mapping[str, str] = field(default_factory=dict)
    kernels: tuple[str, ...] = ()
    instead: str = ""


class Bench(Protocol):
    """A baseline in FP32, the inputs that it is timed on, and who builds what is compared with it."""

    @property
    def baseline(self) -> bytes:
        """ONNX bytes."""
        ...

    @property
    def feeds(self) -> Mapping[str, NDArray[Any]]:
        """Input name to array, first axis the group's batch size."""
        ...

    def build(self, choice: ProbedChoice) -> Built:
        """The candidate; the same choice gives the same bytes, so that a later session finds its measurement.

        Raises:
            ChoiceRefused: it cannot be built.
        """
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeGroup:
    """Choices that share a baseline, hence the workers.

    ``set_up`` makes the bench when the group's turn comes; it may raise ChoiceRefused for all of them.
    """

    shape: LayerShape
    batch_size: int
    choices: tuple[ProbedChoice, ...]
    set_up: Callable[[], Bench]

    def __post_init__(self) -> None:
        if not self.choices:
            raise ValueError("a group needs at least one choice to measure, got none")
        wrong = {choice.batch_size for choice in self.choices} - {self.batch_size}
        if wrong:
            msg = f"the choices of a group have its batch size {self.batch_size}, got {sorted(wrong)}"
            raise ValueError(msg)
