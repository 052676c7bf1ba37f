"""What a probe's rows say, which formats they rule out, and that they survive their file."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwprofiles import HardwareProfile, LayerShape, ProbedLayer, ProfileError, load_profile, write_profile
from tests.hwprofiles.probed_rows import profile_with, row, rows

CONV = row().choice


def shape(like: LayerShape, **changes: Any) -> LayerShape:
    return LayerShape(**{name: getattr(like, name) for name in LayerShape.model_fields} | changes)


@pytest.mark.parametrize(
    ("given_row", "verdict"),
    [
        (row(0.5), "pays"),
        (row(1.2), "cannot pay"),
        (row(1.0), "undecided"),
        (row(0.5, grade="unreliable"), "undecided"),
        (row(1.2, grade="unreliable"), "undecided"),
        (row(0.5, grade="contended"), "pays"),
        (row(0.5, instead="the runtime runs it in FusedConv"), "undecided"),
        (row(1.2, instead="the runtime runs it in FusedConv"), "cannot pay"),
        (row(None), "refused"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(given_row: ProbedLayer, verdict: str) -> None:
    assert given_row.verdict == verdict


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"format": "fp16", "scheme": "u8s8"}, "scheme goes with int8"),
        ({"format": "int8", "scheme": None}, "scheme goes with int8"),
        ({"format": "int4-weights", "operator": "MatMul", "weight_only_compute": None}, "go with weight-only formats"),
        ({"width": 32, "rank": 16}, "at most one of width, rank"),
        ({"low": 0.6}, "low <= ratio <= high"),
        ({"grade": None}, "go together"),
        ({"refused": "no"}, "has no figures"),
    ],
)
def test_rows_that_make_no_sense_are_refused(changes: dict[str, Any], part: str) -> None:
    with pytest.raises(ValidationError, match=part):
        row(**changes)


def test_a_choice_stands_in_a_probe_once() -> None:
    with pytest.raises(ValidationError, match=r"Conv 3×3 \(64, 64, 3, 3\) in int8 stands there twice"):
        profile_with(row(0.5), row(0.6))


def test_unprobed_profiles_rule_nothing_out() -> None:
    assert load_profile("local-cpu").cannot_pay(CONV) == frozenset()


def test_a_slower_format_is_ruled_out_for_its_layer_and_no_other() -> None:
    matmul = row(1.3, operator="MatMul", format="int8-dynamic")
    profile = profile_with(matmul, row(0.4, operator="MatMul"), row(1.1, operator="MatMul", format="int4-weights"))
    assert profile.cannot_pay(matmul) == {"int8-dynamic", "int4-weights"}
    assert profile.cannot_pay(shape(matmul, operator="Gemm")) == frozenset()
    assert profile.cannot_pay(CONV) == frozenset()


@pytest.mark.parametrize(
    ("changes", "ruled_out"),
    [
        ({}, True),
        ({"weight_shape": (320, 420)}, True),
        ({"macs": 384 * 384 * 196 * 2}, True),
        ({"macs": 384 * 384 * 196 * 2 + 1}, False),
        ({"macs": 384 * 384 * 98 - 1}, False),
        ({"macs": 0}, False),
        ({"weight_shape": (384, 1536)}, False),
    ],
)
def test_only_layers_of_about_the_same_work_and_weights_are_judged(changes: dict[str, Any], ruled_out: bool) -> None:
    probed = row(1.3, operator="MatMul", format="int8-dynamic")
    assert bool(profile_with(probed).cannot_pay(shape(probed, **changes))) is ruled_out


def test_kernels_and_grouping_have_to_agree() -> None:
    depthwise = row(1.3, weight_shape=(64, 1, 3, 3), groups=64)
    profile = profile_with(depthwise, row(1.1, weight_shape=(64, 1, 3, 3), groups=64, mixed=True))
    assert profile.cannot_pay(depthwise) == {"int8"}
    assert profile.cannot_pay(shape(depthwise, groups=1)) == frozenset()
    assert profile.cannot_pay(shape(depthwise, weight_shape=(64, 1, 1, 9))) == frozenset()


@pytest.mark.parametrize(
    "settings",
    [{"threads": 2}, {"int8_scheme": "s8s8"}, {"weight_only_compute": "float"}, {"weight_block_size": 64}],
)
def test_other_settings_are_other_kernels(settings: dict[str, Any]) -> None:
    slow = (
        row(1.3, operator="MatMul", format="int8-dynamic"),
        row(1.3, operator="MatMul", format="int4-weights"),
    )
    assert profile_with(*slow).cannot_pay(slow[0]) == {"int8-dynamic", "int4-weights"}
    assert profile_with(*slow, **settings).cannot_pay(slow[0]) < {"int8-dynamic", "int4-weights"}


def test_another_batch_size_is_another_question() -> None:
    slow = row(1.3, operator="MatMul", format="int8-dynamic", batch_size=32)
    profile = profile_with(slow)
    assert profile.cannot_pay(slow) == frozenset()
    assert profile.with_engine(batch_size=32).cannot_pay(slow) == {"int8-dynamic"}


def test_the_layer_itself_outweighs_those_like_it_and_those_must_agree() -> None:
    small = row(1.3, operator="MatMul", weight_shape=(300, 300), format="int8-dynamic")
    large = row(0.8, operator="MatMul", weight_shape=(400, 400), format="int8-dynamic")
    profile = profile_with(small, large)
    assert profile.cannot_pay(small) == {"int8-dynamic"}
    assert profile.cannot_pay(large) == frozenset()
    assert profile.cannot_pay(shape(small, weight_shape=(350, 350), macs=350 * 350 * 196)) == frozenset()


@pytest.mark.parametrize(("mixed_ratio", "ruled_out"), [(1.1, True), (1.19, False), (1.3, False), (None, False)])
@pytest.mark.parametrize("what", [{}, {"format": "fp16", "scheme": None}, {"operator": "Gemm"}])
def test_a_layer_that_spares_its_neighbours_conversions_is_ruled_out_only_where_fp32_wins_among_them(
    what: dict[str, Any], mixed_ratio: float | None, ruled_out: bool
) -> None:
    """In FP32 it would pay for both conversions, so the chain that alternates must be the faster one."""
    slow = row(1.2, **what)
    profile = profile_with(slow, *(() if mixed_ratio is None else (row(mixed_ratio, mixed=True, **what),)))
    assert profile.cannot_pay(slow) == ({slow.format} if ruled_out else frozenset())


def test_a_mixed_chain_that_is_unreliable_rules_nothing_out() -> None:
    assert profile_with(row(1.2), row(1.0, mixed=True, grade="unreliable")).cannot_pay(CONV) == frozenset()


def test_rows_of_narrowed_and_factorized_layers_rule_no_format_out() -> None:
    profile = profile_with(*(row(1.4, operator="MatMul", **what) for what in ({"width": 32}, {"rank": 8})))
    assert profile.cannot_pay(row(operator="MatMul")) == frozenset()


@given(st.lists(rows(), max_size=4, unique_by=lambda each: each.choice), st.lists(st.text(), max_size=2))
def test_a_probed_profile_survives_its_file(layers: list[ProbedLayer], notes: list[str]) -> None:
    profile = profile_with(*layers)
    assert profile.probe is not None
    profile = profile.model_copy(update={"probe": profile.probe.model_copy(update={"notes": tuple(notes)})})
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "my-board.toml"
        write_profile(profile, path)
        assert load_profile(path) == profile
        assert [found.name for found in path.parent.iterdir()] == ["my-board.toml"]


def test_every_shipped_profile_survives_its_file(tmp_path: Path) -> None:
    from hwprofiles import list_profiles

    for name in list_profiles():
        profile = load_profile(name)
        write_profile(profile, tmp_path / f"{name}.toml")
        assert load_profile(tmp_path / f"{name}.toml") == profile


def test_engine_options_survive_their_file(tmp_path: Path) -> None:
    table = {"engine": {"name": "onnxruntime-cuda", "options": {"a.b": "1", "use": "yes"}}}
    profile = HardwareProfile.model_validate(profile_with().model_dump() | table)
    write_profile(profile, tmp_path / "gpu.toml")
    assert load_profile(tmp_path / "gpu.toml") == profile


@pytest.mark.parametrize(
    ("old", "new", "parts"),
    [
        ("complete", "compleet", ["'probe.compleet'", "did you mean 'complete'?"]),
        ("ratio", "ration", ["'probe.layers.0.ration'", "did you mean 'ratio'?"]),
        ("ratio = 0.5", 'ratio = "fast"', ["'probe.layers.0.ratio'", "got 'fast'"]),
    ],
)
def test_a_mistake_in_a_probe_is_told_in_one_line(tmp_path: Path, old: str, new: str, parts: list[str]) -> None:
    path = tmp_path / "my-board.toml"
    write_profile(profile_with(row(0.5)), path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    assert "\n" not in str(caught.value)
    assert [part for part in parts if part not in str(caught.value)] == []


def test_a_profile_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ProfileError, match="cannot be written"):
        write_profile(profile_with(), tmp_path / "file" / "my-board.toml")
