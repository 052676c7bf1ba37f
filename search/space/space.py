"""The search space: what the network has, crossed with what the target's profile says pays."""

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from compress.channels.groups import ChannelGroup
from compress.channels.widths import sparsity_choices
from compress.layers import Layer
from compress.policy import FORMATS, UNTOUCHED, LayerPolicy, Policy
from compress.ranks import rank_of
from compress.weight_rows import inputs_per_group
from compress.weights.mask_layer import takes_runs

if TYPE_CHECKING:
    import optuna

RANK_FRACTIONS = (1.0, 0.75, 0.5, 0.375, 0.3125, 0.25, 0.1875, 0.125)

Choice = float | str

_CONVOLUTION_FORMATS = ("fp32", "fp16", "int8")
_MASKS: Mapping[str, tuple[str, ...]] = {
    "2:4": ("2:4",),
    "unstructured": ("unstructured 0.5", "unstructured 0.75", "unstructured 0.9"),
}


@dataclass(frozen=True, kw_only=True)
class Knob:
    """One categorical variable of the study.

    Attributes:
        name: `bits/LAYER`, `sparsity/LAYER` or `rank/LAYER`, as Optuna and its dashboard show it. Layers that must lose
            the same channels share a knob, named for the first of them.
        layers: The layers it turns.
        choices: Its settings, the one that leaves the layers alone first: format names for bits; for sparsity the ratio
            of channels removed, or a mask (`2:4`, `unstructured 0.5`); fractions of the break-even rank.
    """

    name: str
    layers: tuple[str, ...]
    choices: tuple[Choice, ...]

    @property
    def kind(self) -> str:
        """`bits`, `sparsity` or `rank`."""
        return self.name.split("/", 1)[0]


@dataclass(frozen=True, kw_only=True)
class Start:
    """A policy to try before the sampler takes over."""

    label: str
    params: Mapping[str, Choice]


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

    def params(self, position: int) -> dict[str, Choice]:
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
        """The policy that a trial's parameters stand for; knobs that are not named leave their layers alone."""
        choices = dict.fromkeys(self.layers, UNTOUCHED)
        for knob in self.knobs:
            if knob.name in params:
                for layer in knob.layers:
                    choices[layer] = _turned(choices[layer], knob.kind, params[knob.name])
        return Policy(choices)

    def starts(self) -> tuple[Start, ...]:
        """FP32, each uniform format, and int8 (or the narrowest there is) at each rank and at each sparsity.

        A layer that lacks a choice takes its nearest. Ranks and sparsities are not tried in wider formats: a fast
        network has both.
        """
        offered = {kind: {c for k in self.knobs if k.kind == kind for c in k.choices} for kind in _NEUTRAL}
        formats = [name for name in FORMATS if name in offered["bits"]] or ["fp32"]
        narrow = "int8" if "int8" in formats else formats[-1]
        wanted: list[dict[str, Choice]] = [{"bits": name} for name in formats]
        wanted += [{"bits": narrow, "rank": c} for c in sorted(_ratios(offered["rank"]), reverse=True)]
        wanted += [{"bits": narrow, "sparsity": c} for c in sorted(_ratios(offered["sparsity"]))]
        wanted += [
            {"bits": narrow, "sparsity": mask} for mask in sorted(offered["sparsity"] - _ratios(offered["sparsity"]))
        ]
        starts: dict[tuple[Choice, ...], Start] = {}
        for choice in wanted:
            params = {knob.name: _nearest(knob, choice.get(knob.kind, _NEUTRAL[knob.kind])) for knob in self.knobs}
            starts.setdefault(tuple(params.values()), Start(label=_label(choice), params=params))
        return tuple(starts.values())


# Before formats had names, studies spoke of 32 and 8 bits.
_FORMAT_OF_BITS: Mapping[int, str] = {32: "fp32", 8: "int8"}
_UNIFORM_LABELS: Mapping[str, str] = {"fp32": "FP32", "int8": "all 8-bit"}
_NEUTRAL: Mapping[str, Choice] = {"bits": "fp32", "sparsity": 0.0, "rank": 1.0}


def build_space(
    layers: Sequence[Layer],
    groups: Iterable[ChannelGroup] = (),
    *,
    formats: Iterable[str],
    patterns: Iterable[str] = (),
    channel_multiple: int,
    cannot_pay: Mapping[str, AbstractSet[str]] = MappingProxyType({}),
) -> SearchSpace:
    """Knobs for every layer that has a choice.

    Args:
        layers: The network's layers.
        groups: Channels that can be removed together.
        formats: Names of the number formats that pay on the target, besides fp32.
        patterns: Sparsity patterns that pay there: `channels`, `2:4`, `unstructured`.
        channel_multiple: Widths and ranks that pay are multiples of this.
        cannot_pay: Layer name to the formats that were measured to be slower than fp32 there (`search.space.left_out`).
    """
    offered = [name for name in FORMATS if name in {"fp32", *formats}]
    patterns = tuple(patterns)
    by_owner = {group.name: group for group in groups} if "channels" in patterns else {}
    written_with = {member.layer: group for group in by_owner.values() for member in group.producers}
    knobs = []
    for layer in layers:
        bits = tuple(
            name
            for name in offered
            if (layer.op_type != "Conv" or name in _CONVOLUTION_FORMATS)
            and (name == "fp32" or name not in cannot_pay.get(layer.name, ()))
        )
        knobs.append(Knob(name=f"bits/{layer.name}", layers=(layer.name,), choices=bits))
        group = written_with.get(layer.name)
        masks = tuple(mask for pattern in patterns for mask in _MASKS.get(pattern, ()) if _fits(layer, pattern))
        if group is None:
            knobs.append(Knob(name=f"sparsity/{layer.name}", layers=(layer.name,), choices=(0.0, *masks)))
        elif group.producers[0].layer == layer.name:
            choices: tuple[Choice, ...] = (*sparsity_choices(group, channel_multiple), *masks)
            producers = tuple(member.layer for member in group.producers)
            knobs.append(Knob(name=f"sparsity/{layer.name}", layers=producers, choices=choices))
        ranks = _rank_choices(layer, channel_multiple)
        knobs.append(Knob(name=f"rank/{layer.name}", layers=(layer.name,), choices=ranks))
    return SearchSpace(
        layers=tuple(layer.name for layer in layers), knobs=tuple(knob for knob in knobs if len(knob.choices) > 1)
    )


def _fits(layer: Layer, pattern: str) -> bool:
    return pattern != "2:4" or takes_runs(inputs_per_group(layer))


@lru_cache(maxsize=4096)
def _turned(choice: LayerPolicy, kind: str, setting: Choice) -> LayerPolicy:
    if kind == "rank":
        return replace(choice, rank=float(setting))
    if kind == "bits":
        wanted = FORMATS[setting if isinstance(setting, str) else _FORMAT_OF_BITS[int(setting)]]
        return replace(
            choice,
            weight_bits=wanted.weight_bits,
            activation_bits=wanted.activation_bits,
            activation_mode=wanted.activation_mode,
        )
    if not isinstance(setting, str):
        return replace(choice, sparsity=float(setting), sparsity_pattern="channels" if setting else "none")
    if setting == "2:4":
        return replace(choice, sparsity=0.5, sparsity_pattern="2:4")
    return replace(choice, sparsity=float(setting.removeprefix("unstructured ")), sparsity_pattern="unstructured")


def summarize(policy: Policy) -> str:
    """A policy in a few words: `14 of 16 layers int8, 4 at sparsity 0.5, 3 at rank 0.5`."""
    total = len(policy.layers)
    choices = list(policy.layers.values())
    counts = {name: sum(choice.format == name for choice in choices) for name in FORMATS if name != "fp32"}
    parts = [f"{count} of {total} layers {name}" for name, count in counts.items() if count] or ["FP32"]
    for said, values, neutral in (
        ("sparsity", [choice.sparsity for choice in choices], 0.0),
        ("rank", [choice.rank for choice in choices], 1.0),
    ):
        others = sorted(set(values) - {neutral}, key=lambda value: abs(value - neutral))
        parts += [f"{values.count(value)} at {said} {value:g}" for value in others]
    return ", ".join(parts)


def _rank_choices(layer: Layer, multiple: int) -> tuple[float, ...]:
    """Fractions that lead to different ranks, the largest fraction for each."""
    by_rank: dict[int | None, float] = {}
    for fraction in RANK_FRACTIONS:
        rank = rank_of(layer, fraction, multiple)
        if rank is not None or fraction == 1.0:
            by_rank.setdefault(rank, fraction)
    return tuple(by_rank.values())


def _ratios(choices: Iterable[Choice]) -> set[float]:
    return {choice for choice in choices if not isinstance(choice, str)}


def _nearest(knob: Knob, wanted: Choice) -> Choice:
    """The choice closest to `wanted`, between two equally close ones the gentler; int8 or nothing for a format."""
    if wanted in knob.choices:
        return wanted
    if isinstance(wanted, str):
        return "int8" if knob.kind == "bits" and "int8" in knob.choices and wanted != "fp16" else knob.choices[0]
    ratios = [choice for choice in knob.choices if not isinstance(choice, str)]
    return min(ratios, key=lambda choice: (abs(choice - wanted), abs(choice - float(_NEUTRAL[knob.kind]))))


def _label(choice: Mapping[str, Choice]) -> str:
    name = _UNIFORM_LABELS.get(str(choice["bits"]), f"all {choice['bits']}")
    parts = [
        f"{kind} {choice[kind]}" for kind in ("sparsity", "rank") if choice.get(kind, _NEUTRAL[kind]) != _NEUTRAL[kind]
    ]
    return ", ".join([name, *parts])
