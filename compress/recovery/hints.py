"""Inner tensors of the original network that the compressed one should have too (Romero et al. 2015)."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from compress.formats.placement import output_point
from compress.network import Network
from compress.recovery.float_structure import FloatStructure

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

_SMALLEST_POWER = 1e-12

Hints = Mapping[str, tuple[int, NDArray[np.int64] | None]]
"""Tensor name to the axis of its channels, and which of the original's are left; None for all."""


def hints_of(network: Network, structure: FloatStructure) -> Hints:
    """The tensors behind layers that both networks write, seen through a Relu or Clip."""
    nodes = {node.name: node for node in network.model.graph}
    left = {value.name for node in structure.model.graph for value in node.outputs}
    found: dict[str, tuple[int, NDArray[np.int64] | None]] = {}
    for plan in structure.plans:
        node = nodes[plan.layer.node_name]
        name = output_point(node).name
        if name in left and not plan.is_ended:
            found[name or ""] = (1 if node.op_type == "Conv" else -1, plan.kept_outputs)
    return found


def hint_loss(student: "Tensors", teacher: "Tensors", hints: Hints) -> "torch.Tensor":
    """The squared difference as a share of the original's power, averaged over all hints whose shapes fit."""
    import torch

    from compress.recovery.device import place

    losses = []
    for name, (axis, kept) in hints.items():
        ours, wanted = student[name], teacher[name]
        if kept is not None:
            wanted = wanted.index_select(axis, place(kept, wanted.device))
        if ours.shape == wanted.shape:
            power = torch.clamp(wanted.square().mean(), min=_SMALLEST_POWER)
            losses.append((ours - wanted).square().mean() / power)
    if not losses:
        return torch.zeros((), device=next(iter(student.values())).device)
    return torch.stack(losses).mean()
