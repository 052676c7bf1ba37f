"""What is measured, and in which order."""

from __future__ import annotations

import pytest

from hwprofiles import HardwareProfile, ProbedChoice
from hwprofiles.vocabulary import NumberFormat
from latency.probing import ProbeGroup
from search.probing import BUILT_IN, QUICK, plan_groups
from search.probing.cases import main_scheme
from tests.hwprofiles.probed_rows import profile_with


def planned(
    profile: HardwareProfile | None = None, *, larger_batch: int | None = 32, quick: bool = False
) -> list[ProbeGroup]:
    return plan_groups(BUILT_IN, profile or profile_with(), larger_batch=larger_batch, quick=quick)


def choices(groups: list[ProbeGroup]) -> list[ProbedChoice]:
    return [choice for group in groups for choice in group.choices]


def test_every_choice_is_measured_once() -> None:
    everything = choices(planned())
    assert len(set(everything)) == len(everything)


def test_formats_come_first_then_the_larger_batch_then_widths_then_ranks() -> None:
    def stage(choice: ProbedChoice) -> int:
        if choice.rank or choice.sparsity:
            return 3
        return 2 if choice.width else int(choice.batch_size == 32)

    stages = [stage(choice) for choice in choices(planned())]
    assert stages == sorted(stages)
    assert set(stages) == {0, 1, 2, 3}


def test_every_format_scheme_and_compute_that_a_layer_can_have_is_tried() -> None:
    for batch_size in (1, 32):
        for layer in BUILT_IN:
            found = [each for each in choices(planned()) if each.batch_size == batch_size and each.is_plain]
            found = [
                each
                for each in found
                if each.model_dump(include={"macs", "weight_shape"})
                == layer.shape.model_dump(include={"macs", "weight_shape"})
            ]
            formats: set[NumberFormat] = {"int8", "fp16"}
            if layer.shape.operator == "MatMul":
                formats |= {"int8-dynamic", "int8-weights", "int4-weights"}
                assert {each.weight_only_compute for each in found} == {None, "float", "int8"}
            assert {each.format for each in found} == formats
            assert {each.scheme for each in found if each.format == "int8"} == {"u8s8", "u8s7", "s8s8", "symmetric"}


def test_alternating_chains_are_tried_where_neighbours_share_conversions() -> None:
    for layer in BUILT_IN:
        found = [each for each in choices(planned(larger_batch=None)) if each.mixed and each.macs == layer.shape.macs]
        found = [each for each in found if each.weight_shape == layer.shape.weight_shape]
        assert {each.format for each in found} == ({"fp16"} if layer.shape.operator == "MatMul" else {"fp16", "int8"})
    unoffered = choices(planned(profile_with(offered=("fp32", "int8")), larger_batch=None))
    assert not any(each.mixed and each.format == "fp16" for each in unoffered), "a choice that nobody has"


def test_the_profile_s_own_scheme_comes_first_and_is_that_of_widths_and_ranks() -> None:
    everything = choices(planned(profile_with(int8_scheme="symmetric")))
    assert everything[0].scheme == "symmetric"
    assert {each.scheme for each in everything if each.width or each.rank or each.mixed} == {None, "symmetric"}


@pytest.mark.parametrize(("given", "scheme"), [("auto", "u8s8"), ("none", "u8s8"), ("s8s8", "s8s8")])
def test_an_undecided_scheme_is_tried_as_u8s8(given: str, scheme: str) -> None:
    assert main_scheme(profile_with(int8_scheme=given)) == scheme


def test_widths_lie_around_every_multiple_in_fp32_and_in_8_bits() -> None:
    narrowed = [each for each in choices(planned()) if each.width]
    assert len({(each.weight_shape, each.macs) for each in narrowed}) <= 3
    first = [each for each in narrowed if each.weight_shape == (64, 64, 3, 3)]
    for name in ("fp32", "int8"):
        assert {each.width for each in first if each.format == name} == set(range(32, 65, 4))


def test_ranks_save_weights_and_keep_the_multiple() -> None:
    ranks = [each for each in choices(planned()) if each.rank]
    assert ranks
    for each in ranks:
        assert each.rank is not None
        outputs, inputs = each.weight_shape[0], each.weight_count // each.weight_shape[0]
        assert each.rank * (outputs + inputs) < outputs * inputs
        assert each.rank % 16 == 0


def test_zeros_are_tried_where_an_engine_may_skip_them() -> None:
    profile = profile_with()
    assert not any(each.sparsity for each in choices(planned(profile)))
    sparse = profile.model_copy(update={"sparsity": profile.sparsity.model_copy(update={"patterns": ("2:4",)})})
    assert {each.format for each in choices(planned(sparse)) if each.sparsity} == {"fp16", "int8"}


def test_quick_leaves_out_all_but_formats() -> None:
    assert all(each.is_plain or each.mixed for each in choices(planned(quick=True)))
    assert {each.batch_size for each in choices(planned(larger_batch=None, quick=True))} == {1}
    assert len(plan_groups(QUICK, profile_with(), larger_batch=1)) < len(planned(larger_batch=1))
