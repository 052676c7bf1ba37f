"""The network of the CREPE workloads: six convolutions over a frame of audio (Kim et al. 2018, arXiv:1802.06182).

The published layers are convolution, ReLU, batch norm, max pooling. A runtime folds no batch norm that stands behind a
ReLU, so it is folded here, once and exactly: its scale s goes into the convolution in front, since s·relu(z) =
relu(s·z) for s >= 0, and its shift moves behind the pooling, since max(a, b) + t = max(a + t, b + t). Where s < 0
only its magnitude goes into the convolution and the sign stays. The last shift goes into the classifier, whose
columns are reordered to what flattening gives.
"""

from collections.abc import Mapping

import torch
from torch import nn
from torch.nn import functional

FRAME_SAMPLES = 1024
PITCH_BINS = 360
LAYERS = 6
# Channels of the six layers.
TINY = (128, 16, 16, 16, 32, 64)
FULL = (1024, 128, 128, 128, 256, 512)

_FIRST_KERNEL, _FIRST_STRIDE, _FIRST_PADDING = 512, 4, (254, 254)
_KERNEL, _PADDING = 64, (31, 32)
_NORM_EPSILON = 0.001
_LAST_POSITIONS = FRAME_SAMPLES // _FIRST_STRIDE // 2**LAYERS


class CrepeLayer(nn.Module):
    """Convolution, ReLU, max pooling over pairs, with what is left of the batch norm.

    Args:
        width_in: Channels of the input.
        width_out: Channels of the output.
        first: Whether it reads the audio: a longer kernel, with a stride.
        signed: Whether channels have a sign: those whose batch norm scales by a negative number.
        shifted: Whether the batch norm's shift is added here.
    """

    sign: torch.Tensor | None

    def __init__(self, width_in: int, width_out: int, *, first: bool, signed: bool, shifted: bool) -> None:
        super().__init__()
        self.padding = (0, 0, *(_FIRST_PADDING if first else _PADDING))
        kernel, stride = (_FIRST_KERNEL, _FIRST_STRIDE) if first else (_KERNEL, 1)
        self.conv = nn.Conv2d(width_in, width_out, (kernel, 1), stride=(stride, 1))
        self.register_buffer("sign", torch.ones(1, width_out, 1, 1) if signed else None)
        self.shift = nn.Parameter(torch.zeros(1, width_out, 1, 1)) if shifted else None

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """(N, width_in, L, 1) to (N, width_out, L / stride / 2, 1)."""
        features = torch.relu(self.conv(functional.pad(features, self.padding)))
        if self.sign is not None:
            features = features * self.sign
        features = functional.max_pool2d(features, (2, 1))
        return features if self.shift is None else features + self.shift


class Crepe(nn.Module):
    """Six layers and a classifier over 360 pitches, 20 cents apart.

    Args:
        state: The published network's weights by their published names: `conv1.weight`, `conv1_BN.running_mean`, ...,
            `classifier.bias`. They decide the widths: `TINY` or `FULL`.
    """

    def __init__(self, state: Mapping[str, torch.Tensor]) -> None:
        super().__init__()
        folded = _folded(state)
        layers, width_in = [], 1
        for index in range(LAYERS):
            width_out = len(folded[f"layers.{index}.conv.bias"])
            last = index == LAYERS - 1
            signed = f"layers.{index}.sign" in folded
            layers.append(CrepeLayer(width_in, width_out, first=index == 0, signed=signed, shifted=not last))
            width_in = width_out
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Linear(width_in * _LAST_POSITIONS, PITCH_BINS)
        self.load_state_dict(folded)
        self.eval()

    def forward(self, frame: torch.Tensor) -> torch.Tensor:
        """Audio (N, 1024) of zero mean and unit variance to one confidence in [0, 1] per pitch, (N, 360)."""
        features: torch.Tensor = self.layers(frame[:, None, :, None])
        return torch.sigmoid(self.classifier(features.flatten(1)))


def _folded(state: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The published weights as the weights of `Crepe`, folded in float64."""
    folded: dict[str, torch.Tensor] = {}
    weight, bias = state["classifier.weight"].double(), state["classifier.bias"].double()
    for index in range(LAYERS):
        conv, norm = f"conv{index + 1}", f"conv{index + 1}_BN"
        scale = state[f"{norm}.weight"].double() / (state[f"{norm}.running_var"].double() + _NORM_EPSILON).sqrt()
        shift = state[f"{norm}.bias"].double() - scale * state[f"{norm}.running_mean"].double()
        magnitude = scale.abs()
        layer = f"layers.{index}"
        folded[f"{layer}.conv.weight"] = state[f"{conv}.weight"].double() * magnitude[:, None, None, None]
        folded[f"{layer}.conv.bias"] = state[f"{conv}.bias"].double() * magnitude
        if (scale < 0).any():
            folded[f"{layer}.sign"] = torch.where(scale < 0, -1.0, 1.0).reshape(1, -1, 1, 1)
        if index < LAYERS - 1:
            folded[f"{layer}.shift"] = shift.reshape(1, -1, 1, 1)
        else:
            bias = bias + weight @ shift.repeat(_LAST_POSITIONS)
            # Published: the channels of each position stand together. Flattening gives the positions of each channel.
            weight = weight.reshape(PITCH_BINS, _LAST_POSITIONS, -1).transpose(1, 2).flatten(1).contiguous()
    folded |= {"classifier.weight": weight, "classifier.bias": bias}
    return {name: tensor.float() for name, tensor in folded.items()}
