"""In which order single choices are measured: what decides most comes first, since time may run out."""

from collections.abc import Iterable, Iterator, Mapping

from search.space.space import Choice, Knob, SearchSpace
from search.sweep.axes import axes_of
from search.sweep.readings import Key, Readings, next_between

# The format that most of a fast network has.
_NARROW = "int8"


def planned(space: SearchSpace, macs: Mapping[str, int], readings: Readings) -> Iterator[Key]:
    """The choices to measure, as long as `readings` lacks them; it is looked into again before each.

    First each layer's 8-bit format and the ends of its axes, the layers with the most multiply-adds first; then what
    stands on no axis (other formats, masks, whole branches); then what lies between two ends too far apart to
    interpolate.
    """
    knobs = sorted(space.knobs, key=lambda knob: -sum(macs.get(layer, 0) for layer in knob.layers))
    for choices in (_first, _single):
        for knob in knobs:
            yield from _missing(knob, choices(knob), readings)
    while (key := next_between(space, readings)) is not None:
        yield key


def _missing(knob: Knob, choices: Iterable[Choice], readings: Readings) -> Iterator[Key]:
    yield from ((knob.name, choice) for choice in choices if (knob.name, choice) not in readings)


def _first(knob: Knob) -> Iterator[Choice]:
    if knob.kind == "bits":
        yield _NARROW if _NARROW in knob.choices else knob.choices[-1]
    for axis in axes_of(knob):
        yield from axis.ends


def _single(knob: Knob) -> list[Choice]:
    on_axes = {choice for axis in axes_of(knob) for choice in axis.choices}
    return [choice for choice in knob.choices[1:] if choice not in on_axes]
