"""Profiles are found by name or path, and every mistake in one is told in one line."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from importlib import resources
from pathlib import Path

import pytest

from hwprofiles import ProfileError, detect_machine, int8_scheme, list_profiles, load_profile

GOOD = 'name = "board"\nsummary = "A board"\n[sparsity]\nchannel_multiple = 8\n'


def test_every_shipped_profile_loads_under_its_file_name() -> None:
    assert "local-cpu" in list_profiles()
    for name in list_profiles():
        assert load_profile(name).name == name


def test_local_profile_comes_back_with_its_scheme_decided() -> None:
    scheme, _reason = int8_scheme(detect_machine())
    assert load_profile("local-cpu").formats.int8_scheme == scheme


def test_shipped_example_shows_every_key() -> None:
    text = resources.files("hwprofiles").joinpath("data/local-cpu.toml").read_text()
    profile = load_profile("local-cpu")
    parts = (profile, profile.reach, profile.engine, profile.formats, profile.sparsity)
    keys = {key for part in parts for key in type(part).model_fields}
    assert [key for key in keys if key not in text] == []
    assert tomllib.loads(text)["format_version"] == 1


def test_path_is_read_and_defaults_fill_in(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(GOOD + '[formats]\nint8_scheme = "s8s8"\n')
    for reference in (path, str(path)):
        profile = load_profile(reference)
        assert (profile.name, profile.sparsity.channel_multiple) == ("board", 8)
        assert profile.formats.int8_scheme == "s8s8"


def test_unknown_name_lists_what_there_is_and_what_is_close() -> None:
    with pytest.raises(ProfileError, match=r"'local-cpx': did you mean 'local-cpu'\? Known: .*local-cpu, "):
        load_profile("local-cpx")


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("name = \n", ["not valid TOML", "line 1"]),
        (GOOD.replace("summary", "sumary"), ["'sumary'", "did you mean 'summary'?"]),
        (GOOD + "[engine]\nthread = 2\n", ["'engine.thread'", "did you mean 'threads'?"]),
        (GOOD + "[engine]\nthreads = 0\n", ["'engine.threads'", "got 0"]),
        (GOOD + '[engine]\nthreads = "many"\n', ["'engine.threads'", "got 'many'"]),
        (GOOD + '[formats]\nint8_scheme = "u9"\n', ["'formats.int8_scheme'", "'u8s8'", "got 'u9'"]),
        (GOOD + '[formats]\noffered = ["fp32", "int3"]\n', ["'formats.offered.1'", "'int4-weights'", "got 'int3'"]),
        (GOOD + "[formats]\nweight_bits = [12]\n", ["'formats'", "weight_bits must be", "got [12]"]),
        (GOOD + 'patterns = ["channel"]\n', ["'sparsity.patterns.0'", "'channels'", "got 'channel'"]),
        (GOOD + '[reach]\ntransport = "pigeon"\n', ["'reach.transport'", "got 'pigeon'"]),
        ('name = "b"\nsummary = "B"\n', ["'sparsity'", "missing"]),
        ("format_version = 2\nfuture = 1\n" + GOOD, ["'format_version'", "up to 1, got 2", "upgrade"]),
    ],
)
def test_mistake_in_a_file_is_one_line_with_file_key_and_value(tmp_path: Path, text: str, parts: list[str]) -> None:
    path = tmp_path / "board.toml"
    path.write_text(text)
    with pytest.raises(ProfileError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert "\n" not in message
    assert [part for part in [str(path), *parts] if part not in message] == []


def test_missing_and_binary_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(ProfileError, match=r"cannot be read \(No such file"):
        load_profile(tmp_path / "absent.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ProfileError, match="not UTF-8 text at byte 0"):
        load_profile(tmp_path / "binary.toml")


def test_importing_loads_nothing_heavy() -> None:
    code = "import sys, hwprofiles; print([m for m in ('numpy', 'psutil', 'cpuinfo') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
