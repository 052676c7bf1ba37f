"""The knobs of a space as variables of a graph: what stands beside what."""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np

from search.layer_graph import LayerGraph
from search.samplers.frontier.energy import Choices
from search.space import Choice, Knob, SearchSpace

EdgeKind = Literal["transition", "joint"]


@dataclass(frozen=True, kw_only=True)
class Edge:
    """Two knobs whose choices cost something together.

    Attributes:
        kind: `transition` between the formats of neighbouring layers; `joint` between a layer's format and another
            way in which the same layer is made smaller.
        first: Position of the first knob, a format.
        second: Position of the second.
        share: Of the network's multiply-adds that both knobs turn; 0 for a transition.
    """

    kind: EdgeKind
    first: int
    second: int
    share: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Variables:
    """The knobs and their edges.

    Attributes:
        knobs: As the space has them.
        shares: Of the network's multiply-adds that each knob turns.
        edges: No two join the same knobs.
        layer_count: Of the network.
    """

    knobs: tuple[Knob, ...]
    shares: tuple[float, ...]
    edges: tuple[Edge, ...]
    layer_count: int

    @cached_property
    def sizes(self) -> Choices:
        """How many choices each knob has."""
        return np.array([len(knob.choices) for knob in self.knobs], np.int64)

    @cached_property
    def pairs(self) -> Choices:
        """The edges as positions of knobs, shape (edges, 2)."""
        return np.array([(edge.first, edge.second) for edge in self.edges], np.int64).reshape(-1, 2)

    @cached_property
    def _positions(self) -> list[dict[Choice, int]]:
        return [{choice: position for position, choice in enumerate(knob.choices)} for knob in self.knobs]

    def encode(self, params: dict[str, Choice]) -> Choices | None:
        """A trial's parameters as positions; None where they are not one choice of every knob."""
        try:
            found = [index[params[knob.name]] for knob, index in zip(self.knobs, self._positions, strict=True)]
        except KeyError:
            return None
        return np.array(found, np.int64)

    def decode(self, choices: Choices) -> dict[str, Choice]:
        """Positions as parameters."""
        return {knob.name: knob.choices[position] for knob, position in zip(self.knobs, choices.tolist(), strict=True)}


def lay_out(space: SearchSpace, graph: LayerGraph) -> Variables:
    """The variables of a space, over the network that `graph` describes."""
    formats = {layer: at for at, knob in enumerate(space.knobs) if knob.kind == "bits" for layer in knob.layers}
    edges: dict[frozenset[int], Edge] = {}
    for source, target in graph.neighbours:
        first, second = formats.get(source), formats.get(target)
        if first is not None and second is not None and first != second:
            edges.setdefault(frozenset((first, second)), Edge(kind="transition", first=first, second=second))
    for position, knob in enumerate(space.knobs):
        if knob.kind == "bits":
            continue
        for layer in knob.layers:
            if layer in formats:
                ends = frozenset((formats[layer], position))
                edge = Edge(kind="joint", first=formats[layer], second=position, share=graph.share(layer))
                edges.setdefault(ends, edge)
    return Variables(
        knobs=space.knobs,
        shares=tuple(sum(graph.share(layer) for layer in knob.layers) for knob in space.knobs),
        edges=tuple(edges.values()),
        layer_count=len(space.layers),
    )
