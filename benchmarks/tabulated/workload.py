"""The network whose policies are all tabulated, as a workload: two residual blocks on mnist-resnet's data and metric.

`benchmarks/tabulated/train.py` trained it, a minute on one core.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from workloads.builtin.mnist_resnet import calibration, metric, validation

if TYPE_CHECKING:
    from benchmarks.tabulated.network import SmallResNet

__all__ = ["NAME", "calibration", "metric", "model", "validation"]

NAME = "small-resnet"
WEIGHTS = Path(__file__).with_name("weights.safetensors")


def model() -> "SmallResNet":
    """The trained network in eval mode; input `image` float32 (N, 1, 28, 28), output class scores (N, 10)."""
    from safetensors.torch import load_file

    from benchmarks.tabulated.network import SmallResNet

    network = SmallResNet()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()
