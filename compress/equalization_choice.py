"""Whether a network is better off with its channels' ranges equalized before anything else happens to it."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.faithfulness import relative_difference
from compress.formats.equalize import equalize, tensors_to_observe, widen
from compress.formats.scheme import QuantizationScheme
from compress.network import Network
from compress.policy import INT8, Policy
from compress.runtime import open_session
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.statistics.activations import observe
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor

Feeds = Mapping[str, NDArray[Any]]

_LIMIT_BYTES = 2**28
# Two 8-bit forms of nearly the same function differ by chance as much as this.
_WORTH_IT = 0.8


def equalized_if_better(
    network: Network, batches: Sequence[Feeds], scheme: QuantizationScheme, *, threads: int = 1
) -> Network:
    """The network, or its equalized form (`compress.formats.equalize`) where all-8-bit then stays closer to FP32.

    Only networks with depthwise convolutions are looked at: elsewhere one scale per output channel does the same. The
    divergence is the mean over all range methods, since that of a single 8-bit form is partly luck, and must fall by a
    fifth.

    Args:
        network: The FP32 network.
        batches: Calibration inputs.
        scheme: The target's 8-bit format.
        threads: CPU threads to run on.

    Raises:
        CompressionError: The network or its 8-bit form does not run.
    """
    if not any(layer.is_depthwise for layer in network.layers):
        return network
    axes = tensors_to_observe(network)
    ranges: dict[str, NDArray[np.float64]] = {}
    for found in observe(network, axes, batches, limit_bytes=_LIMIT_BYTES, threads=threads):
        ranges |= {name: widen(ranges.get(name), found[name], axis) for name, axis in axes.items()}
    changed = equalize(network, ranges)
    if not changed.scales:
        return network
    before, after = (_divergence(form, batches[:1], scheme, threads) for form in (network, changed.network))
    return changed.network if after <= _WORTH_IT * before else network


def _divergence(network: Network, batches: Sequence[Feeds], scheme: QuantizationScheme, threads: int) -> float:
    """How far the uniform 8-bit forms of `network` are from it, on average over the range methods."""
    compressor = Compressor(network, calibrate(network, batches, threads=threads), scheme)
    policy = Policy.uniform([layer.name for layer in network.layers], INT8)
    feeds = dict(batches[0])
    reference = open_session(network.onnx_bytes, threads=threads).run(None, feeds)
    differences = []
    for method in RANGE_METHODS:
        candidate = compressor.with_range_method(method).build(policy)
        session = open_session(candidate.onnx_bytes, threads=threads, session_entries=candidate.session_entries)
        differences.append(relative_difference(session.run(None, feeds), reference))
    return float(np.mean(differences))
