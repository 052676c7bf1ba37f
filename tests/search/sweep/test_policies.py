"""Few policies, of which each tells something of every layer."""

from __future__ import annotations

from search.space.space import Knob, SearchSpace
from search.sweep.policies import mixed, profiled

LAYERS = ("a", "b")
RATIOS = (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 1.0)
SPACE = SearchSpace(
    layers=LAYERS,
    knobs=tuple(
        knob
        for name in LAYERS
        for knob in (
            Knob(name=f"bits/{name}", layers=(name,), choices=("fp32", "int8", "int8-dynamic")),
            Knob(name=f"sparsity/{name}", layers=(name,), choices=RATIOS),
            Knob(name=f"rank/{name}", layers=(name,), choices=(1.0, 0.75, 0.5, 0.25)),
        )
    ),
)


def kinds() -> list[tuple[object, object, object]]:
    return [(params["bits/a"], params["sparsity/a"], params["rank/a"]) for params in profiled(SPACE)]


def test_fp32_then_the_formats_and_the_middle_narrow_and_wide() -> None:
    found = kinds()
    assert found[:2] == [("fp32", 0.0, 1.0), ("int8", 0.0, 1.0)]
    assert {("int8", 0.5, 1.0), ("fp32", 0.5, 1.0), ("int8-dynamic", 0.0, 1.0)} <= set(found)
    assert {bits for bits, _, rank in found if rank != 1.0} == {"fp32", "int8"}
    assert len({sparsity for _, sparsity, _ in found}) == 4
    assert len(found) == len(set(found)) <= 12


def test_no_branch_is_removed() -> None:
    assert all(sparsity != 1.0 for _, sparsity, _ in kinds())


def test_every_knob_has_a_choice() -> None:
    assert all(set(params) == {knob.name for knob in SPACE.knobs} for params in profiled(SPACE))


def test_a_space_without_choices_has_fp32_alone() -> None:
    assert profiled(SearchSpace(layers=LAYERS, knobs=())) == ({},)


def test_mixed_policies_draw_formats_alone_and_change_between_neighbours_either_way() -> None:
    found = mixed(SPACE)
    assert all(set(params) == {knob.name for knob in SPACE.knobs} for params in found)
    assert all(
        params[f"sparsity/{name}"] == 0.0 and params[f"rank/{name}"] == 1.0 for params in found for name in LAYERS
    )
    pairs = {(params["bits/a"], params["bits/b"]) for params in found}
    assert {("fp32", "int8"), ("int8", "fp32")} <= pairs
    assert found == mixed(SPACE)


def test_nothing_is_mixed_where_one_layer_has_a_choice_at_most() -> None:
    lone = tuple(knob for knob in SPACE.knobs if knob.name != "bits/b")
    assert mixed(SearchSpace(layers=LAYERS, knobs=lone)) == ()
