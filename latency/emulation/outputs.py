"""Whether a network answers on an emulated processor as it does on this machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hwprofiles import LocalReach
from latency.target import Target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile


@dataclass(frozen=True, kw_only=True)
class OutputDifference:
    """How far the outputs of two processors lie apart.

    8-bit networks whose products add up in 32 bits on both should be identical; floats are added up in another order,
    which changes their last bits.

    Attributes:
        samples: How many were compared.
        identical: Whether all outputs are the same, bit by bit.
        largest_relative: The largest difference in any output, relative to that output's largest magnitude.
        reference: What the outputs were compared with: runtime and processor of this machine.
    """

    samples: int
    identical: bool
    largest_relative: float
    reference: str

    @property
    def words(self) -> str:
        """One clause, such as ``bit-identical on 4 samples to onnxruntime 1.32.0 on AMD EPYC``."""
        if self.identical:
            return f"bit-identical on {self.samples} samples to {self.reference}"
        return f"{self.largest_relative:.1e} (relative) from {self.reference} on {self.samples} samples"


def compare_outputs(
    target: Target,
    model: bytes,
    feeds: Mapping[str, NDArray[Any]],
    session_entries: Mapping[str, str] | None = None,
    *,
    reference: HardwareProfile | None = None,
) -> OutputDifference:
    """Runs ONNX bytes on the target and on this machine.

    The model stays loaded on the target.

    Args:
        target: an open target.
        model: ONNX bytes.
        feeds: input name to array, any number of samples.
        session_entries: session entries that the model needs.
        reference: what runs on this machine; None for the target's own engine settings.

    Raises:
        MeasurementError: one of both refuses the model or has no such engine.
    """
    batch = {name: array[: target.profile.engine.batch_size] for name, array in feeds.items()}
    target.load(model, batch, session_entries)
    there = target.predict(feeds)
    beside = reference or target.profile.model_copy(update={"reach": LocalReach()})
    with Target(beside) as this_machine:
        this_machine.load(model, batch, session_entries)
        here = this_machine.predict(feeds)
        compared_with = f"{this_machine.runtime} on {this_machine.machine.cpu}"
    return OutputDifference(
        samples=len(next(iter(feeds.values()))),
        identical=all(_same_bits(there[name], here[name]) for name in here),
        largest_relative=max(_relative(there[name], here[name]) for name in here),
        reference=compared_with,
    )


def _same_bits(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _relative(found: NDArray[Any], reference: NDArray[Any]) -> float:
    """The largest difference over the reference's largest magnitude; infinite where only one of both is finite."""
    import numpy as np

    if found.shape != reference.shape:
        return float("inf")
    found, reference = found.astype(np.float64), reference.astype(np.float64)
    finite = np.isfinite(found)
    if not np.array_equal(finite, np.isfinite(reference)):
        return float("inf")
    difference = np.abs(found[finite] - reference[finite]).max(initial=0.0)
    scale = np.abs(reference[finite]).max(initial=0.0)
    return float(difference / scale) if scale > 0 else float(difference)
