"""Where training computes: on the processor, or on a graphics processor that CUDA reaches."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from compress.errors import CompressionError

# cuBLAS gives the same sums each time only with workspaces of its own, and reads this when it is first used.
_WORKSPACES = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def find_device(name: str) -> torch.device:
    """The device of that name: `cpu`, `cuda`, or `cuda:1` for the second one.

    Raises:
        CompressionError: torch does not have it.
    """
    device = torch.device(name)
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise CompressionError(
            f"device {name!r} is not there: torch {torch.__version__} finds no CUDA; use 'cpu', or a torch built for "
            "CUDA on a machine with a driver for it"
        )
    if device.index is not None and device.index >= torch.cuda.device_count():
        raise CompressionError(f"device {name!r} is not there: torch finds {torch.cuda.device_count()} of CUDA's")
    return device


def place(array: NDArray[Any], device: torch.device) -> torch.Tensor:
    """A copy of the array on the device: the one way in."""
    return torch.tensor(np.ascontiguousarray(array).reshape(np.shape(array)), device=device)


def fetch(tensor: torch.Tensor) -> NDArray[Any]:
    """A copy of the tensor's values: the one way out."""
    found: NDArray[Any] = tensor.detach().cpu().numpy().copy()
    return found


@contextmanager
def steady(device: torch.device, threads: int) -> Iterator[None]:
    """So many threads, and results that are the same each time; torch's own settings as before afterwards.

    On the processor only operations are used that give the same results each time. On CUDA those are used where there
    are any, and products are not shortened to TF32: the same training on the same card, driver and torch then gives the
    same weights for convolutions, products with matrices, normalization and pooling over planes; where CUDA has no such
    form of an operator torch warns, and results may differ in their last digits.
    """
    cuda = device.type == "cuda"
    before = (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        torch.backends.cudnn.allow_tf32,
        torch.backends.cuda.matmul.allow_tf32,
    )
    if cuda:
        os.environ.setdefault(*_WORKSPACES)
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(True, warn_only=cuda)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        torch.use_deterministic_algorithms(before[1], warn_only=before[2])
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before[3], before[4]
