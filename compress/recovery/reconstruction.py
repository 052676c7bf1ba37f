"""Layer after layer of a structure refitted, each on what the compressed network really gives it."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import read_bias
from compress.formats.placement import clamp_bounds, only_reader
from compress.formats.scheme import Range
from compress.graph import constant, operand
from compress.network import Network
from compress.recovery.float_structure import FloatStructure, layer_at
from compress.recovery.reconstruct_fit import Rows, fit
from compress.recovery.reconstruct_rounding import on_grid
from compress.recovery.reconstruct_rows import RowPicker, rows_within
from compress.recovery.reconstruct_targets import Target, find_targets
from compress.recovery.rounded_graph import half_precision_tensors, range_tensors
from compress.recovery.settings import RecoverySettings
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.statistics.activations import Feeds, observe
from compress.statistics.histogram import ActivationHistogram
from compress.statistics.layer_inputs import SIDE_LIMIT
from compress.stitch import Compressor
from compress.weight_rows import from_rows, row_length, to_rows


class Reconstruction:
    """A structure's weights on their way.

    Args:
        compressor: Of the original network.
        structure: What is refitted.
        settings: Of which the seed and the threads count.
        limit_bytes: About how much memory the original network's answers may take.

    Attributes:
        weights: Those that were refitted, by initializer name.
    """

    def __init__(
        self, compressor: Compressor, structure: FloatStructure, settings: RecoverySettings, limit_bytes: int
    ) -> None:
        self.weights: dict[str, NDArray[np.float32]] = {}
        self._compressor = compressor
        self._structure = structure
        self._settings = settings
        self._limit_bytes = limit_bytes
        self._nodes = {node.name or "": node for node in structure.model.graph}
        self._plans = {name: plan for plan in structure.plans for name in structure.operators(plan)}
        targets = find_targets(compressor.network.model, structure)
        self._targets = [target for target in targets if self._is_refitted(target)]

    def refit(self, feeds: Sequence[Feeds], deadline_s: float | None, clock: Callable[[], float]) -> int:
        """Refit every layer that has a target, in order; how many."""
        began = clock()
        pickers = self._pickers(len(feeds))
        answers = self._answers(pickers, feeds)
        if deadline_s is not None:
            # The networks in front of all layers together are half of the whole, for each of them.
            per_sample_s = (clock() - began) / len(feeds) * (1 + len(self._targets) / 2)
            feeds = feeds[: max(1, int((deadline_s - clock()) / max(per_sample_s, 1e-9)))]
        for target, picker in zip(self._targets, pickers, strict=True):
            self._refit_one(target, picker, feeds, answers[target.node_name])
        return len(self._targets)

    def observed_ranges(self, feeds: Sequence[Feeds]) -> dict[str, Range]:
        """Ranges of what gets 8 bits, chosen as the compressor chooses them; extremes of what gets half precision."""
        scheme = self._compressor.scheme
        quantized = [] if scheme is None else range_tensors(self._structure)
        half = half_precision_tensors(self._compressor, self._structure)
        if not quantized and not half:
            return {}
        model = self._structure.with_weights(self.weights)
        histograms = {name: ActivationHistogram(name) for name in (*half, *quantized)}
        for found in _observed(self._compressor.network, model, list(histograms), feeds, self._settings.threads):
            for name, histogram in histograms.items():
                histogram.add(found[name])
        ranges: dict[str, Range] = {name: (histograms[name].low, histograms[name].high) for name in half}
        if scheme is not None:
            clamps = {value.name: clamp_bounds(node) for node in model.graph for value in node.outputs}
            choose = RANGE_METHODS[self._compressor.range_method]
            ranges |= {
                name: choose(histograms[name], scheme, clamps.get(name) or (-math.inf, math.inf)) for name in quantized
            }
        return ranges

    def _is_refitted(self, target: Target) -> bool:
        node = self._nodes[target.node_name]
        layer = layer_at(node, self._plans[target.node_name].layer)
        alone = len(operand(node, 1).uses()) == 1
        return alone and row_length(layer, by_channel=False) <= SIDE_LIMIT and layer.weight_count > 0

    def _pickers(self, samples: int) -> list[RowPicker]:
        nodes = [self._nodes[target.node_name] for target in self._targets]
        layers = [layer_at(node, self._plans[node.name or ""].layer) for node in nodes]
        rows = rows_within(layers, [layer.output_channels for layer in layers], self._limit_bytes)
        return [
            RowPicker.of(node, layer, rows=count, samples=samples, seed=(self._settings.seed, index))
            for index, (node, layer, count) in enumerate(zip(nodes, layers, rows, strict=True))
        ]

    def _answers(self, pickers: Sequence[RowPicker], feeds: Sequence[Feeds]) -> dict[str, list[NDArray[np.float32]]]:
        """By operator, what it should answer on each sample."""
        network = self._compressor.network
        names = [target.answer for target in self._targets]
        answers: dict[str, list[NDArray[np.float32]]] = {target.node_name: [] for target in self._targets}
        for index, found in enumerate(_observed(network, network.model, names, feeds, self._settings.threads)):
            for target, picker in zip(self._targets, pickers, strict=True):
                rows = picker.answers(found[target.answer], index)
                answers[target.node_name].append(rows if target.kept is None else rows[:, target.kept])
        return answers

    def _refit_one(
        self, target: Target, picker: RowPicker, feeds: Sequence[Feeds], answers: Sequence[NDArray[np.float32]]
    ) -> None:
        node, plan = self._nodes[target.node_name], self._plans[target.node_name]
        read = operand(node, 0).name or ""
        names = [read] if target.rest is None else [read, target.rest]
        model = self._structure.with_weights(self.weights)
        inputs: list[NDArray[np.float32]] = []
        wanted: list[NDArray[np.float32]] = []
        threads = self._settings.threads
        for index, found in enumerate(_observed(self._compressor.network, model, names, feeds, threads)):
            inputs.append(picker.inputs(found[read], index))
            rest = 0.0 if target.rest is None else picker.answers(found[target.rest], index)
            wanted.append(answers[index] - rest)
        place = _bias_of(node)
        given = Rows(inputs=np.concatenate(inputs, axis=1), answers=np.concatenate(wanted))
        before = to_rows(picker.layer, constant(operand(node, 1))).astype(np.float32)
        fitted = fit(given, before, has_bias=place is not None, keep_zeros=plan.mask is not None)
        rows, bias = on_grid(picker.layer, fitted, self._compressor.grid(plan.format))
        self.weights[operand(node, 1).name or ""] = from_rows(picker.layer, rows)
        if place is not None and bias is not None:
            self.weights[place.name or ""] = bias.reshape(constant(place).shape)


def _bias_of(node: ir.Node) -> ir.Value | None:
    """The initializer that holds the layer's bias; None where it has none of its own."""
    if node.op_type == "MatMul":
        reader = None if read_bias(node) is None else only_reader(node.outputs[0])
        values = [] if reader is None else [value for value in reader.inputs if value is not node.outputs[0]]
    else:
        values = list(node.inputs[2:3])
    found = values[0] if values else None
    return found if found is not None and len(found.uses()) == 1 else None


def _observed(
    network: Network, model: ir.Model, names: Sequence[str], feeds: Sequence[Feeds], threads: int
) -> Iterator[dict[str, NDArray[Any]]]:
    """Some tensors of `model`, a form of the network, sample by sample."""
    return observe(replace(network, model=model), names, feeds, limit_bytes=1, threads=threads)
