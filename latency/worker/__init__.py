"""What travels to a target: the engines, and the loop that serves them over JSON lines.

Only the standard library, numpy and the engines' own runtimes are imported here, and it runs on Python 3.9.
"""

from __future__ import annotations

from latency.worker.onnxruntime_engine import OnnxRuntimeEngine

ENGINES = {"onnxruntime": OnnxRuntimeEngine}
