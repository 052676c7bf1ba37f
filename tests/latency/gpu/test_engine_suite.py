"""The engines' conformance suite, on a machine with a GPU that may not import what its own folder imports."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from latency.worker.cuda_driver import name_gpu
from latency.worker.engine import EngineError

try:
    name_gpu(0)
except EngineError as error:
    pytest.skip(f"no GPU on this machine: {error}", allow_module_level=True)

_path = Path(__file__).parents[1] / "conformance" / "test_engines.py"
_spec = importlib.util.spec_from_file_location("engine_suite", _path)
assert _spec is not None
assert _spec.loader is not None
_suite = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_suite)
globals().update({name: value for name, value in vars(_suite).items() if not name.startswith("__")})
