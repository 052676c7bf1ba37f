"""The first weights of a training that begins where a relative's ended."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from compress.recovery.float_structure import FloatStructure


def first_weights(
    structure: FloatStructure, relative: Mapping[str, NDArray[np.float32]]
) -> dict[str, NDArray[np.float32]]:
    """The structure's learnable weights, the relative's where it has one of that name and shape.

    Masked weights of the structure stay zero whatever the relative has there.
    """
    first = structure.learnable()
    masks = masks_of(structure)
    for name, own in first.items():
        found = relative.get(name)
        if found is not None and found.shape == own.shape:
            first[name] = found * masks[name] if name in masks else found
    return first


def masks_of(structure: FloatStructure) -> dict[str, NDArray[np.float32]]:
    """Where masked layers have weights left, by initializer name: 1 there, 0 elsewhere."""
    nodes = {node.name: node for node in structure.model.graph}
    learnable = structure.learnable()
    masks = {}
    for plan in structure.plans:
        if plan.mask is None:
            continue
        for operator in structure.operators(plan):
            weight = nodes[operator].inputs[1]
            if weight is not None and weight.name in learnable:
                masks[weight.name] = (learnable[weight.name] != 0).astype(np.float32)
    return masks
