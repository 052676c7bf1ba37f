"""Trains the network whose policies are tabulated: `python -m benchmarks.tabulated.train --out FILE`.

As `mnist-resnet` is trained (workloads/builtin/train_mnist_resnet.py), for fewer epochs: a minute on one core. The
validation images are looked at once, after the last epoch.
"""

import argparse
import logging
from pathlib import Path

import torch
from safetensors.torch import save_file

from benchmarks.tabulated.network import SmallResNet
from workloads.builtin.mnist_resnet_data import load_digits
from workloads.builtin.train_mnist_resnet import correct, train


def rounded(tensor: torch.Tensor) -> torch.Tensor:
    """Weights as 16-bit floats, which halves the file; what counts is left alone."""
    return (tensor.half() if tensor.is_floating_point() else tensor).contiguous()


def main() -> None:
    """Train, write the weights, and log the accuracy on the validation images."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="where the safetensors file goes")
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    training, validation = load_digits()
    network = SmallResNet()
    train(network, training, epochs=arguments.epochs, seed=arguments.seed)
    halves = {name: rounded(tensor) for name, tensor in network.state_dict().items()}
    save_file(halves, arguments.out)
    network.load_state_dict(halves)
    right = correct(network, validation)
    logging.info("accuracy: %.4f on all, %.4f on a search's half", right.mean(), right[::2].mean())


if __name__ == "__main__":
    main()
