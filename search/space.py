"""The search space: what the network has, crossed with what the target's profile says pays."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from compress.factorize import rank_of
from compress.layers import Layer
from compress.policy import INT8, UNTOUCHED, LayerPolicy, Policy

if TYPE_CHECKING:
    import optuna

RANK_FRACTIONS = (1.0, 0.75, 0.5, 0.375, 0.3125, 0.25, 0.1875, 0.125)
_BY_BITS = {32: UNTOUCHED, 8: INT8}


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One categorical variable of the study.

    Attributes:
        name: `bits/LAYER` or `rank/LAYER`, as Optuna and its dashboard show it.
        layer: The layer it turns.
        choices: Its settings, the one that leaves the layer alone first.
    """

    name: str
    layer: str
    choices: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class Start:
    """A policy to try before the sampler takes over."""

    label: str
    params: Mapping[str, float]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """Every policy that is worth a trial on this network and target."""

    layers: tuple[str, ...]
    knobs: tuple[Knob, ...]

    @property
    def size(self) -> int:
        """How many policies there are."""
        count = 1
        for knob in self.knobs:
            count *= len(knob.choices)
        return count

    def params(self, position: int) -> dict[str, float]:
        """The parameters at `position` in the enumeration of all policies; position 0 leaves every layer alone."""
        params = {}
        for knob in self.knobs:
            position, choice = divmod(position, len(knob.choices))
            params[knob.name] = knob.choices[choice]
        return params

    def suggest(self, trial: "optuna.Trial") -> Policy:
        """Let the study's sampler choose a setting for every knob."""
        return self.policy({knob.name: trial.suggest_categorical(knob.name, knob.choices) for knob in self.knobs})

    def policy(self, params: Mapping[str, Any]) -> Policy:
        """The policy that a trial's parameters stand for; knobs that are not named leave their layer alone."""
        return policy_of(self.layers, params)

    def starts(self) -> tuple[Start, ...]:
        """FP32, each uniform bitwidth, and the narrowest of them at each rank fraction.

        A layer that lacks a choice takes its nearest. Ranks are not tried in wider formats: a fast network has both.
        """
        bits = sorted({int(c) for k in self.knobs if k.name.startswith("bits/") for c in k.choices}, reverse=True)
        fractions = sorted({c for k in self.knobs if k.name.startswith("rank/") for c in k.choices}, reverse=True)
        starts: dict[tuple[float, ...], Start] = {}
        for fraction in fractions or [1.0]:
            for width in (bits or [32]) if fraction == 1.0 else (bits or [32])[-1:]:
                params = {k.name: _nearest(k, width if k.name.startswith("bits/") else fraction) for k in self.knobs}
                starts.setdefault(tuple(params.values()), Start(label=_label(width, fraction), params=params))
        return tuple(starts.values())


def build_space(layers: Sequence[Layer], *, weight_bits: Iterable[int], rank_multiple: int) -> SearchSpace:
    """Knobs for every layer that has a choice.

    Args:
        layers: The network's layers.
        weight_bits: Bitwidths that pay on the target.
        rank_multiple: Ranks that pay are multiples of this.
    """
    bits = tuple(float(b) for b in sorted({32, *weight_bits} & set(_BY_BITS), reverse=True))
    knobs = []
    for layer in layers:
        for kind, choices in (("bits", bits), ("rank", _rank_choices(layer, rank_multiple))):
            if len(choices) > 1:
                knobs.append(Knob(name=f"{kind}/{layer.name}", layer=layer.name, choices=choices))
    return SearchSpace(layers=tuple(layer.name for layer in layers), knobs=tuple(knobs))


def policy_of(layers: Iterable[str], params: Mapping[str, Any]) -> Policy:
    """The policy for `layers` that a trial's parameters stand for."""
    choices = {}
    for layer in layers:
        base = _BY_BITS[int(params.get(f"bits/{layer}", 32))]
        choices[layer] = LayerPolicy(
            weight_bits=base.weight_bits,
            activation_bits=base.activation_bits,
            activation_mode=base.activation_mode,
            rank=float(params.get(f"rank/{layer}", 1.0)),
        )
    return Policy(choices)


def summarize(policy: Policy) -> str:
    """A policy in a few words: `14 of 16 layers 8-bit, 3 at rank 0.5`."""
    total = len(policy.layers)
    eight = sum(choice.weight_bits == 8 for choice in policy.layers.values())
    parts = [f"{eight} of {total} layers 8-bit" if eight else "FP32"]
    for fraction in sorted({c.rank for c in policy.layers.values() if c.rank < 1.0}, reverse=True):
        count = sum(choice.rank == fraction for choice in policy.layers.values())
        parts.append(f"{count} at rank {fraction:g}")
    return ", ".join(parts)


def _rank_choices(layer: Layer, multiple: int) -> tuple[float, ...]:
    """Fractions that lead to different ranks, the largest fraction for each."""
    by_rank: dict[int | None, float] = {}
    for fraction in RANK_FRACTIONS:
        rank = rank_of(layer, fraction, multiple)
        if rank is not None or fraction == 1.0:
            by_rank.setdefault(rank, fraction)
    return tuple(by_rank.values())


def _nearest(knob: Knob, wanted: float) -> float:
    """The choice closest to `wanted`; between two equally close ones the gentler."""
    return min(knob.choices, key=lambda choice: (abs(choice - wanted), -choice))


def _label(bits: int, fraction: float) -> str:
    name = "FP32" if bits == 32 else f"all {bits}-bit"
    return name if fraction == 1.0 else f"{name}, rank {fraction:g}"
