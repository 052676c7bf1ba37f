"""What is believed of the damage that is left after a training, before any candidate was trained.

Damage before and after a training are two quantities with a model each, and no observation of one is one of the other:
networks that answer like chance before (a divergence of 1.1 to 2.2) came back to divergences of 0.03 to 1.0. What they
share is which choices harm most. So the second model begins with a share of the effects that single choices have
untrained, and doubts that share, as a whole and for each choice.

What training leaves grows faster than the sum of these effects: on a small residual network (15 trainings of three
epochs) it stayed at 0.02 to 0.04 while the sum went from 0.06 to 1.5, and rose to 1.0 at 4. A root makes it nearly a
sum; the constant is what training changes even where next to nothing was compressed.
"""

from dataclasses import dataclass

from search.layers.effects import Effect, Effects
from search.samplers.frontier.priors import Belief, Priors, Reason
from search.space.space import Choice, Knob

ROOT = 0.5
"""What adds up of the damage after a training is this power of what would add up of it untrained."""

LEFT = 0.2
"""The share of a choice's effect that training leaves, before any training has said so."""

LEAST_TRAINED = 10
"""So many trained candidates before what the model expects may keep another from being trained."""


@dataclass(frozen=True, kw_only=True)
class TrainedPriors(Priors):
    """Beliefs about the damage after a training: `effects` are those of single choices untrained."""

    def of_choice(self, knob: Knob, choice: Choice) -> tuple[Reason, Belief]:
        """A share of what is believed of the choice untrained."""
        reason, belief = super().of_choice(knob, choice)
        return reason, Belief(
            mean=LEFT * belief.mean, deviation=LEFT * belief.deviation, spread=belief.spread, floor=belief.floor
        )

    @property
    def of_known(self) -> Belief:
        """Anything from nothing to several times that share may be left."""
        return Belief(mean=1.0, deviation=1.0, spread=0.0, floor=0.0)

    @property
    def constant(self) -> tuple[float, float]:
        """What training changes where nothing was done to a layer."""
        return 0.1, 0.1


def trained_priors(effects: Effects, exponent: float) -> TrainedPriors:
    """The beliefs that follow from single choices' effects untrained.

    Args:
        effects: On the `exponent`-th power of the divergence.
        exponent: The power of the divergence that adds up over layers untrained.
    """
    left = {
        key: Effect(mean=LEFT * effect.mean, deviation=LEFT * (effect.deviation + effect.mean))
        for key, effect in effects.items()
    }
    return TrainedPriors(kind="damage", effects=left, exponent=exponent)
