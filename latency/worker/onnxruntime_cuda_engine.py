"""ONNX Runtime's CUDA provider (onnxruntime-gpu)."""

from __future__ import annotations

from latency.worker.gpu_session import GpuSession


class OnnxRuntimeCudaEngine(GpuSession):
    """A session whose nodes CUDA kernels run."""

    name = "onnxruntime-cuda"
    provider = "CUDAExecutionProvider"
