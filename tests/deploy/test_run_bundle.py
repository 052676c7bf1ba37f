"""The program in a bundle answers with numpy and onnxruntime, and nothing else of ours or anybody's."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from compress.runtime import open_session
from deploy.exportable import Exportable


def closure(name: str, found: set[str]) -> set[str]:
    """A package and all that it requires without extras."""
    if name in found:
        return found
    found.add(name)
    for requirement in importlib.metadata.requires(name) or []:
        if "extra ==" not in requirement:
            required = re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
            closure(required.lower(), found)
    return found


@pytest.fixture(scope="session")
def only_two_packages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds what `pip install numpy onnxruntime` would install, as links."""
    folder = tmp_path_factory.mktemp("site")
    for name in closure("onnxruntime", closure("numpy", set())):
        for file in importlib.metadata.files(name) or []:
            top = file.parts[0]
            if top not in ("..", "__pycache__") and not (folder / top).exists():
                (folder / top).symlink_to(Path(str(importlib.metadata.distribution(name).locate_file(top))))
    return folder


def run(bundle: Path, packages: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """`run.py` in a Python without site-packages (-S) and without a word from its surroundings (-I)."""
    start = f"import sys, runpy; sys.path.append({str(packages)!r}); sys.argv[0] = {str(bundle / 'run.py')!r}; "
    command = [sys.executable, "-I", "-S", "-c", start + "runpy.run_path(sys.argv[0], run_name='__main__')", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=bundle.parent)


def test_it_answers_the_example(bundle: Path, only_two_packages: Path) -> None:
    assert "onnx" not in {path.name for path in only_two_packages.iterdir()}
    result = run(bundle, only_two_packages)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("y float32 (1, 4) [")


def test_it_answers_other_inputs_as_the_network_was_measured(
    bundle: Path, point: Exportable, only_two_packages: Path, tmp_path: Path
) -> None:
    inputs = np.random.default_rng(7).normal(size=(5, 3, 24, 24)).astype(np.float32)
    np.savez(tmp_path / "in.npz", x=inputs)
    result = run(bundle, only_two_packages, str(tmp_path / "in.npz"), str(tmp_path / "out.npz"))
    assert result.returncode == 0, result.stderr
    session = open_session(point.onnx_bytes, session_entries=point.session_entries)
    with np.load(tmp_path / "out.npz") as outputs:
        np.testing.assert_array_equal(outputs["y"], session.run(None, {"x": inputs})[0])


def test_it_is_a_short_program(bundle: Path) -> None:
    lines = [line for line in (bundle / "run.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= 25
