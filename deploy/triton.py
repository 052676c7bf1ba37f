"""A model repository for NVIDIA's Triton Inference Server, beside the bundle's own files.

Triton's ONNX Runtime backend hands no session entries on but its own few
(https://github.com/triton-inference-server/onnxruntime_backend, "Model Config Options"). Where the network needs one,
the graph is therefore served as ONNX Runtime had optimized it with that entry, and all further optimization is turned
off: the same kernels, as its outputs must show, bit for bit.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.runtime import open_session
from deploy.errors import BundleError
from deploy.manifest import TensorSpec
from hwprofiles import Engine

FOLDER = "triton"
"""`tritonserver --model-repository=BUNDLE/triton`."""

_TYPES: Mapping[str, str] = MappingProxyType(
    {
        "bool": "TYPE_BOOL",
        "float16": "TYPE_FP16",
        "float32": "TYPE_FP32",
        "float64": "TYPE_FP64",
        **{f"int{bits}": f"TYPE_INT{bits}" for bits in (8, 16, 32, 64)},
        **{f"uint{bits}": f"TYPE_UINT{bits}" for bits in (8, 16, 32, 64)},
    }
)
_NO_OPTIMIZATION = 2
_ACCELERATORS = {"onnxruntime-cuda": "cuda", "onnxruntime-tensorrt": "tensorrt"}


@dataclass(frozen=True, kw_only=True, eq=False)
class Served:
    """What Triton is to serve.

    Attributes:
        name: What clients ask for; characters that Triton's folders do not take become `_`.
        onnx_bytes: The network.
        session_entries: Session entries that it needs.
        inputs: Its inputs.
        outputs: Its outputs.
        engine: The runtime and its settings, as measured.
        feeds: Inputs of one inference.
        plan: The engine that TensorRT built; None where ONNX Runtime runs the network.
    """

    name: str
    onnx_bytes: bytes
    session_entries: Mapping[str, str]
    inputs: Sequence[TensorSpec]
    outputs: Sequence[TensorSpec]
    engine: Engine
    feeds: Mapping[str, NDArray[Any]]
    plan: bytes | None = None

    @property
    def folder_name(self) -> str:
        """The model's name in the repository."""
        return re.sub(r"[^A-Za-z0-9_.-]", "_", self.name)


def triton_repository(served: Served) -> dict[str, bytes]:
    """The repository's files by path, `config.pbtxt` and one version.

    Raises:
        BundleError: Triton has no backend for the target's runtime or no type for a tensor, or the graph without
            session entries would answer otherwise.
    """
    if served.engine.name == "tensorrt-rtx":
        raise BundleError("Triton has no backend for TensorRT for RTX; export with --format tensorrt or onnx")
    if served.engine.name == "tensorrt" and served.plan is None:
        raise BundleError("the engine that was timed was not kept in the run; export with --format onnx")
    root = f"{FOLDER}/{served.folder_name}"
    if served.plan is not None and served.engine.name == "tensorrt":
        config = _config(served, backend="tensorrt", file="model.plan", optimized=False)
        return {f"{root}/config.pbtxt": config, f"{root}/1/model.plan": served.plan}
    optimized = bool(served.session_entries) and not served.engine.runs_on_gpu
    network = _optimized(served) if optimized else served.onnx_bytes
    config = _config(served, backend="onnxruntime", file="model.onnx", optimized=optimized)
    return {f"{root}/config.pbtxt": config, f"{root}/1/model.onnx": network}


def _optimized(served: Served) -> bytes:
    """The graph as it runs with its session entries; the same kernels run it without them and unoptimized."""
    threads = served.engine.threads
    with tempfile.TemporaryDirectory(prefix="paretune-triton-") as folder:
        path = Path(folder) / "optimized.onnx"
        as_measured = open_session(
            served.onnx_bytes, threads=threads, session_entries=served.session_entries, optimized_path=path
        )
        network = path.read_bytes()
    as_served = open_session(network, threads=threads, optimize=False)
    wanted, found = (session.run(None, dict(served.feeds)) for session in (as_measured, as_served))
    if not all(np.array_equal(ours, theirs, equal_nan=True) for ours, theirs in zip(wanted, found, strict=True)):
        needed = ", ".join(served.session_entries)
        raise BundleError(
            f"Triton cannot be given the session entry {needed}, and the optimized graph answers otherwise without it; "
            "export with --format onnx"
        )
    return network


def _config(served: Served, *, backend: str, file: str, optimized: bool) -> bytes:
    batches = _batch_size(served)
    lines = [
        f"name: {_text(served.folder_name)}",
        f"backend: {_text(backend)}",
        f"default_model_filename: {_text(file)}",
        f"max_batch_size: {batches}",
        *_tensors("input", served.inputs, batched=bool(batches)),
        *_tensors("output", served.outputs, batched=bool(batches)),
        *_instances(served.engine),
        *(_session(served.engine, optimized=optimized) if backend == "onnxruntime" else ()),
    ]
    return "\n".join([*lines, ""]).encode()


def _batch_size(served: Served) -> int:
    """What was measured, where the first axis of all tensors may vary; 0, Triton's word for no batching, elsewhere."""
    tensors = [*served.inputs, *served.outputs]
    varies = all(tensor.shape and (isinstance(tensor.shape[0], str) or tensor.shape[0] == -1) for tensor in tensors)
    return served.engine.batch_size if varies else 0


def _tensors(kind: str, specs: Sequence[TensorSpec], *, batched: bool) -> Iterator[str]:
    for spec in specs:
        if spec.dtype not in _TYPES:
            raise BundleError(f"Triton has no type for {kind} {spec.name!r} of {spec.dtype}; export with --format onnx")
        axes = [axis if isinstance(axis, int) else -1 for axis in spec.shape[1 if batched else 0 :]]
        yield f"{kind} {{"
        yield f"  name: {_text(spec.name)}"
        yield f"  data_type: {_TYPES[spec.dtype]}"
        # A tensor of batches of single numbers has no axis left; Triton wants one, and takes it out again.
        yield f"  dims: [{', '.join(map(str, axes or [1]))}]"
        if not axes:
            yield "  reshape { shape: [] }"
        yield "}"


def _instances(engine: Engine) -> Iterator[str]:
    """One instance, as it was measured: several would share caches and memory channels."""
    yield "instance_group {"
    yield "  count: 1"
    yield f"  kind: {'KIND_GPU' if engine.runs_on_gpu else 'KIND_CPU'}"
    if engine.runs_on_gpu:
        yield f"  gpus: [{engine.device}]"
    yield "}"


def _session(engine: Engine, *, optimized: bool) -> Iterator[str]:
    accelerator = _ACCELERATORS.get(engine.name)
    if optimized or accelerator:
        yield "optimization {"
        if optimized:
            yield f"  graph {{ level: {_NO_OPTIMIZATION} }}"
        if accelerator:
            yield "  execution_accelerators {"
            yield "    gpu_execution_accelerator {"
            yield f"      name: {_text(accelerator)}"
            for key, value in engine.options:
                yield f"      parameters {{ key: {_text(key)} value: {_text(value)} }}"
            yield "    }"
            yield "  }"
        yield "}"
    for name, count in (("intra_op_thread_count", engine.threads), ("inter_op_thread_count", 1)):
        yield f"parameters {{ key: {_text(name)} value {{ string_value: {_text(str(count))} }} }}"


def _text(value: str) -> str:
    """A string of protobuf's text format."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
