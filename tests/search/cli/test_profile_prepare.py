"""What an emulated target runs in is built on demand, and a search without it says which demand."""

from __future__ import annotations

from pathlib import Path

import pytest

from latency.emulation import build
from latency.emulation.root import Root
from search.cli.app import run_app


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(
        path=tmp_path / "root",
        emulator="qemu-aarch64 7.2.22",
        python="python3.11",
        packages={"libc6": "2.36-9", "zlib1g": "1:1.2"},
        wheels={"onnxruntime": "1.32.0", "numpy": "2.4.6"},
        cpus=("cortex-a76", "max"),
        built_at="2026-01-02T03:04:05+00:00",
    )


def test_steps_and_what_came_of_them_are_told(
    root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Path, str]] = []

    def build_root(path: Path, *, onnxruntime_version: str, listener: build.Listener) -> Root:
        asked.append((path, onnxruntime_version))
        listener("fetching", 1, 2)
        listener("unpacking", 2, 2)
        return root

    monkeypatch.setattr(build, "build_root", build_root)
    assert run_app(["profile", "prepare", "arm-emulated", "--root", str(root.path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.strip() for line in lines[:2]] == ["1/2 fetching", "2/2 unpacking"]
    assert lines[2].startswith(f"{root.path} is prepared")
    assert "numpy 2.4.6, onnxruntime 1.32.0, libc 2.36-9, 2 packages of Debian" in lines[3]
    assert "cortex-a76, max; qemu-aarch64 7.2.22" in lines[4]
    import onnxruntime

    assert asked == [(root.path, onnxruntime.__version__)]


def test_complete_root_is_said_to_be_there(
    root: Root, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "usable_root", lambda *_: root)
    assert run_app(["profile", "prepare"]) == 0
    assert "was prepared before (2026-01-02T03:04:05+00:00)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["local-cpu"], "reached by transport = 'local': nothing to prepare"),
        (["arm-emulatd"], "did you mean 'arm-emulated'?"),
        (["--root", "FULL"], "holds something else; name an empty or a new one with --root"),
    ],
)
def test_mistake_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    (tmp_path / "mine").touch()
    monkeypatch.setattr(build, "_require_programs", lambda: None)
    monkeypatch.setattr(build, "require_plugins", lambda: None)
    monkeypatch.setattr(build, "emulator_version", lambda: "qemu-aarch64 7.2.22")
    named = [str(tmp_path) if argument == "FULL" else argument for argument in arguments]
    assert run_app(["profile", "prepare", *named]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.splitlines()) == 1


def test_search_downloads_nothing_and_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from onnx import TensorProto, helper, save

    from latency.emulation import root as roots

    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 8]) for name in ("x", "y")]
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "tiny", ends[:1], ends[1:])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), tmp_path / "net.onnx")
    monkeypatch.setattr(roots, "emulator_version", lambda: "qemu-aarch64 7.2.22")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert run_app(["profile", "check", "arm-emulated", "--model", str(tmp_path / "net.onnx")]) == 1
    assert "paretune profile prepare arm-emulated" in capsys.readouterr().out
    assert not (tmp_path / "cache").exists()
