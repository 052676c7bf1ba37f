"""A structure's weights as its candidate will see them: through number formats, with scales that are learned."""

import math
from collections.abc import Collection, Mapping

import numpy as np
import torch
from torch import nn

from compress.formats.scheme import Range
from compress.recovery.device import place
from compress.recovery.float_structure import FloatStructure
from compress.recovery.rounded_graph import rehearse
from compress.recovery.torch_graph.graph import TorchGraph
from compress.stitch import Compressor


class Rehearsal:
    """A network that answers as the candidate will.

    Args:
        compressor: Of the original network.
        structure: What is rehearsed.
        weights: Its parameters by initializer name; shared, not copied.
        ranges: Of the tensors that get 8 bits, to begin with.
        device: Where it computes.
    """

    def __init__(
        self,
        compressor: Compressor,
        structure: FloatStructure,
        weights: Mapping[str, nn.Parameter],
        ranges: Mapping[str, Range],
        device: torch.device,
    ) -> None:
        rounded = rehearse(compressor, structure, ranges)
        self._grids, self._stand_ins = rounded.ranges, rounded.stand_ins
        self.scales = {
            grid.parameter: nn.Parameter(place(np.asarray(math.log(grid.scale), np.float32), device))
            for grid in rounded.ranges
        }
        self._graph = TorchGraph(rounded.model, {**weights, **self.scales}, device)

    @property
    def output_names(self) -> list[str]:
        """Names of the network's outputs."""
        return self._graph.output_names

    def __call__(self, feeds: Mapping[str, torch.Tensor], wanted: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """The outputs by name, and the structure's inner tensors that are `wanted` too."""
        called = {name: self._stand_ins.get(name, name) for name in wanted}
        found: dict[str, torch.Tensor] = self._graph(feeds, called.values())
        return found | {name: found[there] for name, there in called.items()}

    def ranges(self) -> dict[str, Range]:
        """The learned ranges as they are now."""
        return {grid.tensor: grid.at(math.exp(float(self.scales[grid.parameter].detach()))) for grid in self._grids}
