"""What an operator reads and what it should answer, at the same positions of the same samples, a bounded number."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.layers import Layer
from compress.statistics.windows import Window
from compress.weight_rows import row_length

FEWEST_ROWS = 8192
ROWS_PER_INPUT = 6
"""Rows for each weight of a row: with fewer, weights learn the positions by heart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class RowPicker:
    """Chooses positions of one operator, sample by sample, always the same.

    Attributes:
        layer: The layer as its operator has it now.
        window: A convolution's geometry; None for matrices.
        per_sample: Most positions of one sample.
        seed: Of the choice.
    """

    layer: Layer
    window: Window | None
    per_sample: int
    seed: tuple[int, ...]

    @classmethod
    def of(cls, node: ir.Node, layer: Layer, *, rows: int, samples: int, seed: tuple[int, ...]) -> "RowPicker":
        """For the operator `node`.

        Args:
            node: A Conv, Gemm or MatMul.
            layer: Its description.
            rows: How many from all samples.
            samples: How many samples will come.
            seed: Of the choice.
        """
        window = Window.of(node, layer.weight_shape) if layer.op_type == "Conv" else None
        return cls(layer=layer, window=window, per_sample=math.ceil(rows / max(1, samples)), seed=seed)

    def inputs(self, x: NDArray[Any], sample: int) -> NDArray[np.float32]:
        """What the rows of the weight are multiplied with, shape (G, n, K); `x` is one sample's tensor."""
        generator, groups = self._generator(sample), self.layer.groups
        length = row_length(self.layer, by_channel=False)
        if self.window is None:
            flat = self._chosen(x.reshape(-1, length), generator)
        else:
            flat = self.window.sample(x, self.per_sample, generator)
        rows: NDArray[np.float32] = flat.reshape(len(flat), groups, length).swapaxes(0, 1).astype(np.float32)
        return rows

    def answers(self, y: NDArray[Any], sample: int) -> NDArray[np.float32]:
        """The outputs at the same positions, shape (n, channels); `y` is one sample's tensor."""
        flat = np.moveaxis(y, 1, -1) if self.window is not None else y
        found: NDArray[np.float32] = self._chosen(flat.reshape(-1, flat.shape[-1]), self._generator(sample))
        return found.astype(np.float32, copy=False)

    def _chosen(self, rows: NDArray[Any], generator: np.random.Generator) -> NDArray[Any]:
        if len(rows) <= self.per_sample:
            return rows
        return rows[np.sort(generator.choice(len(rows), self.per_sample, replace=False))]

    def _generator(self, sample: int) -> np.random.Generator:
        return np.random.default_rng((*self.seed, sample))


def rows_within(layers: Sequence[Layer], outputs: Sequence[int], limit_bytes: int) -> list[int]:
    """How many rows to keep for each layer so that all their answers fit together.

    Args:
        layers: As their operators have them now.
        outputs: Channels of each layer's answer.
        limit_bytes: For all of them, in float32.
    """
    wanted = [max(FEWEST_ROWS, ROWS_PER_INPUT * row_length(layer, by_channel=False)) for layer in layers]
    size = 4 * sum(rows * count for rows, count in zip(wanted, outputs, strict=True))
    share = min(1.0, limit_bytes / max(1, size))
    return [max(1, int(rows * share)) for rows in wanted]
