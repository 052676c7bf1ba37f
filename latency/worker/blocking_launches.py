"""Time of each node on a GPU, from a process of its own in which a launch returns only when its kernel is done.

ONNX Runtime's profile holds the time that the processor spends on a node; its packages are built without CUPTI, which
would tell the GPU's. With ``CUDA_LAUNCH_BLOCKING`` the two are one, but for the few microseconds of each launch, which
otherwise run beside the kernel before. CUDA reads that variable once, when it starts: hence the process.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker import ENGINES
from latency.worker.engine import EngineError
from latency.worker.onnx_model import read_facts
from latency.worker.onnxruntime_profile import layer_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from latency.worker.gpu_session import GpuSession

_PROFILED_WARM_UP = 3  # inferences before those whose layers count
_PATIENCE_S = 600
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from latency.worker.blocking_launches import main; main(sys.argv[2])"
)


def time_nodes(
    engine: str, model: bytes, settings: Mapping[str, Any], inputs: Mapping[str, np.ndarray], count: int
) -> list[dict[str, Any]]:
    """Rows of ``Engine.layers`` over ``count`` inferences.

    Args:
        engine: the name of an engine that is a ``GpuSession``.
        model: ONNX bytes.
        settings: the engine's.
        inputs: input name to array.
        count: how many inferences.

    Raises:
        EngineError: the process cannot do what this one did.
    """
    import numpy as np

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "model.onnx").write_bytes(model)
        np.savez(folder / "inputs.npz", *inputs.values())
        request = {"engine": engine, "settings": dict(settings), "names": list(inputs), "count": count}
        (folder / "request.json").write_text(json.dumps(request))
        root = str(Path(__file__).parents[2])  # a folder, or the archive that this is in
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, root, name],
            env={**os.environ, "CUDA_LAUNCH_BLOCKING": "1"},
            capture_output=True,
            text=True,
            timeout=_PATIENCE_S,
            check=False,
        )
        answer = folder / "answer.json"
        if not answer.is_file():
            msg = f"the process that times nodes ended with {done.returncode}: {done.stderr[-2000:].strip()}"
            raise EngineError(msg, kind="inference")
        found = json.loads(answer.read_text())
    if "error" in found:
        raise EngineError(found["error"], kind=found["kind"])
    return list(found["rows"])


def main(name: str) -> None:
    """What the process does: answers the request in a folder with a file beside it."""
    folder = Path(name)
    try:
        answer: dict[str, Any] = {"rows": answer_request(folder)}
    except EngineError as error:
        answer = {"error": str(error), "kind": error.kind}
    (folder / "answer.json").write_text(json.dumps(answer))


def answer_request(folder: Path) -> list[dict[str, Any]]:
    """Profiles the model of a folder and returns its rows.

    Raises:
        EngineError: the engine refuses it.
    """
    import numpy as np

    request = json.loads((folder / "request.json").read_text())
    model = (folder / "model.onnx").read_bytes()
    with np.load(folder / "inputs.npz", allow_pickle=False) as file:
        inputs = {name: file[f"arr_{index}"] for index, name in enumerate(request["names"])}
    engine: GpuSession = ENGINES[request["engine"]]()  # type: ignore[assignment]
    with contextlib.closing(engine):
        engine.profiled_runs = _PROFILED_WARM_UP + request["count"]
        engine.load(model, request["settings"])
        engine.bind(inputs)
        return layer_rows(engine.kernels, read_facts(model).operators, skip=_PROFILED_WARM_UP)
