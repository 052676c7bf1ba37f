"""What single choices do, each alone in a network that is otherwise left as it is; recorded in the study.

It is found once, by whoever begins the study, so that a sampler in any other process needs nothing but the study.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from search.errors import SearchError
from search.space.space import Choice

if TYPE_CHECKING:
    import optuna

DAMAGE_EFFECTS = "damage_effects"
"""User attribute of the study: `format_version`, `effects` (rows of knob, choice, mean and deviation) and `exponent`, 1
where it is missing."""

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Effect:
    """What one choice of one knob alone was found to add.

    Attributes:
        mean: To the cost ratio, or to the divergence.
        deviation: How far off that may be in the midst of other choices, above 0.

    Raises:
        ValueError: One of them is not finite, or the deviation is not above 0.
    """

    mean: float
    deviation: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mean) and math.isfinite(self.deviation) and self.deviation > 0):
            raise ValueError(
                f"an effect needs a finite mean and a finite deviation above 0, got {self.mean} and {self.deviation}"
            )


Effects = Mapping[tuple[str, Choice], Effect]
"""By name of the knob and choice."""

NO_EFFECTS: Effects = MappingProxyType({})

_LEAST_DEVIATION = 1e-12


def powered(effects: Effects, exponent: float) -> Effects:
    """The same effects on the `exponent`-th power of what they add to."""
    return MappingProxyType({key: _powered(effect, exponent) for key, effect in effects.items()})


def _powered(effect: Effect, exponent: float) -> Effect:
    size = max(effect.mean, effect.deviation)  # where nothing is known to be added the deviation says how much may be
    deviation = effect.deviation * exponent * size ** (exponent - 1.0)
    return Effect(mean=max(effect.mean, 0.0) ** exponent, deviation=max(deviation, _LEAST_DEVIATION))


def record_damage_effects(study: "optuna.Study", effects: Effects, *, exponent: float = 1.0) -> None:
    """Write what single choices were found to add to the divergence into the study, in place of what it had.

    No effects are a record too: there was a sweep, and it found nothing.

    Args:
        study: The study.
        effects: In units of the divergence.
        exponent: The power of the divergence that adds up over layers (`search.sweep.joint`).

    Raises:
        ValueError: The exponent is not above 0.
    """
    if not (math.isfinite(exponent) and exponent > 0):
        raise ValueError(f"exponent must be finite and above 0, got {exponent}")
    rows = [[knob, choice, effect.mean, effect.deviation] for (knob, choice), effect in effects.items()]
    study.set_user_attr(DAMAGE_EFFECTS, {"format_version": FORMAT_VERSION, "exponent": exponent, "effects": rows})


def has_damage_effects(study: "optuna.Study") -> bool:
    """Whether `record_damage_effects` has written into the study."""
    return DAMAGE_EFFECTS in study.user_attrs


def recorded_damage_effects(study: "optuna.Study") -> Effects:
    """What `record_damage_effects` wrote; none where it has not.

    Raises:
        SearchError: A newer paretune wrote it.
    """
    record = _record(study)
    if record is None:
        return NO_EFFECTS
    return MappingProxyType(
        {
            (str(knob), choice): Effect(mean=float(mean), deviation=float(deviation))
            for knob, choice, mean, deviation in record["effects"]
        }
    )


def recorded_damage_exponent(study: "optuna.Study") -> float:
    """The power of the divergence that adds up over layers, as `record_damage_effects` wrote it; 1 where it has not.

    Raises:
        SearchError: A newer paretune wrote it.
    """
    record = _record(study)
    return 1.0 if record is None else float(record.get("exponent", 1.0))


def _record(study: "optuna.Study") -> dict[str, Any] | None:
    record: dict[str, Any] | None = study.user_attrs.get(DAMAGE_EFFECTS)
    if record is not None and record.get("format_version") != FORMAT_VERSION:
        raise SearchError(
            f"the damage effects of the study {study.study_name!r} have format_version "
            f"{record.get('format_version')}, this paretune reads {FORMAT_VERSION}; upgrade paretune"
        )
    return record
