"""How weights move: AdamW, and what stays zero."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compress.recovery.checkpoint import require
from compress.recovery.device import fetch, place

_MOST_GRADIENT = 1.0
_BETAS = (0.9, 0.99)
_AVERAGES = ("exp_avg", "exp_avg_sq")


class Optimizer:
    """AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101) on named parameters.

    Args:
        weights: Initializer name to parameter; of those that are matrices the size is held down too.
        masks: Initializer name to 1 where a weight is left and 0 where it stays zero.
        weight_decay: Of matrices.
    """

    def __init__(
        self, weights: Mapping[str, nn.Parameter], masks: Mapping[str, torch.Tensor], weight_decay: float
    ) -> None:
        self._named = dict(weights)
        self._masks = masks
        matrices = [p for p in weights.values() if p.ndim > 1]
        others = [p for p in weights.values() if p.ndim <= 1]
        self._adam = torch.optim.AdamW(
            [{"params": matrices, "weight_decay": weight_decay}, {"params": others, "weight_decay": 0.0}], betas=_BETAS
        )

    def add(self, scales: Mapping[str, nn.Parameter]) -> None:
        """Let these parameters move too, from now on."""
        self._named |= scales
        if scales:
            self._adam.add_param_group({"params": list(scales.values()), "weight_decay": 0.0})

    def step(self, loss: torch.Tensor, rate: float) -> None:
        """Move against the loss's gradient."""
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_(self._named.values(), _MOST_GRADIENT)
        self._adam.step()
        with torch.no_grad():
            for name, mask in self._masks.items():
                self._named[name].mul_(mask)

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes, for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, parameter in self._named.items():
            arrays[f"parameter/{name}"] = fetch(parameter)
            kept = self._adam.state.get(parameter)
            if kept:
                arrays[f"steps/{name}"] = np.float32(kept["step"]).reshape(1)
                arrays |= {f"{kind}/{name}": fetch(kept[kind]) for kind in _AVERAGES}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave, once the same parameters move.

        Raises:
            CompressionError: It is the state of another network.
        """
        for name, parameter in self._named.items():
            shape, device = tuple(parameter.shape), parameter.device
            parameter.data = place(require(arrays, f"parameter/{name}", shape), device)
            if f"steps/{name}" in arrays:
                self._adam.state[parameter] = {
                    # torch keeps it on the processor
                    "step": torch.tensor(float(require(arrays, f"steps/{name}", (1,))[0]), device="cpu"),
                    **{kind: place(require(arrays, f"{kind}/{name}", shape), device) for kind in _AVERAGES},
                }
