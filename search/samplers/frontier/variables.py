"""The knobs of a space as variables of a graph: what stands beside what."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np

from search.layers.graph import LayerGraph
from search.samplers.frontier.energy import Choices, Layout, Scope
from search.samplers.frontier.forms import LayerForms, find_forms
from search.space.space import Choice, Knob, SearchSpace

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


@dataclass(frozen=True, kw_only=True, eq=False)
class Crossing:
    """Two layers between whose formats something must be converted, or that are combined.

    Attributes:
        first: The layer that writes what the second reads, or that it is combined with.
        second: The other.
        is_meeting: Whether their outputs are combined.
        scope: Their formats, and the knobs that decide how much there is to convert, or whether either is gone.
    """

    first: str
    second: str
    is_meeting: bool
    scope: Scope


@dataclass(frozen=True, kw_only=True, eq=False)
class Variables:
    """The knobs and what they do together.

    Attributes:
        knobs: As the space has them.
        shares: Of the network's multiply-adds that each knob turns.
        edges: No two join the same knobs.
        layer_count: Of the network.
        forms: What is left of each layer, by name; empty where sizes are not known.
        crossings: Between these layers.
    """

    knobs: tuple[Knob, ...]
    shares: tuple[float, ...]
    edges: tuple[Edge, ...]
    layer_count: int
    forms: Mapping[str, LayerForms] = field(default_factory=dict)
    crossings: tuple[Crossing, ...] = ()

    @cached_property
    def sizes(self) -> Choices:
        """How many choices each knob has."""
        return np.array([len(knob.choices) for knob in self.knobs], np.int64)

    @cached_property
    def layout(self) -> Layout:
        """A table per knob, then per edge, per layer of a known size, and per crossing."""
        pairs = [(edge.first, edge.second) for edge in self.edges]
        forms = [form.scope for form in self.forms.values()]
        crossings = [crossing.scope for crossing in self.crossings]
        return Layout(sizes=self.sizes, scopes=(*((at,) for at in range(len(self.knobs))), *pairs, *forms, *crossings))

    @cached_property
    def form_tables(self) -> Mapping[str, int]:
        """By layer of a known size: the position of its table in the layout."""
        return {name: position for position, name in enumerate(self.forms, start=len(self.knobs) + len(self.edges))}

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
    for source, target in () if graph.layers else graph.neighbours:  # with sizes, crossings know more of these
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
    positions = {knob.name: (at, knob) for at, knob in enumerate(space.knobs)}
    found = {name: find_forms(layer, graph, positions) for name, layer in graph.layers.items()}
    forms = {name: form for name, form in found.items() if form is not None}
    return Variables(
        knobs=space.knobs,
        shares=tuple(sum(graph.share(layer) for layer in knob.layers) for knob in space.knobs),
        edges=tuple(edges.values()),
        layer_count=len(space.layers),
        forms=forms,
        crossings=tuple(_crossings(graph, forms, formats)),
    )


def _crossings(graph: LayerGraph, forms: Mapping[str, LayerForms], formats: Mapping[str, int]) -> Iterator[Crossing]:
    for is_meeting, pairs in ((False, graph.neighbours), (True, graph.meetings)):
        for first, second in pairs:
            if first not in forms or second not in forms:
                continue
            knobs = [formats[layer] for layer in (first, second) if layer in formats]
            writers = {forms[first].scope[axis] for axis in _axes_of_width(forms[first])}
            gone = (*forms[first].vanishing, *forms[second].vanishing)
            scope = tuple(dict.fromkeys([*knobs, *sorted(writers), *gone]))
            if len(knobs) == 2 or is_meeting:
                yield Crossing(first=first, second=second, is_meeting=is_meeting, scope=scope)


def _axes_of_width(form: LayerForms) -> list[int]:
    """The axes along which what the layer writes changes."""
    table = form.written.reshape(form.shape)
    alive = ~form.is_gone.reshape(form.shape)
    found = []
    for axis in range(table.ndim):
        first = np.take(table, [0], axis)
        if (np.where(alive, table - first, 0.0) != 0).any():
            found.append(axis)
    return found
