"""What an operator is called with."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

from compress.recovery.errors import UntrainableError

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, eq=False)
class Call:
    """One operator's inputs and attributes.

    Attributes:
        name: The operator's name, for messages.
        op_type: Its type.
        inputs: Its inputs; None where an optional one is left out.
        attributes: Its attributes by name.
    """

    name: str
    op_type: str
    inputs: Sequence[torch.Tensor | None]
    attributes: Mapping[str, Any]

    def __getitem__(self, index: int) -> torch.Tensor:
        """A mandatory input."""
        value = self.optional(index)
        if value is None:
            raise self.refused(f"it lacks input {index}")
        return value

    def optional(self, index: int) -> torch.Tensor | None:
        """An input that may be left out."""
        return self.inputs[index] if index < len(self.inputs) else None

    def attribute(self, name: str, default: T) -> T:
        """An attribute's value, or what stands for it."""
        found: T = self.attributes.get(name, default)
        return found

    def integers(self, index: int, name: str) -> list[int] | None:
        """Whole numbers that newer operator sets take as an input and older ones as an attribute."""
        value = self.optional(index)
        if value is not None:
            return [int(number) for number in value.reshape(-1).tolist()]
        found = self.attributes.get(name)
        return None if found is None else [int(number) for number in found]

    def refused(self, reason: str) -> UntrainableError:
        """Why this call cannot be carried out."""
        return UntrainableError(f"operator {self.name!r} ({self.op_type}) has no form in torch that we know: {reason}")


Operator = Callable[[Call], "torch.Tensor | tuple[torch.Tensor, ...]"]
