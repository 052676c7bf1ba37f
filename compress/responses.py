"""How a layer's outputs vary together: what decides which of their directions can be left out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.factorize import FACTORIZED_SIDE_LIMIT, break_even_rank
from compress.graph import derived
from compress.layers import Layer
from compress.probe import Probe, Reading


@dataclass(frozen=True, kw_only=True, eq=False)
class Responses:
    """First and second moments of a layer's outputs, bias included.

    Attributes:
        mean: Shape (out,).
        second_moment: E[y yᵀ], shape (out, out).
    """

    mean: NDArray[np.float64]
    second_moment: NDArray[np.float64]

    @property
    def covariance(self) -> NDArray[np.float64]:
        """E[(y − mean)(y − mean)ᵀ], shape (out, out)."""
        return self.second_moment - np.outer(self.mean, self.mean)


def has_responses(layer: Layer) -> bool:
    """Whether the moments of the layer's outputs are gathered: it has factors, and not too many outputs."""
    return break_even_rank(layer) > 1 and layer.output_channels <= FACTORIZED_SIDE_LIMIT


def read_responses(probe: Probe, node: ir.Node, layer: Layer) -> None:
    """Hang the sums that the moments are made of on `probe`."""
    output, name = node.outputs[0], layer.node_name
    if layer.op_type == "Conv":
        swapped = [1, 0, *range(2, len(layer.weight_shape))]
        channels_first = probe.apply("Transpose", [output], derived(name, "responses_first"), perm=swapped)
        shape = probe.constant(derived(name, "responses_shape"), np.array([layer.output_channels, -1]))
        columns = probe.apply("Reshape", [channels_first, shape], derived(name, "responses_columns"))
        rows = probe.apply("Transpose", [columns], derived(name, "responses_rows"), perm=[1, 0])
    else:
        shape = probe.constant(derived(name, "responses_shape"), np.array([-1, layer.output_channels]))
        rows = probe.apply("Reshape", [output, shape], derived(name, "responses_rows"))
        columns = probe.apply("Transpose", [rows], derived(name, "responses_columns"), perm=[1, 0])
    axis = probe.constant(derived(name, "responses_axis"), np.array([1]))
    total = probe.apply("ReduceSum", [columns, axis], derived(name, "responses_total"), keepdims=0)
    products = probe.apply("MatMul", [columns, rows], derived(name, "responses_products"))
    size = probe.apply("Size", [output], derived(name, "responses_size"))
    for role, value in (("total", total), ("products", products), ("size", size)):
        probe.read(derived(name, role), "sum", value)


def responses_of(readings: Mapping[Reading, NDArray[Any]], layer: Layer) -> Responses:
    """The moments, from what `read_responses` asked for."""
    total, products, size = (
        readings[Reading(name=derived(layer.node_name, role), statistic="sum")]
        for role in ("total", "products", "size")
    )
    count = float(size) / layer.output_channels
    return Responses(mean=total / count, second_moment=products / count)
