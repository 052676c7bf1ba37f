"""Which choices of a knob stand in a row."""

from __future__ import annotations

import math

import pytest

from search.space.space import Choice, Knob
from search.sweep.axes import axes_of


def choices_on_axes(kind: str, *choices: Choice) -> list[tuple[Choice, ...]]:
    return [axis.choices for axis in axes_of(Knob(name=f"{kind}/a", layers=("a",), choices=choices))]


@pytest.mark.parametrize(
    ("kind", "choices", "expected"),
    [
        ("bits", ("fp32", "int8", "int4-weights"), []),
        ("sparsity", (0.0, 0.25, 0.5, 1.0), [(0.25, 0.5)]),  # all channels: a branch goes, and damage jumps
        ("sparsity", (0.0, 1.0), []),
        ("sparsity", (0.0, "2:4", "unstructured 0.5", "unstructured 0.9"), [("unstructured 0.5", "unstructured 0.9")]),
        (
            "sparsity",
            (0.0, 0.5, "unstructured 0.75", "unstructured 0.5"),
            [(0.5,), ("unstructured 0.5", "unstructured 0.75")],
        ),
        ("rank", (1.0, 0.75, 0.5, 0.125), [(0.75, 0.5, 0.125)]),
        ("rank", (1.0,), []),
    ],
)
def test_from_the_mildest_to_the_strongest(
    kind: str, choices: tuple[Choice, ...], expected: list[tuple[Choice, ...]]
) -> None:
    assert choices_on_axes(kind, *choices) == expected


def test_halving_a_rank_is_a_step_wherever_it_is_halved() -> None:
    (axis,) = axes_of(Knob(name="rank/a", layers=("a",), choices=(1.0, 0.5, 0.25, 0.125)))
    steps = [after - before for before, after in zip(axis.positions, axis.positions[1:], strict=False)]
    assert steps == pytest.approx([math.log(2)] * 2)


def test_an_axis_of_one_choice_has_one_end() -> None:
    (axis,) = axes_of(Knob(name="rank/a", layers=("a",), choices=(1.0, 0.5)))
    assert axis.ends == (0.5,)
