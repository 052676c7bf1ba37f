"""What a convolution's kernel sees: windows of its input, cut out position by position (im2col)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Window:
    """The geometry of a convolution, one entry per spatial axis.

    Attributes:
        kernel: Taps.
        strides: Steps between neighbouring windows.
        dilations: Steps between neighbouring taps.
        pads: Zeros (before, after) each axis; None where `auto_pad` decides by the input's size.
        auto_pad: ONNX's `auto_pad`.
    """

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    auto_pad: str

    @classmethod
    def of(cls, node: ir.Node, weight_shape: Sequence[int]) -> "Window":
        """The window of the Conv `node`."""
        axes = len(weight_shape) - 2
        pads = [int(n) for n in node.attributes.get_ints("pads", [0] * 2 * axes)]
        return cls(
            kernel=tuple(weight_shape[2:]),
            strides=tuple(node.attributes.get_ints("strides", [1] * axes)),
            dilations=tuple(node.attributes.get_ints("dilations", [1] * axes)),
            pads=tuple(zip(pads[:axes], pads[axes:], strict=True)),
            auto_pad=node.attributes.get_string("auto_pad", "NOTSET"),
        )

    def padded(self, x: NDArray[Any]) -> NDArray[Any]:
        """The input (N, C, *spatial) with the zeros that the convolution adds."""
        pads = self._pads_for(x.shape[2:])
        return np.pad(x, ((0, 0), (0, 0), *pads)) if any(map(any, pads)) else x

    def sample(self, x: NDArray[Any], count: int, random: np.random.Generator) -> NDArray[Any]:
        """`count` windows at random positions of all samples, all of them where there are no more.

        Args:
            x: Shape (N, C, *spatial).
            count: How many.
            random: Chooses the positions.

        Returns:
            Shape (n, C, taps), in the order of the samples.
        """
        extents = tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))
        spatial = tuple(range(2, x.ndim))
        windows = np.lib.stride_tricks.sliding_window_view(self.padded(x), extents, axis=spatial)
        steps = [slice(None), slice(None), *(slice(None, None, s) for s in self.strides)]
        windows = windows[(*steps, *(slice(None, None, d) for d in self.dilations))]
        places = (windows.shape[0], *windows.shape[2 : x.ndim])
        total = math.prod(places)
        chosen = np.arange(total) if total <= count else np.sort(random.choice(total, count, replace=False))
        index = np.unravel_index(chosen, places)
        places_and_channels: tuple[Any, ...] = (index[0], slice(None), *index[1:])
        cut = windows[places_and_channels]
        found: NDArray[Any] = cut.reshape(len(chosen), x.shape[1], -1)
        return found

    def _pads_for(self, spatial: Sequence[int]) -> tuple[tuple[int, int], ...]:
        if self.auto_pad not in ("SAME_UPPER", "SAME_LOWER"):
            return self.pads if self.auto_pad == "NOTSET" else ((0, 0),) * len(self.kernel)
        pads = []
        for size, kernel, stride, dilation in zip(spatial, self.kernel, self.strides, self.dilations, strict=True):
            missing = max(0, (math.ceil(size / stride) - 1) * stride + (kernel - 1) * dilation + 1 - size)
            less, more = missing // 2, missing - missing // 2
            pads.append((less, more) if self.auto_pad == "SAME_UPPER" else (more, less))
        return tuple(pads)
