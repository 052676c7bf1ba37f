"""Which way of choosing activation ranges suits a network: the one whose 8-bit form answers most like FP32."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.faithfulness import relative_difference
from compress.policy import INT8, Policy
from compress.runtime import open_session
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.stitch import Compressor

DEFAULT_SAMPLES = 64
"""More samples hardly ever change the choice."""


def choose_range_method(
    compressor: Compressor, batches: Sequence[Mapping[str, NDArray[Any]]], *, threads: int = 1
) -> str:
    """A name in `RANGE_METHODS`: that whose uniform 8-bit candidate differs least from FP32.

    Wide ranges round everything coarsely, narrow ones cut off what is rare; which hurts less depends on the network.

    Args:
        compressor: Of the network, with a scheme for 8 bits.
        batches: Calibration inputs; the first `DEFAULT_SAMPLES` samples are run.
        threads: CPU threads to run on.

    Raises:
        CompressionError: The 8-bit candidate does not load or run.
    """
    feeds = first_samples(batches, DEFAULT_SAMPLES)
    policy = Policy.uniform([layer.name for layer in compressor.network.layers], INT8)
    reference = open_session(compressor.network.onnx_bytes, threads=threads).run(None, feeds)
    differences = {}
    for method in RANGE_METHODS:
        candidate = compressor.with_range_method(method).build(policy)
        session = open_session(candidate.onnx_bytes, threads=threads, session_entries=candidate.session_entries)
        differences[method] = relative_difference(session.run(None, feeds), reference)
    return min(differences, key=lambda method: differences[method])


def first_samples(batches: Sequence[Mapping[str, NDArray[Any]]], count: int) -> dict[str, NDArray[Any]]:
    """The first `count` samples of all batches, as one."""
    taken: list[Mapping[str, NDArray[Any]]] = []
    left = count
    for feeds in batches:
        if left <= 0:
            break
        taken.append({name: array[:left] for name, array in feeds.items()})
        left -= len(next(iter(feeds.values())))
    return {name: np.concatenate([feeds[name] for feeds in taken]) for name in taken[0]}
