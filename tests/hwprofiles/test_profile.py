"""A profile is frozen, refuses what it does not know, and can be overridden only within its own rules."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwprofiles import Engine, Formats, HardwareProfile, ProfileError, Sparsity


@pytest.fixture
def profile() -> HardwareProfile:
    return HardwareProfile(name="board", summary="A board", sparsity=Sparsity(channel_multiple=16))


def test_override_changes_what_was_given_and_keeps_the_rest(profile: HardwareProfile) -> None:
    changed = profile.with_engine(threads=2, affinity=(0, 1), batch_size=8, spinning=False)
    assert changed.engine == Engine(threads=2, affinity=(0, 1), batch_size=8, spinning=False)
    assert profile.engine == Engine()
    assert changed.with_engine() == changed


@pytest.mark.parametrize(
    ("change", "key", "value"),
    [
        ({"threads": 0}, "threads", "0"),
        ({"batch_size": -1}, "batch_size", "-1"),
        ({"affinity": (1, 1)}, "affinity", "(1, 1)"),
        ({"affinity": ()}, "affinity", "()"),
    ],
)
def test_bad_override_names_profile_key_and_value(
    profile: HardwareProfile, change: dict[str, object], key: str, value: str
) -> None:
    with pytest.raises(ProfileError) as caught:
        profile.with_engine(**change)  # type: ignore[arg-type]
    assert "'board'" in str(caught.value)
    assert f"'{key}'" in str(caught.value)
    assert f"got {value}" in str(caught.value)


def test_profile_is_frozen(profile: HardwareProfile) -> None:
    with pytest.raises(ValidationError):
        profile.engine.threads = 4  # type: ignore[misc]


def test_scheme_none_takes_8_bits_out_of_the_formats(profile: HardwareProfile) -> None:
    assert profile.with_int8_scheme("none").formats.offered == ("fp32",)
    assert profile.with_int8_scheme("u8s7").formats.offered == ("fp32", "int8")
    assert profile.with_int8_scheme("u8s7").formats.int8_scheme == "u8s7"


def test_scheme_none_leaves_formats_that_need_no_integer_arithmetic(profile: HardwareProfile) -> None:
    formats = Formats(offered=("fp32", "int8", "int8-dynamic", "int4-weights"), weight_block_size=64)
    decided = profile.model_copy(update={"formats": formats}).with_int8_scheme("none").formats
    assert (decided.offered, decided.weight_block_size) == (("fp32", "int4-weights"), 64)


def test_formats_have_one_order_however_they_were_written() -> None:
    formats = Formats(offered=("int4-weights", "fp32", "int8"))
    assert formats == Formats(offered=("fp32", "int8", "int4-weights"))
    assert formats.weight_bits == (32, 8, 4)


@pytest.mark.parametrize(
    ("bits", "offered"),
    [([32, 8], ("fp32", "int8")), ([8], ("fp32", "int8")), ([4, 16, 32], ("fp32", "fp16", "int4-weights"))],
)
def test_bits_of_older_profiles_still_read(bits: list[int], offered: tuple[str, ...]) -> None:
    assert Formats.model_validate({"weight_bits": bits}).offered == offered


@pytest.mark.parametrize(
    ("table", "part"),
    [
        ({"weight_bits": [32, 8], "offered": ["fp32"]}, "leave weight_bits out"),
        ({"weight_bits": [32, 7]}, r"weight_bits must be a list of 32, 16, 8, 4, got \[32, 7\]"),
        ({"weight_bits": 8}, "got 8"),
        ({"offered": ["int8"]}, "fp32 among them"),
        ({"offered": ["fp32", "int8", "int8"]}, "distinct formats"),
        ({"offered": ["fp32", "int9"]}, "'int8'"),
        ({"weight_block_size": 24}, "16, 32, 64"),
        ({"weight_only_compute": "half"}, "'float' or 'int8'"),
    ],
)
def test_formats_that_make_no_sense_are_refused(table: dict[str, object], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        Formats.model_validate(table)


def test_sparsity_patterns_are_those_of_policies() -> None:
    patterns = ("channels", "2:4", "unstructured")
    assert Sparsity(patterns=patterns, channel_multiple=1).patterns == patterns
    for wrong in (["channel"], ["channels", "channels"]):
        with pytest.raises(ValidationError):
            Sparsity.model_validate({"patterns": wrong, "channel_multiple": 1})
