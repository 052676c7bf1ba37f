"""The network whose policies are all tabulated: two residual blocks, so that there are few enough of them."""

import torch
from torch import nn
from torch.nn import functional

from workloads.builtin.mnist_resnet_network import BasicBlock

WIDTHS = (64, 128)
CLASSES = 10


class SmallResNet(nn.Module):
    """Stem of stride 2, pooling, a basic block, one of twice the width at half the resolution, global mean, classifier.

    Its layers are those of the `mnist-resnet` workload, with residual skips of both kinds, on 7 by 7 positions and
    fewer: wide enough that work and not overhead is what takes time.
    """

    def __init__(self) -> None:
        super().__init__()
        narrow, wide = WIDTHS
        self.stem = nn.Conv2d(1, narrow, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(narrow)
        self.blocks = nn.Sequential(BasicBlock(narrow, narrow, 1), BasicBlock(narrow, wide, 2))
        self.classifier = nn.Linear(wide, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalized images (N, 1, 28, 28) to class scores (N, 10)."""
        features = functional.max_pool2d(torch.relu(self.norm(self.stem(image))), 2)
        scores: torch.Tensor = self.classifier(self.blocks(features).mean(dim=(2, 3)))
        return scores
