"""What can go wrong with a measurement, by what a caller does about it."""

from __future__ import annotations


class WorkerError(Exception):
    """A worker died, hung or no longer speaks the protocol. Another worker may succeed."""


class OperationError(Exception):
    """A living worker refused an operation. Asking again will not help. ``kind`` is one word for the reason."""

    def __init__(self, message: str, *, kind: str) -> None:
        super().__init__(message)
        self.kind = kind


class MeasurementError(Exception):
    """A model that could not be measured. It costs one trial; the next model can be measured."""


class TargetError(Exception):
    """The target itself does not work, for whatever model: no room for files, no way to start a worker."""


class MeasurementFormatError(ValueError):
    """A stored measurement that cannot be read."""
