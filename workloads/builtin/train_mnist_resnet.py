"""Trains the network of the `mnist-resnet` workload and writes its weights.

    python -m workloads.builtin.train_mnist_resnet --out FILE

SGD with Nesterov momentum under a one-cycle schedule (Smith & Topin 2018), random shifts, rotations and scales,
smoothed labels. The last epoch's weights are the ones that are written; the validation images are looked at once,
after that. Matrix products run in bfloat16 where the processor has them, weights and their updates in float32.
"""

import argparse
import logging
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

from workloads.builtin.mnist_resnet_data import PIXEL_DEVIATION, PIXEL_MEAN, Digits, load_digits
from workloads.builtin.mnist_resnet_network import ResNet14

BATCH_SIZE = 64
PEAK_LEARNING_RATE = 0.1
MOMENTUM = 0.9
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
MOST_SHIFT_PIXELS = 2.0
MOST_ROTATION = math.radians(12.0)
MOST_SCALE = 0.12
IMAGE_PIXELS = 28
THREADS = 2

_log = logging.getLogger(__name__)


def augment(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Each image (N, 1, 28, 28) shifted, rotated and scaled by its own random amounts, on the black background."""
    count = len(images)

    def uniform(most: float, *shape: int) -> torch.Tensor:
        return (torch.rand(*shape, generator=generator) * 2 - 1) * most

    angle, scale = uniform(MOST_ROTATION, count), 1 + uniform(MOST_SCALE, count)
    shift = uniform(2 * MOST_SHIFT_PIXELS / IMAGE_PIXELS, count, 2)
    cosine, sine = torch.cos(angle) * scale, torch.sin(angle) * scale
    rows = [torch.stack([cosine, -sine, shift[:, 0]], dim=1), torch.stack([sine, cosine, shift[:, 1]], dim=1)]
    grid = functional.affine_grid(torch.stack(rows, dim=1), list(images.shape), align_corners=False)
    black = -PIXEL_MEAN / PIXEL_DEVIATION
    return functional.grid_sample(images - black, grid, align_corners=False) + black


def train(network: nn.Module, digits: Digits, *, epochs: int, seed: int) -> None:
    """Train `network` in place on `digits`."""
    generator = torch.Generator().manual_seed(seed)
    images, labels = torch.from_numpy(digits.images), torch.from_numpy(digits.labels)
    steps = len(images) // BATCH_SIZE
    optimizer = torch.optim.SGD(
        network.parameters(), lr=PEAK_LEARNING_RATE, momentum=MOMENTUM, weight_decay=WEIGHT_DECAY, nesterov=True
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_LEARNING_RATE, epochs=epochs, steps_per_epoch=steps
    )
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub leaves it out
    network.train()
    for epoch in range(epochs):
        order = torch.randperm(len(images), generator=generator)
        total = 0.0
        for step in range(steps):
            chosen = order[step * BATCH_SIZE : (step + 1) * BATCH_SIZE]
            batch = augment(images[chosen], generator).to(memory_format=torch.channels_last)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                scores = network(batch)
            loss = functional.cross_entropy(scores.float(), labels[chosen], label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()
            total += loss.item()
        _log.info("epoch %d of %d: training loss %.4f", epoch + 1, epochs, total / steps)


def correct(network: nn.Module, digits: Digits) -> np.ndarray:
    """Whether each image is classified rightly: bool (N,)."""
    network.eval()
    with torch.inference_mode():
        parts = torch.split(torch.from_numpy(digits.images), BATCH_SIZE)
        scores = torch.cat([network(part) for part in parts])
    right: np.ndarray = scores.argmax(dim=1).numpy() == digits.labels
    return right


def main() -> None:
    """Train, write the weights, and log the accuracy on both halves of the validation images."""
    parser = argparse.ArgumentParser(description="Train the network of the mnist-resnet workload.")
    parser.add_argument("--out", type=Path, required=True, help="where the safetensors file goes")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(THREADS)
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(True)
    training, validation = load_digits()
    network = ResNet14()
    train(network, training, epochs=arguments.epochs, seed=arguments.seed)
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, arguments.out)
    right = correct(network, validation)
    values = (right.mean(), right[::2].mean(), right[1::2].mean())
    _log.info("accuracy: %.4f on all, %.4f on even (search), %.4f on odd (confirmation)", *values)


if __name__ == "__main__":
    main()
