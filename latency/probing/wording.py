"""How rows of a probe are put into words."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwprofiles import LayerShape, ProbedLayer

LayerKey = tuple[str, tuple[int, ...], int, int]

FORMAT_WORDS = {
    "fp32": "FP32",
    "fp16": "16-bit",
    "int8": "int8",
    "int8-dynamic": "dynamic int8",
    "int8-weights": "8-bit-weight",
    "int4-weights": "4-bit-weight",
}
"""Number formats as adjectives of a layer."""


def times(speedup: float | None) -> str:
    """`×2.31`: how many times as fast as FP32; a dash where it does not run."""
    if speedup is None:
        return "–"
    return f"×{speedup:.2f}" if speedup < 10 else f"×{speedup:.0f}"


def geometric_mean(rows: Iterable[ProbedLayer]) -> float | None:
    """The mean speedup of the rows that were measured; None where there are none."""
    logs = [-math.log(row.ratio) for row in rows if row.ratio is not None and row.grade != "unreliable"]
    return math.exp(sum(logs) / len(logs)) if logs else None


def shape_key(row: ProbedLayer) -> tuple[object, ...]:
    """What two rows of the same layer at the same batch size have in common."""
    return *layer_key(row), row.batch_size


def layer_words(layer: LayerShape) -> str:
    """`Conv 3×3 64→128`: the layer without its work."""
    if layer.operator == "Conv":
        outputs, inputs = layer.weight_shape[0], layer.weight_shape[1] * layer.groups
    else:
        inputs, outputs = layer.weight_shape[0], layer.weight_shape[1]
    return f"{layer.kind} {inputs}→{outputs}"


def names_of(layers: Iterable[LayerShape]) -> dict[LayerKey, str]:
    """A name for each layer by `layer_key`: its words, and its work where another layer has the same words."""
    found = {layer_key(layer): layer for layer in layers}
    words = {key: layer_words(layer) for key, layer in found.items()}
    twice = Counter(words.values())
    return {key: name if twice[name] == 1 else f"{name}, {_short_macs(found[key].macs)}" for key, name in words.items()}


def layer_key(layer: LayerShape) -> LayerKey:
    """What two rows of the same layer have in common."""
    return layer.operator, layer.weight_shape, layer.groups, layer.macs


def macs_words(macs: int) -> str:
    """`1.2 M multiply-adds`."""
    return f"{_short_macs(macs)} multiply-adds"


def _short_macs(macs: int) -> str:
    for limit, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if macs >= limit:
            return f"{macs / limit:.3g}{unit}"
    return str(macs)


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
