"""What decides most is measured first."""

from __future__ import annotations

from search.space.space import Knob, SearchSpace
from search.sweep.order import planned
from search.sweep.readings import Key, Reading

SPACE = SearchSpace(
    layers=("small", "large"),
    knobs=(
        Knob(name="bits/small", layers=("small",), choices=("fp32", "int8", "int4-weights")),
        Knob(name="sparsity/small", layers=("small",), choices=(0.0, 0.25, 0.5, 0.75, 1.0)),
        Knob(name="bits/large", layers=("large",), choices=("fp32", "fp16", "int8")),
        Knob(name="rank/large", layers=("large",), choices=(1.0, 0.5)),
    ),
)
MACS = {"small": 10, "large": 1000}
FIRST: list[Key] = [
    ("bits/large", "int8"),
    ("rank/large", 0.5),
    ("bits/small", "int8"),
    ("sparsity/small", 0.75),
    ("sparsity/small", 0.25),
]
SINGLE: list[Key] = [("bits/large", "fp16"), ("bits/small", "int4-weights"), ("sparsity/small", 1.0)]


def swept(readings: dict[Key, Reading | None], damage: float) -> list[Key]:
    """The order in which everything is measured, where the strongest sparsity does `damage`."""
    order = []
    for key in planned(SPACE, MACS, readings):
        order.append(key)
        readings[key] = Reading(mean=damage if key[1] == 0.75 else 0.001, standard_error=0.0)
    return order


def test_ends_and_8_bits_of_the_largest_layers_then_what_stands_alone_then_what_lies_between() -> None:
    assert swept({}, damage=0.1) == [*FIRST, *SINGLE, ("sparsity/small", 0.5)]


def test_what_can_be_interpolated_is_not_measured() -> None:
    assert swept({}, damage=0.002) == [*FIRST, *SINGLE]


def test_what_is_measured_or_has_failed_is_not_measured_again() -> None:
    readings: dict[Key, Reading | None] = dict.fromkeys(FIRST[:4], Reading(mean=0.001, standard_error=0.0))
    readings[SINGLE[0]] = None
    assert swept(readings, damage=0.1) == [FIRST[4], *SINGLE[1:]]


def test_without_multiply_adds_the_order_is_the_network_s() -> None:
    assert next(planned(SPACE, {}, {})) == ("bits/small", "int8")


def test_a_layer_without_8_bits_begins_with_its_narrowest_format() -> None:
    knob = Knob(name="bits/a", layers=("a",), choices=("fp32", "fp16", "int4-weights"))
    assert next(planned(SearchSpace(layers=("a",), knobs=(knob,)), {}, {})) == ("bits/a", "int4-weights")
