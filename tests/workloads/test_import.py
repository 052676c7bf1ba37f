"""Importing `workloads` is cheap."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["workloads", "workloads.builtin.mnist_resnet"])
def test_importing_brings_nothing_heavy(module: str) -> None:
    heavy = ("torch", "onnxruntime", "onnx", "scipy", "mlxtend", "safetensors")
    code = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    import workloads

    assert all(hasattr(workloads, name) for name in workloads.__all__)
