"""The finished weights of each layer under each choice: made once, kept in the variant store, stitched ever after."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.bias import read_bias
from compress.finished_layer import FinishedLayer
from compress.graph import constant
from compress.layers import Layer
from compress.low_rank.factor_steps import corrected_for_first, masked_pair
from compress.low_rank.factorize import better_decomposition, decompose, take_rank
from compress.network import Network
from compress.plan import LayerPlan, Widths
from compress.ranks import Decomposition, rank_of
from compress.single_thread import single_threaded
from compress.statistics.calibration import Calibration
from compress.statistics.moments import Moments
from compress.variants import VariantStore
from compress.weights.elimination import Elimination, prepare
from compress.weights.layer_state import LayerState
from compress.weights.mask_layer import mask_layer
from compress.weights.round_layer import RoundedLayer, elimination_of, round_layer
from compress.weights.weight_grid import WeightGrid

_STEPS_LIMIT_BYTES = 384 * 2**20
Key = tuple[str | int | float, ...]

_DECOMPOSITIONS: tuple[Decomposition, ...] = ("channel", "spatial")


class Workshop:
    """Makes finished layers, each only once.

    The order is fixed (`compress.weights.layer_state`): channels, rank, single weights, bits.

    Args:
        network: The FP32 network.
        calibration: What was seen on it.
        store: Where finished layers are kept.
        channel_multiple: Ranks are rounded to this many channels.
        threads: How many layers are made at a time.
    """

    def __init__(
        self,
        network: Network,
        calibration: Calibration,
        store: VariantStore,
        *,
        channel_multiple: int,
        threads: int = 1,
    ) -> None:
        self._threads = threads
        self._calibration = calibration
        self._store = store
        self._steps = VariantStore(_STEPS_LIMIT_BYTES)
        self._multiple = channel_multiple
        self._nodes = {node.name: node for node in network.model.graph}
        self._weights = network.model.graph.initializers

    def original(self, layer: Layer) -> LayerState:
        """The layer as it is in FP32."""
        return LayerState(
            layer=layer,
            weight=constant(self._weights[layer.weight_name]),
            bias=read_bias(self._nodes[layer.node_name]),
            moments=self._calibration.moments.get(layer.name),
            responses=self._calibration.responses.get(layer.name),
        )

    def finish_all(self, wanted: Sequence[tuple[LayerPlan, WeightGrid | None]]) -> list[FinishedLayer]:
        """Several layers, as `finish` gives each; those that are not made yet are made side by side.

        Nothing of one layer depends on another, and each is made by one thread: the bytes are the same.
        """
        if self._threads == 1 or sum(self._key(plan, grid) not in self._store for plan, grid in wanted) < 2:
            return [self.finish(plan, grid) for plan, grid in wanted]
        with single_threaded(), ThreadPoolExecutor(self._threads) as threads:
            return list(threads.map(lambda each: self.finish(*each), wanted))

    def finish(self, plan: LayerPlan, grid: WeightGrid | None) -> FinishedLayer:
        """The layer as `plan` wants it.

        Args:
            plan: What it must become.
            grid: What its weights are rounded to; None leaves floats.
        """
        arrays = self._store.get(self._key(plan, grid), lambda: self._make(plan, grid).arrays)
        return FinishedLayer.from_arrays(arrays)

    def _key(self, plan: LayerPlan, grid: WeightGrid | None) -> Key:
        ranks = (plan.rank, self._multiple) if plan.rank < 1.0 else (plan.rank,)
        return "finished", *_thinned_key(plan), *ranks, *(() if grid is None else grid.key)

    def _make(self, plan: LayerPlan, grid: WeightGrid | None) -> FinishedLayer:
        with single_threaded():
            if plan.rank < 1.0:
                state = self._unmasked(plan)
                decomposition = self._decomposition(plan.layer)
                rank = rank_of(state.layer, plan.rank, self._multiple, decomposition)
                if rank is not None:
                    return self._factorized(plan, state, decomposition, rank, grid)
            return self._whole(plan, grid)

    def _whole(self, plan: LayerPlan, grid: WeightGrid | None) -> FinishedLayer:
        # Rows are rounded each on its own: one rounding serves every choice of outputs, unless a mask weighs them up.
        late = plan.mask is None and plan.kept_outputs is not None
        state = self._narrowed(plan) if late else self._thinned(plan)
        key = (plan.layer.name, _named(plan.read)) if late else _thinned_key(plan)
        rounded = None if grid is None else self._rounded(key, plan, state, grid)
        if late and plan.kept_outputs is not None:
            state = state.keep_outputs(plan.kept_outputs)
            rounded = (
                None
                if rounded is None
                else rounded.keep_outputs(
                    plan.kept_outputs, 0 if grid is not None and grid.block else state.layer.output_axis
                )
            )
        if rounded is None:
            return FinishedLayer(weights=(state.weight,), groups=state.layer.groups, bias=state.bias)
        bias = None if state.bias is None else rounded.bias
        return FinishedLayer(weights=(), groups=state.layer.groups, bias=bias, rounded=(rounded,))

    def _factorized(
        self, plan: LayerPlan, state: LayerState, decomposition: Decomposition, rank: int, grid: WeightGrid | None
    ) -> FinishedLayer:
        key = (plan.layer.name, _named(plan.read), _named(plan.written), decomposition)
        arrays = self._steps.get(("factors", *key), lambda: decompose(state, decomposition))
        pair = take_rank(state, arrays, decomposition, rank)
        rounded: tuple[RoundedLayer, ...] = ()
        bias = pair.second.bias
        if grid is not None or plan.mask is not None:
            if decomposition == "channel":
                first = self._elimination(plan, state)
            else:  # the vertical filters of every rank, and of every choice of outputs, read the same columns
                columns = ("columns", plan.layer.name, _named(plan.read))
                first = self._kept_elimination(columns, lambda: prepare(pair.first_spread))
            second = elimination_of(pair.second)
            if plan.mask is not None:
                pair = masked_pair(pair, first, second, pattern=plan.mask, ratio=plan.mask_ratio)
                bias = pair.second.bias
            if grid is not None:
                rounded = round_layer(pair.first, grid, first), round_layer(pair.second, grid, second)
                bias = None if bias is None else corrected_for_first(pair, *rounded)
        return FinishedLayer(
            weights=(pair.first.weight, pair.second.weight),
            groups=1,
            bias=bias,
            rounded=rounded,
            first_axes=pair.first_axes,
            inner_range=pair.inner_range,
            rank=rank,
        )

    def _decomposition(self, layer: Layer) -> Decomposition:
        """The layer's better decomposition, found once on the whole layer."""

        def find() -> tuple[NDArray[np.int64]]:
            return (np.array(_DECOMPOSITIONS.index(better_decomposition(self.original(layer)))),)

        return _DECOMPOSITIONS[int(self._store.get(("decomposition", layer.name), find)[0])]

    def _narrowed(self, plan: LayerPlan) -> LayerState:
        """The layer without the inputs that go."""
        state = self.original(plan.layer)
        if plan.kept_inputs is None or plan.layer.groups > 1:
            return state
        kept = plan.kept_inputs
        made: dict[str, LayerState] = {}

        def refit() -> tuple[NDArray[np.float32], ...]:
            made["state"] = state.keep_inputs(kept)
            return _parts(made["state"])

        moments = self._narrowed_moments(plan, state)
        parts = self._steps.get(("narrowed", plan.layer.name, _named(plan.read)), refit)
        return replace(made["state"], moments=moments) if made else state.take_inputs(kept, moments, *parts)

    def _narrowed_moments(self, plan: LayerPlan, state: LayerState) -> Moments | None:
        """The moments of the inputs that stay: whoever reads the layer anew asks for them."""
        known, kept = state.moments, plan.kept_inputs
        if known is None or kept is None:
            return known

        def select() -> tuple[NDArray[np.float32], ...]:
            found = known.select(state.columns_of(kept))
            return found.mean, found.covariance

        mean, covariance = self._steps.get(("moments", plan.layer.name, _named(plan.read)), select)
        return Moments(mean=mean, covariance=covariance, by_channel=known.by_channel)

    def _unmasked(self, plan: LayerPlan) -> LayerState:
        """The layer without the channels that go."""
        state = self._narrowed(plan)
        return state if plan.kept_outputs is None else state.keep_outputs(plan.kept_outputs)

    def _thinned(self, plan: LayerPlan) -> LayerState:
        """The layer without the channels and the single weights that go."""
        state = self._unmasked(plan)
        if plan.mask is None or plan.is_ended:
            return state
        pattern, ratio = plan.mask, plan.mask_ratio

        def mask() -> tuple[NDArray[np.float32], ...]:
            return _parts(mask_layer(state, self._elimination(plan, state), pattern=pattern, ratio=ratio))

        weight, *bias = self._steps.get(("masked", *_thinned_key(plan)), mask)
        return replace(state, weight=weight, bias=bias[0] if bias else None)

    def _elimination(self, plan: LayerPlan, state: LayerState) -> Elimination:
        """What rounding the layer needs to know of its inputs; every format, rank and choice of outputs shares it."""
        # The inputs of a grouped convolution go with its outputs.
        written = _named(plan.written) if state.layer.groups != plan.layer.groups else ""

        key = ("elimination", plan.layer.name, _named(plan.read), written)
        return self._kept_elimination(key, lambda: elimination_of(state))

    def _kept_elimination(self, key: Key, find: Callable[[], Elimination]) -> Elimination:
        """What `find` finds, kept for the next who asks."""

        def make() -> tuple[NDArray[Any], ...]:
            found = find()
            return found.order, found.coupling, found.cost, found.power, np.array(found.damping)

        order, coupling, cost, power, damping = self._steps.get(key, make)
        return Elimination(order=order, coupling=coupling, cost=cost, power=power, damping=float(damping))

    def _rounded(self, key: Key, plan: LayerPlan, state: LayerState, grid: WeightGrid) -> RoundedLayer:
        def make() -> tuple[NDArray[Any], ...]:
            return round_layer(state, grid, self._elimination(plan, state)).arrays

        return RoundedLayer.from_arrays(self._steps.get(("rounded", *key, *grid.key), make))


def _named(widths: Widths) -> str:
    return ",".join(f"{group}={count}" for group, count in widths)


def _thinned_key(plan: LayerPlan) -> Key:
    """What decides the layer's floating-point weights."""
    return plan.layer.name, _named(plan.read), _named(plan.written), plan.mask or "", plan.mask_ratio


def _parts(state: LayerState) -> tuple[NDArray[np.float32], ...]:
    return (state.weight,) if state.bias is None else (state.weight, state.bias)
