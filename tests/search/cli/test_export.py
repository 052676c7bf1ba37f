"""Select, export, verify, apply: as a person calls them, and as their CI reads the answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess, Popen
from xml.etree import ElementTree as ET

import pytest

from search import RunResult, read_result

Call = Callable[..., "CompletedProcess[str]"]
Start = Callable[..., "Popen[str]"]


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def halve(bundle: Path) -> None:
    """Half of what was measured, so that no interval of a busy machine reaches it."""
    manifest = json.loads((bundle / "manifest.json").read_text())
    exported = manifest["latency"]["exported"]
    lowest = min(exported["ms_low"], manifest["latency"]["confirmed"]["ms_low"])
    manifest["promises"]["max_latency_ms"] = lowest / 2
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def walk(call: Call, run: Path, tmp_path: Path) -> None:
    """The knee through select, export and verify; then the two ways to break it."""
    chosen = call("select", run, "--knee", "--json")
    assert chosen.returncode == 0, chosen.stderr
    program, *command = json.loads(chosen.stdout)["export_command"]
    assert program == "paretune"
    command[command.index("--out") + 1] = "bundle"
    for _ in range(4):
        exported = call(*command, "--archive", "--with-calibration", "--format", "triton")
        if "free of other work, and export again" not in exported.stderr:  # what it says on a busy machine
            break
        assert not (tmp_path / "bundle").exists()
    assert exported.returncode == 0, exported.stderr
    bundle = tmp_path / "bundle"

    for _ in range(4):
        kept = call("verify", bundle, "--json", "v.json", "--junit", "v.xml")
        assert kept.returncode == 0, kept.stdout + kept.stderr
        if "verify again when it is quiet" not in kept.stdout:  # what it says on a busy machine
            break
    assert ("All that is promised is kept." in kept.stdout) == ("undecided" not in kept.stdout)
    assert json.loads((tmp_path / "v.json").read_text())["verdict"] == "kept"
    assert ET.parse(tmp_path / "v.xml").getroot().get("failures") == "0"  # noqa: S314 - our own text

    again = call("apply", bundle / "fp32.onnx", bundle / "policy.json", "--out", "again.onnx")
    assert again.returncode == 0, again.stderr
    assert "the same bytes as the bundle's" in again.stdout
    assert (tmp_path / "again.onnx").read_bytes() == (bundle / "model.onnx").read_bytes()

    manifest = (bundle / "manifest.json").read_text()
    halve(bundle)
    broken = call("verify", bundle, "--junit", "v.xml")
    assert broken.returncode == 1, broken.stdout + broken.stderr
    assert "latency: too slow: even the low end of the interval" in broken.stdout
    assert "Broken: latency" in broken.stdout  # on a host that is slower today the speedup may be broken too
    failure = ET.parse(tmp_path / "v.xml").getroot().find(".//failure")  # noqa: S314 - our own text
    assert failure is not None
    assert (failure.get("message") or "").startswith("too slow")

    (bundle / "manifest.json").write_text(manifest)
    flip(bundle / "model.onnx")
    tampered = call("verify", bundle, "--json", "v.json")
    assert tampered.returncode == 1, tampered.stdout + tampered.stderr
    assert "'model.onnx' was changed: its SHA-256 is" in tampered.stdout
    assert json.loads((tmp_path / "v.json").read_text())["verdict"] == "broken"
    # The archive was made before.
    assert call("verify", "bundle.tar.gz", "--max-latency-ms", "1e9").returncode == 0


def test_the_knee_goes_from_the_run_to_a_gate(call: Call, finished: RunResult, tmp_path: Path) -> None:
    walk(call, finished.folder, tmp_path)


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_the_demos_knee_goes_from_a_search_that_was_killed_twice_to_a_gate(
    start: Start, call: Call, tmp_path: Path
) -> None:
    command = ("search", "mnist-resnet", "--trials", "4", "--sampler", "random", "--out", "demo")
    for moment in ("Searching 2/", "Confirming the front 2/"):
        process = start(*command)
        assert process.stdout is not None
        assert any(moment in line for line in process.stdout), moment
        process.kill()
        process.communicate()
    process = start(*command)
    _, errors = process.communicate(timeout=700)
    assert (process.returncode, errors) == (0, "")
    result = read_result(tmp_path / "demo")
    assert result.is_confirmed
    assert len({point.digest for point in result.points}) == len(result.points) == 4
    walk(call, tmp_path / "demo", tmp_path)


def test_wrong_calls_exit_with_2_and_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, finished: RunResult, tmp_path: Path
) -> None:
    from search.cli.app import run_app

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "one.jpg").touch()
    number = next(point.number for point in finished.points if point.confirmed)
    run = finished.folder
    for arguments, reason in (
        (("export", run, "--point", "4711", "--out", "b"), "no point '4711' in this run"),
        (("export", run, "--point", number, "--out", "photos"), "is there already and is no bundle"),
        (("export", run, "--point", number, "--out", "b", "--format", "zip"), "no format called 'zip'"),
        (("export", run, "--point", number, "--out", "b", "--format", "tensorrt"), "has no built engine"),
        (("export", tmp_path, "--point", number, "--out", "b"), "no run in"),
        (("verify", "nothing"), "there is no bundle 'nothing'"),
        (("verify", "photos"), "is no bundle: it has no manifest.json"),
        (("verify", "nothing", "--json", "nowhere/v.json"), "there is no folder 'nowhere'"),
        (("verify", "nothing", "--host", "pi"), "--host goes with --target"),
        (("apply", "x.onnx", "policy.json", "--out", "o.onnx"), "give a bundle's manifest.json with --recipe"),
    ):
        assert run_app([str(argument) for argument in arguments]) == 2, arguments
        error = capsys.readouterr().err.strip()
        assert reason in error
        assert len(error.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]
