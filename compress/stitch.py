"""From a policy to the bytes of a candidate: graph edits on a clone, weights from the variant store."""

import copy
import math
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.bias import bias_behind
from compress.candidate import Candidate
from compress.channels.absorption import AbsorbConstants
from compress.channels.groups import ChannelGroup, find_channel_groups
from compress.channels.prune import PruneChannels
from compress.channels.vanishing import find_ending
from compress.channels.widths import single_valued
from compress.errors import PolicyError
from compress.finished_layer import FinishedLayer
from compress.format_passes import FormatPasses
from compress.formats.placement import clamp_bounds
from compress.formats.scheme import QuantizationScheme, Range
from compress.formats.weight_only import AccuracyLevel
from compress.group_readers import GroupReaders
from compress.low_rank.factorize_layers import FactorizeLayers, Split
from compress.network import Network, serialize
from compress.plan import LayerPlan, Plan, Planner
from compress.policy import Policy
from compress.runtime import FAITHFUL_SESSION_ENTRIES
from compress.single_thread import single_threaded
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.statistics.calibration import Calibration
from compress.variants import VariantStore
from compress.weights.weight_grid import WeightGrid, grid_of
from compress.workshop import Workshop
from compress.write_layers import WriteLayers

_NEED_SCHEME = {"int8", "int8-dynamic"}


class Compressor:
    """Builds candidates of one network.

    Args:
        network: The FP32 network; never changed.
        calibration: What `calibrate` found on it.
        scheme: 8-bit formats of the target; None where 8 bits do not pay.
        channel_multiple: Widths and ranks are rounded to this many channels.
        formats: Names of the number formats that policies may use.
        weight_block: Inputs that share a scale in weight-only formats.
        accuracy_level: What weight-only kernels may do with activations (`compress.formats.weight_only`).
        range_method: How ranges of activations are chosen, a name in `RANGE_METHODS`.
        store: Where finished weights are kept; shared by all candidates.
        threads: Threads that make weights; the bytes do not depend on them.
    """

    def __init__(
        self,
        network: Network,
        calibration: Calibration,
        scheme: QuantizationScheme | None,
        *,
        channel_multiple: int = 1,
        formats: Collection[str] = ("fp32", "int8"),
        weight_block: int = 32,
        accuracy_level: AccuracyLevel = 1,
        range_method: str = "minmax",
        store: VariantStore | None = None,
        threads: int = 1,
    ) -> None:
        if threads < 1:
            raise ValueError(f"threads must be at least 1, got {threads}")
        if channel_multiple < 1:
            raise ValueError(f"channel_multiple must be at least 1, got {channel_multiple}")
        self.network = network
        self.scheme = scheme
        self.channel_multiple = channel_multiple
        self.range_method = range_method
        self._threads = threads
        self._weight_block = weight_block
        self._accuracy_level = accuracy_level
        self.calibration = calibration
        self._store = VariantStore() if store is None else store
        self._all_groups = find_channel_groups(network)
        self.groups: Mapping[str, ChannelGroup] = single_valued(self._all_groups.groups)
        self._workshop = Workshop(network, calibration, self._store, channel_multiple=channel_multiple, threads=threads)
        self.formats = frozenset({"fp32", *formats} - (_NEED_SCHEME if scheme is None else set()))
        self._planner = Planner(
            network,
            self._all_groups,
            self.groups,
            self._removal_order,
            formats=self.formats,
            channel_multiple=channel_multiple,
        )
        self._ranges = _ranges(network, calibration, scheme, range_method)
        self._extremes = {name: (found.low, found.high) for name, found in calibration.histograms.items()}
        self._nodes = {node.name: node for node in network.model.graph}
        self._outputs = {node.name or "": node.outputs[0].name or "" for node in network.model.graph}
        self._readers = GroupReaders(network.layers, self._workshop.original)

    def with_range_method(self, method: str) -> "Compressor":
        """The same compressor, and the same store, with ranges chosen in another way."""
        other = copy.copy(self)
        other.range_method = method
        other._ranges = _ranges(self.network, self.calibration, self.scheme, method)
        return other

    def plan(self, policy: Policy) -> Plan:
        """What the policy makes of each layer.

        Raises:
            PolicyError: The policy does not fit the network, or asks for what the target has not.
        """
        return self._planner.resolve(policy)

    def build(self, policy: Policy) -> Candidate:
        """The candidate for `policy`: the same policy gives the same bytes, in any process.

        Raises:
            PolicyError: The policy does not fit the network, or asks for what the target has not.
        """
        plan = self.plan(policy)
        if all(layer.is_identity for layer in plan.layers):
            return Candidate(
                policy=policy,
                onnx_bytes=self.network.onnx_bytes,
                session_entries={},
                ranks={},
                formats=self._named(plan),
            )
        try:
            onnx_bytes, ranks, left = self._transform(plan)
        except ir.passes.InvariantError as error:  # onnx-ir wraps what a pass raises before and after its work
            raise PolicyError(f"the policy cannot be built: {error.__cause__ or error}") from error
        formats = {name: choice for name, choice in self._named(plan).items() if name in left}
        return Candidate(
            policy=policy,
            onnx_bytes=onnx_bytes,
            session_entries=FAITHFUL_SESSION_ENTRIES if "int8" in formats.values() else {},
            ranks=ranks,
            formats=formats,
        )

    @staticmethod
    def _named(plan: Plan) -> dict[str, str]:
        return {layer.layer.name: layer.format for layer in plan.layers}

    def _transform(self, plan: Plan) -> tuple[bytes, dict[str, int], frozenset[str]]:
        """The bytes, the ranks of factorized layers, and the names of the layers that are left."""
        changed = [layer for layer in plan.layers if not layer.is_identity and not layer.is_gone]
        grids = [None if layer.is_ended else self.grid(layer.format) for layer in changed]
        made = self._workshop.finish_all(list(zip(changed, grids, strict=True)))
        finished = dict(zip(changed, made, strict=True))
        model = self.network.model.clone()
        if plan.kept:
            biases = {
                layer.layer.name: self._own_answer(layer, done.bias)
                for layer, done in finished.items()
                if layer.is_ended and done.bias is not None
            }
            PruneChannels(self.network, self._all_groups, plan.kept, biases=biases)(model)
        standing = {node.name for node in model.graph}
        finished = {layer: done for layer, done in finished.items() if layer.layer.node_name in standing}
        for edit in self._edits(finished, self._left_of_branches(plan)):
            edit(model)
        left = frozenset(layer.layer.name for layer in plan.layers if layer.layer.node_name in standing)
        ranks = {layer.layer.name: done.rank for layer, done in finished.items() if done.rank is not None}
        return serialize(model), ranks, left

    def _own_answer(self, plan: LayerPlan, bias: NDArray[np.float32]) -> NDArray[np.float32]:
        """What an operator without inputs answers: the bias, less what the Add behind a MatMul will add of it."""
        behind = bias_behind(self._nodes[plan.layer.node_name])
        if behind is None:
            return bias
        own: NDArray[np.float32] = bias - (behind if plan.kept_outputs is None else behind[plan.kept_outputs])
        return own

    def _left_of_branches(self, plan: Plan) -> list[str]:
        """Names of the additions by which branches that have vanished still answer."""
        ends = [find_ending(self._nodes[layer.layer.node_name]) for layer in plan.layers if layer.is_ended]
        return [end.join.name or "" for end in ends if end is not None]

    def _edits(
        self, finished: Mapping[LayerPlan, FinishedLayer], left: Collection[str]
    ) -> Iterator[ir.passes.InPlacePass]:
        """What turns the thinned graph into the candidate; floats first, then the formats.

        Args:
            finished: The layers that change.
            left: Names of the additions by which branches that have vanished still answer.
        """
        whole = {layer.layer.node_name: done for layer, done in finished.items() if done.rank is None}
        yield WriteLayers(
            {name: done.weights[0] for name, done in whole.items() if done.weights},
            {name: done.bias for name, done in whole.items() if done.bias is not None},
        )
        splits = {
            layer.layer.name: Split(
                layer=layer.layer,
                first=done.weights[0],
                second=done.weights[1],
                bias=done.bias,
                first_axes=done.first_axes,
            )
            for layer, done in finished.items()
            if done.rank is not None
        }
        if splits:
            yield FactorizeLayers(splits)
        if left:
            yield AbsorbConstants(left, self._extremes)
        yield from self.format_passes(self._ranges, self._extremes).of(finished)

    def format_passes(self, ranges: Mapping[str, Range], extremes: Mapping[str, Range]) -> FormatPasses:
        """What writes the target's number formats into a graph of this network's.

        Args:
            ranges: By name, for the tensors that get 8 bits.
            extremes: Lowest and highest value by tensor name, for half precision.
        """
        return FormatPasses(
            scheme=self.scheme,
            weight_block=self._weight_block,
            accuracy_level=self._accuracy_level,
            ranges=ranges,
            extremes=extremes,
            outputs=self._outputs,
        )

    def grid(self, format_name: str) -> WeightGrid | None:
        """What a format rounds weights to; None for floats."""
        return grid_of(format_name, self.scheme, self._weight_block)

    def damage_of(self, group: ChannelGroup, kept: int) -> float:
        """What narrowing one group to `kept` units costs: the lost share of its readers' answers, summed."""
        order = self._removal_order(group.name)
        return self._readers.damage(group, np.sort(order[len(order) - kept :]))

    def _removal_order(self, name: str) -> NDArray[np.int64]:
        """The units of a group, the one that goes first first; found once.

        Whoever has threads searches, and will ask for the orders of all groups: they are found side by side.
        """
        if self._threads > 1 and ("removal order", name) not in self._store:
            largest_first = sorted(self.groups, key=lambda group: -self.groups[group].unit_count)
            with single_threaded(), ThreadPoolExecutor(self._threads) as threads:
                list(threads.map(self._found_order, largest_first))
        return self._found_order(name)

    def _found_order(self, name: str) -> NDArray[np.int64]:
        group = self.groups[name]
        return self._store.get(("removal order", name), lambda: (self._readers.removal_order(group),))[0]


def _ranges(
    network: Network, calibration: Calibration, scheme: QuantizationScheme | None, method: str
) -> dict[str, Range]:
    """Range by tensor name, as the method would have them for the scheme."""
    if scheme is None:
        return {}
    clamps = {value.name: clamp_bounds(node) for node in network.model.graph for value in node.outputs}
    choose = RANGE_METHODS[method]
    return {
        name: choose(histogram, scheme, clamps.get(name) or (-math.inf, math.inf))
        for name, histogram in calibration.histograms.items()
    }
