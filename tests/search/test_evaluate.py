"""Where this host's kernels say what the target's will be, and where they do not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from hwprofiles import HardwareProfile, Machine
from search.evaluate import has_same_kernels

HOST = Machine(
    cpu="A", architecture="x86_64", flags=("avx2",), physical_cores=4, logical_cores=8, memory_bytes=1, os="Linux 1",
    python="3.11",
)  # fmt: skip


@pytest.mark.parametrize(
    ("reach", "engine", "architecture", "expected"),
    [
        ({"transport": "local"}, {"name": "onnxruntime"}, "x86_64", True),
        ({"transport": "ssh", "host": "server"}, {"name": "onnxruntime"}, "x86_64", True),
        ({"transport": "ssh", "host": "pi"}, {"name": "onnxruntime"}, "aarch64", False),
        ({"transport": "emulated"}, {"name": "onnxruntime"}, "aarch64", False),
        ({"transport": "local"}, {"name": "onnxruntime-cuda"}, "x86_64", False),
        ({"transport": "local"}, {"name": "tensorrt"}, "x86_64", False),
        ({"transport": "local"}, {"provider": "XnnpackExecutionProvider"}, "x86_64", False),
    ],
)
def test_only_the_same_engine_on_the_same_architecture_has_the_same_kernels(
    profile: HardwareProfile, reach: dict[str, Any], engine: dict[str, Any], architecture: str, expected: bool
) -> None:
    target = HardwareProfile.model_validate({**profile.model_dump(), "reach": reach, "engine": engine})
    assert has_same_kernels(target, dataclasses.replace(HOST, architecture=architecture), HOST) is expected
