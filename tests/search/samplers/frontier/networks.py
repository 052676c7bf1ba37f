"""A small residual network as a sampler knows it, and what it costs: a sum that is known exactly."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from compress.layers import Layer
from search.layers.graph import LayerGraph, SharedChannels
from search.samplers.frontier.energy import Choices
from search.samplers.frontier.variables import Variables
from search.space.space import Choice, Knob, SearchSpace

WIDTH, SIDE = 32, 8


def conv(name: str, inputs: int, outputs: int, *, kernel: int = 3, groups: int = 1) -> Layer:
    shape = (outputs, inputs // groups, kernel, kernel)
    return Layer(
        name=name,
        node_name=f"node_{name}",
        op_type="Conv",
        weight_name=f"{name}.weight",
        weight_shape=shape,
        output_axis=0,
        groups=groups,
        macs=int(np.prod(shape)) * SIDE * SIDE,
    )


LAYERS = {
    layer.name: layer
    for layer in (
        conv("stem", 3, WIDTH),
        conv("a", WIDTH, WIDTH),
        conv("b", WIDTH, WIDTH),
        conv("depthwise", WIDTH, WIDTH, groups=WIDTH),
        conv("head", WIDTH, 16, kernel=1),
    )
}
KEPT = {0.25: 24, 0.5: 16}
STREAM = SharedChannels(
    owner="stem",
    units=WIDTH,
    kept=KEPT,
    writers={"stem": WIDTH, "b": WIDTH, "depthwise": WIDTH},
    readers={"a": WIDTH, "head": WIDTH},
)
BRANCH = SharedChannels(
    owner="a", units=WIDTH, kept={**KEPT, 1.0: 0}, writers={"a": WIDTH}, readers={"b": WIDTH}, vanishing=("b",)
)
GRAPH = LayerGraph(
    macs={name: layer.macs for name, layer in LAYERS.items()},
    neighbours=(("stem", "a"), ("a", "b"), ("b", "depthwise"), ("stem", "depthwise"), ("depthwise", "head")),
    layers=LAYERS,
    channels=(STREAM, BRANCH),
    channel_multiple=8,
    meetings=(("stem", "b"),),
)
SPACE = SearchSpace(
    layers=tuple(LAYERS),
    knobs=(
        *(Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8")) for name in LAYERS),
        Knob(name="sparsity/stem", layers=("stem", "b", "depthwise"), choices=(0.0, 0.25, 0.5)),
        Knob(name="sparsity/a", layers=("a",), choices=(0.0, 0.25, 0.5, 1.0)),
        Knob(name="rank/a", layers=("a",), choices=(1.0, 0.5)),
        Knob(name="rank/b", layers=("b",), choices=(1.0, 0.5)),
    ),
)
SPEED = {"fp32": 1.0, "int8": 0.3}


def sizes(params: Mapping[str, Choice]) -> dict[str, tuple[int, int]]:
    """Inputs and outputs that each layer keeps, counted by hand."""
    stream = KEPT.get(float(params["sparsity/stem"]), WIDTH)
    inner = BRANCH.kept.get(float(params["sparsity/a"]), WIDTH)
    return {
        "stem": (3, stream),
        "a": (stream, inner),
        "b": (inner, stream),
        "depthwise": (stream, stream),
        "head": (stream, 16),
    }


def true_cost(params: Mapping[str, Choice]) -> float:
    """A price per multiply-add, per element and per layer, and one per change of format and element that crosses."""
    kept, total = sizes(params), sum(layer.macs for layer in LAYERS.values())
    cost = 0.03
    for name, (inputs, outputs) in kept.items():
        if not inputs or not outputs:
            continue
        layer, speed = LAYERS[name], SPEED[str(params[f"bits/{name}"])]
        share = outputs / layer.output_channels * (1.0 if layer.groups > 1 else inputs / layer.weight_shape[1])
        share *= float(params.get(f"rank/{name}", 1.0))
        cost += speed * 0.8 * layer.macs / total * share + 0.02 * speed * outputs / WIDTH + 0.01
    for first, second in GRAPH.neighbours:
        if params[f"bits/{first}"] != params[f"bits/{second}"] and all(kept[first]) and all(kept[second]):
            cost += 0.01 + 0.02 * kept[first][1] / WIDTH
    return cost


def random_choices(variables: Variables, count: int, seed: int) -> Choices:
    return np.random.default_rng(seed).integers(0, variables.sizes, (count, len(variables.knobs)))
