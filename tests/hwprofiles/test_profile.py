"""A profile is frozen, refuses what it does not know, and can be overridden only within its own rules."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from hwprofiles import Engine, HardwareProfile, ProfileError, Sparsity


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


def test_scheme_none_takes_8_bits_out_of_the_bits_that_pay(profile: HardwareProfile) -> None:
    assert profile.with_int8_scheme("none").formats.weight_bits == (32,)
    assert profile.with_int8_scheme("u8s7").formats.weight_bits == (32, 8)
    assert profile.with_int8_scheme("u8s7").formats.int8_scheme == "u8s7"
