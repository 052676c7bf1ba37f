"""Other weights and biases for operators that stay what they are."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import write_bias
from compress.graph import add_initializer, derived, replace_constant


def written_names(node_name: str) -> list[str]:
    """What weights and biases are called that `WriteLayers` writes."""
    return [derived(node_name, role) for role in ("float_weight", "bias")]


class WriteLayers(ir.passes.InPlacePass):
    """Replace weights, then biases.

    Args:
        weights: Operator name to its weight, as stored.
        biases: Operator name to its bias, shape (out,).
    """

    def __init__(self, weights: Mapping[str, NDArray[np.float32]], biases: Mapping[str, NDArray[np.float32]]) -> None:
        super().__init__()
        self._weights = weights
        self._biases = biases

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Write them."""
        graph = model.graph
        for node in tuple(graph):
            name = node.name or ""
            if name in self._weights:
                weight = add_initializer(graph, derived(name, "float_weight"), self._weights[name])
                replace_constant(graph, node, 1, weight)
            if name in self._biases:
                write_bias(graph, node, self._biases[name])
        return ir.passes.PassResult(model, bool(self._weights or self._biases))
