"""The network of the `mnist-resnet` workload: a residual network of 14 weighted layers on its longest path."""

import torch
from torch import nn

WIDTHS = (48, 96, 192)
STRIDES = (1, 2, 2)
BLOCKS_PER_STAGE = 2
CLASSES = 10


class BasicBlock(nn.Module):
    """conv3x3-BN-ReLU-conv3x3-BN plus a shortcut, then ReLU (He et al. 2016, figure 5 left).

    Args:
        width_in: Channels of the input.
        width_out: Channels of the output; where it or the resolution changes, the shortcut is conv1x1-BN.
        stride: Stride of the first convolution and of the shortcut.
    """

    def __init__(self, width_in: int, width_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width_in, width_out, 3, stride=stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(width_out)
        self.conv2 = nn.Conv2d(width_out, width_out, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(width_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or width_in != width_out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(width_in, width_out, 1, stride=stride, bias=False),
                nn.BatchNorm2d(width_out),
            )

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, width_in, H, W) to (N, width_out, H / stride, W / stride)."""
        inner = torch.relu(self.norm1(self.conv1(features)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(features))


class ResNet14(nn.Module):
    """Stem, three stages of two basic blocks, global mean, linear classifier: 1,563,226 parameters.

    Args:
        widths: Channels of the three stages.
    """

    def __init__(self, widths: tuple[int, int, int] = WIDTHS) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, widths[0], 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(widths[0])
        blocks: list[nn.Module] = []
        width_in = widths[0]
        for width, stride in zip(widths, STRIDES, strict=True):
            for block in range(BLOCKS_PER_STAGE):
                blocks.append(BasicBlock(width_in, width, stride if block == 0 else 1))
                width_in = width
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(width_in, CLASSES)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Normalized images (N, 1, 28, 28) to class scores (N, 10)."""
        features = torch.relu(self.norm(self.stem(image)))
        scores: torch.Tensor = self.classifier(self.blocks(features).mean(dim=(2, 3)))
        return scores
