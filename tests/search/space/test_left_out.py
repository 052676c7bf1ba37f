"""A probed profile leaves what cannot pay out of the space, layer by layer; any other leaves the space as it is."""

from __future__ import annotations

import pytest

from compress.layers import Layer
from compress.policy import FORMATS
from hwprofiles import list_profiles, load_profile
from search.space.left_out import formats_left_out, words_of_left_out
from search.space.space import SearchSpace, build_space
from tests.hwprofiles.probed_rows import profile_with, row


def layer(name: str, inputs: int, outputs: int, macs: int | None = None, *, turned: bool = False) -> Layer:
    return Layer(
        name=name, node_name=name, op_type="Gemm" if turned else "MatMul", weight_name=f"{name}.weight",
        weight_shape=(outputs, inputs) if turned else (inputs, outputs), output_axis=0 if turned else 1, groups=1,
        macs=inputs * outputs * 196 if macs is None else macs,
    )  # fmt: skip


LAYERS = [layer("a", 384, 384), layer("b", 400, 400), layer("c", 384, 4096), layer("d", 384, 384, macs=0)]


def space(left_out: dict[str, frozenset[str]]) -> SearchSpace:
    return build_space(LAYERS, formats=FORMATS, channel_multiple=16, cannot_pay=left_out)


def bits(found: SearchSpace) -> dict[str, tuple[object, ...]]:
    return {knob.layers[0]: knob.choices for knob in found.knobs if knob.kind == "bits"}


@pytest.mark.parametrize("name", list_profiles())
def test_shipped_profiles_leave_nothing_out(name: str) -> None:
    assert formats_left_out(LAYERS, load_profile(name)) == {}


def test_a_space_without_a_probe_is_as_it_was() -> None:
    plain = build_space(LAYERS, formats=FORMATS, channel_multiple=16)
    assert space({}) == plain
    assert bits(plain)["a"] == tuple(FORMATS)


def test_what_cannot_pay_is_no_choice_of_its_layer() -> None:
    profile = profile_with(
        row(1.3, operator="MatMul", format="int8-dynamic"),
        row(1.1, operator="MatMul", format="int4-weights"),
        row(0.4, operator="MatMul"),
    )
    left_out = formats_left_out(LAYERS, profile)
    assert left_out == {name: {"int8-dynamic", "int4-weights"} for name in ("a", "b")}
    choices = bits(space(left_out))
    assert choices["a"] == choices["b"] == ("fp32", "fp16", "int8", "int8-weights")
    assert choices["c"] == choices["d"] == tuple(FORMATS)
    assert words_of_left_out(left_out, LAYERS, profile) == [
        "int8-dynamic left out of 2 layers: the probe of my-board measured ×0.77",
        "int4-weights left out of 2 layers: the probe of my-board measured ×0.91",
    ]


def test_formats_that_the_profile_does_not_offer_are_not_spoken_of() -> None:
    profile = profile_with(row(1.3, operator="MatMul", format="int8-dynamic"), offered=("fp32", "int8"))
    assert formats_left_out(LAYERS, profile) == {}


def test_fp32_always_stays() -> None:
    left_out = {"a": frozenset(FORMATS)}
    assert "a" not in bits(space(left_out)), "a knob without a choice is no knob"
    assert space(left_out).policy({})["a"].format == "fp32"


def test_a_matrix_stored_outputs_first_is_the_same_layer() -> None:
    gemms = [layer("a", 64, 192, turned=True)]
    probed = row(1.3, operator="Gemm", weight_shape=(64, 192), format="int8-dynamic")
    assert formats_left_out(gemms, profile_with(probed)) == {"a": {"int8-dynamic"}}
    assert words_of_left_out({"a": frozenset({"int8-dynamic"})}, gemms, profile_with(probed)) == [
        "int8-dynamic left out of 1 layer: the probe of my-board measured ×0.77"
    ]
