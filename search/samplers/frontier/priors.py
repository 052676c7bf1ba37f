"""What is believed of each choice before anything was measured: from the layers' multiply-adds and the formats' bits.

A belief has two parts. What a choice does on the whole network is shared by all layers, in proportion to their size;
what a layer does otherwise is its own. So a few trials that turn every layer alike say something about each.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from compress.policy import FORMATS
from search.layers.effects import NO_EFFECTS, Effects
from search.space.space import Choice, Knob

Reason = tuple[str, str]
"""What a shared effect belongs to: a kind of knob or of edge, and the choice."""


@dataclass(frozen=True, kw_only=True)
class Belief:
    """A normal belief about what is shared, and how far single layers stray from it.

    Attributes:
        mean: Of the shared effect, on the whole network.
        deviation: Of the same.
        spread: Standard deviation of a layer's own part, relative to its share of the network.
        floor: The same for a layer of no multiply-adds, relative to an equal share.
    """

    mean: float
    deviation: float
    spread: float
    floor: float


@dataclass(frozen=True, kw_only=True)
class Priors:
    """Beliefs about one quantity.

    Attributes:
        kind: `cost`, as a ratio to FP32's; `damage`, as a power of the divergence from its outputs; or `constraint`, in
            units of the largest value seen.
        effects: What is known of single choices; they replace the beliefs about these.
        exponent: Which power of the divergence.
        beside: Of a cost: the share of FP32's that a profile puts down to no layer.
    """

    kind: Literal["cost", "damage", "constraint"]
    effects: Effects = field(default_factory=lambda: NO_EFFECTS)
    exponent: float = 1.0
    beside: float = 0.0

    def of_choice(self, knob: Knob, choice: Choice) -> tuple[Reason, Belief]:
        """The belief about a choice of a knob."""
        reason = knob.kind, _bin(choice)
        if self.kind == "cost":
            return reason, _cost_belief(knob.kind, choice)
        if self.kind == "constraint":
            return reason, Belief(mean=0.0, deviation=1.0, spread=0.5, floor=0.5)
        size = _DAMAGE.get(str(choice), 0.3 * reduction(knob.kind, choice) if knob.kind != "bits" else 0.1)
        return reason, Belief(mean=size**self.exponent, deviation=1.0, spread=1.0, floor=0.0)

    @property
    def of_known(self) -> Belief:
        """The belief about all known effects together, over what they were found to be.

        They may be off as a whole: a sweep on few samples, damage that piles up.
        """
        return Belief(mean=1.0, deviation=0.3, spread=0.0, floor=0.0)

    def of_joint(self, knob: Knob, wanted: Choice) -> tuple[Reason, Belief]:
        """The belief about a format of a layer that `knob` makes smaller as well, per share removed.

        What a format saves on multiply-adds that are gone is not saved again.
        """
        if self.kind == "cost":
            saved = 1.0 - _SPEED.get(str(wanted), 0.7)
            belief = Belief(mean=saved, deviation=0.3, spread=0.3, floor=0.1)
        else:
            belief = Belief(mean=0.0, deviation=0.1, spread=0.3, floor=0.0)
        return (f"bits×{knob.kind}", str(wanted)), belief

    def of_transition(self, one: Choice, other: Choice) -> tuple[Reason, Belief]:
        """The belief about formats that differ between neighbours, on all pairs of neighbours together."""
        return ("transition", f"{one}→{other}"), Belief(mean=0.2, deviation=0.3, spread=0.0, floor=1.0)

    def speed(self, name: str) -> float:
        """What a format's work is believed to cost, over FP32's."""
        return 1.0 if name == "fp32" else _SPEED.get(name, 0.7)

    @property
    def constant(self) -> tuple[float, float]:
        """Mean and standard deviation where nothing is done.

        A ratio is 1, up to what measuring FP32 against itself says; a divergence is 0.
        """
        return {"cost": (1.0, 0.01), "damage": (0.0, 1e-9), "constraint": (0.0, 1.0)}[self.kind]

    @property
    def has_transitions(self) -> bool:
        """Whether neighbours matter: converting costs time and, beyond what either format loses, no accuracy."""
        return self.kind == "cost"


# Cost over FP32's where every layer has the format: what processors with instructions for it do, roughly.
_SPEED: Mapping[str, float] = {
    "fp16": 0.7,
    "int8": 0.4,
    "int8-dynamic": 0.6,
    "int8-weights": 0.8,
    "int4-weights": 0.8,
}

# Divergence where every layer has the format: a quarter per bit fewer, as rounding errors go, from int8's typical 2%.
_DAMAGE: Mapping[str, float] = {
    name: 0.02 * 4.0 ** (8 - min(form.weight_bits, 16)) for name, form in FORMATS.items() if name != "fp32"
}


def _cost_belief(kind: str, choice: Choice) -> Belief:
    if kind == "bits":
        return Belief(mean=_SPEED.get(str(choice), 0.7) - 1.0, deviation=0.3, spread=0.4, floor=0.2)
    if isinstance(choice, str):  # a mask saves only where the engine skips zeros
        return Belief(mean=-0.1, deviation=0.2, spread=0.3, floor=0.1)
    # Full savings are the bound that overheads keep one from.
    return Belief(mean=-0.8 * reduction(kind, choice), deviation=0.3, spread=0.4, floor=0.2)


def reduction(kind: str, choice: Choice) -> float:
    """The share of multiply-adds (of weights, for a mask) that a sparsity or a rank takes away; 0 for a format."""
    if kind == "bits":
        return 0.0
    ratio = float(choice.rsplit(" ", 1)[-1]) if isinstance(choice, str) and choice != "2:4" else choice
    if isinstance(ratio, str):
        return 0.5
    return 1.0 - ratio if kind == "rank" else ratio


def _bin(choice: Choice) -> str:
    """Choices that are nearly the same on layers of different widths share an effect."""
    return choice if isinstance(choice, str) else f"{round(8 * choice) / 8:g}"
