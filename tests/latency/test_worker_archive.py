"""The archive is the same every day, runs on old Pythons, and brings nothing along."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import zipfile
from pathlib import Path

from latency.worker_archive import build_archive


def test_same_sources_give_the_same_bytes() -> None:
    assert build_archive() == build_archive()


def test_archive_holds_the_worker_and_an_empty_parent() -> None:
    with zipfile.ZipFile(io.BytesIO(build_archive())) as archive:
        names = archive.namelist()
        assert archive.read("latency/__init__.py") == b""
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    assert "latency/worker/serve.py" in names
    assert [name for name in names if not name.startswith("latency/worker/")] == ["__main__.py", "latency/__init__.py"]


def test_worker_reads_as_python_39() -> None:
    with zipfile.ZipFile(io.BytesIO(build_archive())) as archive:
        for name in archive.namelist():
            tree = ast.parse(archive.read(name), filename=name, feature_version=(3, 9))
            if tree.body and name not in {"__main__.py", "latency/__init__.py"}:
                assert "annotations" in ast.unparse(tree), f"{name}: annotations must not run"


def test_old_python_gets_as_far_as_its_refusal() -> None:
    with zipfile.ZipFile(io.BytesIO(build_archive())) as archive:
        main = archive.read("__main__.py")
    ast.parse(main, feature_version=(3, 4))
    code = f"import sys; sys.version_info = (3, 8, 10); exec({main!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == f"the worker needs Python 3.9 or newer, and {sys.executable} is Python 3.8\n"


def test_worker_loads_nothing_of_ours_but_itself(tmp_path: Path) -> None:
    path = tmp_path / "worker.pyz"
    path.write_bytes(build_archive())
    code = (
        f"import sys; sys.path.insert(0, {str(path)!r}); import latency.worker.serve\n"
        "ours = ('hwprofiles', 'compress', 'search', 'pydantic', 'psutil', 'scipy', 'onnx', 'torch')\n"
        "print(sorted(name for name in sys.modules if name.split('.')[0] in ours))\n"
        "print(sys.modules['latency'].__file__)"
    )
    lines = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[0] == "[]"
    assert lines[1].startswith(str(path))


def test_archive_answers_on_standard_streams(tmp_path: Path) -> None:
    path = tmp_path / "worker.pyz"
    path.write_bytes(build_archive())
    requests = b'{"op":"hello","id":1,"engine":"onnxruntime"}\n{"op":"exit","id":2}\n'
    done = subprocess.run([sys.executable, str(path)], input=requests, capture_output=True, check=True)
    assert [line[:7] for line in done.stdout.splitlines()] == [b'{"id":1', b'{"id":2']
