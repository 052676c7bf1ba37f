"""What every candidate needs to know of the calibration data, gathered in one pass of the FP32 network."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import bias_behind
from compress.errors import CompressionError
from compress.formats.placement import output_point, range_source
from compress.graph import operand
from compress.network import Network
from compress.statistics.activations import Feeds, observe, sample_count
from compress.statistics.histogram import ActivationHistogram
from compress.statistics.layer_inputs import InputKey, InputSums, ResponseSums, has_responses, plan_inputs
from compress.statistics.moments import Moments
from compress.statistics.responses import Responses

DEFAULT_LIMIT_BYTES = 2 * 2**30
"""Most memory that calibration takes: statistics and inner tensors together, the network itself apart."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Calibration:
    """What the calibration data does inside the FP32 network.

    Attributes:
        histograms: Values by tensor name, for every tensor that a candidate may quantize.
        moments: Moments of the inputs by layer name; layers whose inputs are too wide for that are missing.
        responses: How outputs vary, by layer name; missing for layers that have no low-rank factors.
        sample_count: Samples seen.
    """

    histograms: Mapping[str, ActivationHistogram]
    moments: Mapping[str, Moments]
    responses: Mapping[str, Responses]
    sample_count: int


def calibrate(
    network: Network,
    batches: Sequence[Feeds],
    *,
    threads: int = 1,
    limit_bytes: int = DEFAULT_LIMIT_BYTES,
    progress: Callable[[int], None] | None = None,
) -> Calibration:
    """Run the FP32 network over `batches` once.

    Args:
        network: The network.
        batches: Inputs by name, first axis the batch.
        threads: CPU threads to run on.
        limit_bytes: About how much memory may be taken.
        progress: Called with the number of samples done.

    Raises:
        CompressionError: There is no data, the network does not run on it, or its tensors are not finite on it.
    """
    count = sum(sample_count(feeds) for feeds in batches)
    if not count:
        raise CompressionError("calibration() gives no samples; give some 100 to 500")
    sums = _Sums(network, count, limit_bytes // 2)
    for found in observe(
        network, sums.tensors, batches, limit_bytes=limit_bytes // 4, threads=threads, progress=progress
    ):
        sums.add(found)
    return sums.calibration()


class _Sums:
    """All statistics of one pass, batch by batch."""

    def __init__(self, network: Network, sample_count: int, limit_bytes: int) -> None:
        self._sample_count = sample_count
        nodes = {node.name: node for node in network.model.graph}
        by_layer = {layer: nodes[layer.node_name] for layer in network.layers}
        self._plan = plan_inputs(by_layer, limit_bytes)
        self._inputs: dict[InputKey, InputSums] = {key: InputSums(key, sample_count) for key in self._plan.values()}
        self._responses = {
            layer.name: (node.outputs[0].name or "", ResponseSums(layer, sample_count, bias_behind(node)))
            for layer, node in by_layer.items()
            if has_responses(layer)
        }
        names = dict.fromkeys(value.name or "" for value in quantizable_tensors(by_layer.values()))
        self._histograms = {name: ActivationHistogram(name) for name in names}

    @property
    def tensors(self) -> list[str]:
        """Names of what must be observed."""
        inputs = [key.tensor for key in self._inputs]
        outputs = [name for name, _ in self._responses.values()]
        return list(dict.fromkeys([*self._histograms, *inputs, *outputs]))

    def add(self, found: Mapping[str, NDArray[Any]]) -> None:
        """Add a batch of all tensors."""
        for name, histogram in self._histograms.items():
            histogram.add(found[name])
        for key, inputs in self._inputs.items():
            inputs.add(found[key.tensor])
        for name, responses in self._responses.values():
            responses.add(found[name])

    def calibration(self) -> Calibration:
        """What has been gathered."""
        moments = {key: sums.moments() for key, sums in self._inputs.items()}
        return Calibration(
            histograms=self._histograms,
            moments={layer: moments[key] for layer, key in self._plan.items()},
            responses={layer: sums.responses() for layer, (_, sums) in self._responses.items()},
            sample_count=self._sample_count,
        )


def quantizable_tensors(layers: Iterable[ir.Node]) -> list[ir.Value]:
    """What a candidate may quantize: no others are looked at, since a mask of -inf elsewhere is nobody's mistake."""
    found: dict[ir.Value, None] = {}
    for node in layers:
        for value in (range_source(operand(node, 0)), node.outputs[0], output_point(node)):
            found.setdefault(value)
    return list(found)
