"""Modules that go through our exporter."""

import numpy as np
import torch
from torch import nn

from tests.compress.zoo.case import TorchCase, images, vectors


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = nn.Conv2d(inputs, outputs, 1, stride) if inputs != outputs else nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = torch.relu(self.norm1(self.conv1(x)))
        return torch.relu(self.norm2(self.conv2(inner)) + self.shortcut(x))


class _ResNet(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 1, 1)
        self.blocks = nn.Sequential(_Block(8, 8, 1), _Block(8, 16, 2))
        self.head = nn.Linear(16, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(torch.relu(self.stem(image))).mean((2, 3)))


class _Mobile(nn.Module):
    """Depthwise convolutions with ReLU6 and HardSwish, squeeze and excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU6())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False), nn.BatchNorm2d(8), nn.Hardswish())
        self.gate = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 4, 1), nn.ReLU(), nn.Conv2d(4, 8, 1), nn.Hardsigmoid()
        )
        self.point = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image)
        y = self.depth(x)
        return self.head((self.point(y * self.gate(y)) + x).mean((2, 3)))


class _Transformer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Linear(12, 16)
        self.norm = nn.LayerNorm(16)
        self.attention = nn.MultiheadAttention(16, 2, batch_first=True)
        self.up, self.down = nn.Linear(16, 32), nn.Linear(32, 16)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        x = self.embed(tokens)
        y = self.norm(x)
        x = x + self.attention(y, y, y, need_weights=False)[0]
        return x + self.down(nn.functional.gelu(self.up(x)))


def resnet_net() -> TorchCase:
    macs = 64 * 8 * 27 + 2 * 64 * 8 * 72 + 16 * 16 * 72 + 16 * 16 * 144 + 16 * 16 * 8 + 80
    return TorchCase(module=_prepared(_ResNet), example={"image": images()}, layers=7, macs=macs)


def mobile_net() -> TorchCase:
    return TorchCase(module=_prepared(_Mobile), example={"image": images()}, layers=6)


def transformer_net() -> TorchCase:
    return TorchCase(module=_prepared(_Transformer), example={"tokens": vectors(4, 6, 12)}, layers=5)


def _prepared(kind: type[nn.Module]) -> nn.Module:
    """Random weights, and BatchNorm statistics that are not the trivial ones."""
    torch.manual_seed(0)
    module = kind().eval()
    random = np.random.default_rng(0)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            for tensor in (part.running_mean, part.running_var, part.weight, part.bias):
                assert tensor is not None
                values = random.uniform(0.5, 1.5, tuple(tensor.shape)).astype(np.float32)
                tensor.data = torch.from_numpy(values)
    return module
