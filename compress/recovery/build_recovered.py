"""From recovered weights to an ordinary candidate: the float structure, then the target's number formats."""

from collections.abc import Mapping

import numpy as np
import onnx_ir as ir

from compress.candidate import Candidate
from compress.errors import CompressionError, PolicyError
from compress.finished_layer import FinishedLayer
from compress.graph import constant, operand
from compress.network import serialize
from compress.plan import LayerPlan
from compress.recovery.float_structure import FloatStructure, layer_at
from compress.recovery.recovered_weights import RecoveredWeights
from compress.runtime import FAITHFUL_SESSION_ENTRIES
from compress.stitch import Compressor
from compress.weights.layer_state import LayerState
from compress.weights.round_layer import RoundedLayer, elimination_of, round_layer


def build_recovered(compressor: Compressor, recovered: RecoveredWeights) -> Candidate:
    """The candidate of recovered weights: the same weights give the same bytes, in any process.

    Weights are rounded to nearest: training has seen just that rounding, and compensation would undo what it learned.

    Raises:
        CompressionError: The weights are those of another network or structure.
        PolicyError: The policy asks for what the target has not.
    """
    if recovered.network_digest != compressor.network.digest:
        raise CompressionError(
            f"these weights were recovered for network {recovered.network_digest[:12]}, "
            f"this one is {compressor.network.digest[:12]}"
        )
    structure = FloatStructure.of(compressor, recovered.policy)
    model = structure.with_weights(recovered.weights)
    formats = {plan.layer.name: plan.format for plan in structure.plans}
    finished = finish(compressor, structure, model)
    try:
        for edit in compressor.format_passes(recovered.ranges, recovered.ranges).of(finished):
            edit(model)
    except ir.passes.InvariantError as error:  # onnx-ir wraps what a pass raises before and after its work
        raise PolicyError(f"the recovered candidate cannot be built: {error.__cause__ or error}") from error
    return Candidate(
        policy=recovered.policy,
        onnx_bytes=serialize(model),
        session_entries=FAITHFUL_SESSION_ENTRIES if "int8" in formats.values() else {},
        ranks=structure.ranks,
        formats=formats,
    )


def finish(compressor: Compressor, structure: FloatStructure, model: ir.Model) -> Mapping[LayerPlan, FinishedLayer]:
    """The layers of `model`, a graph of this structure, whose format is not FP32, rounded to nearest."""
    nodes = {node.name or "": node for node in model.graph}
    return {
        plan: _finish(compressor, plan, [nodes[name] for name in structure.operators(plan)], structure)
        for plan in structure.plans
        if plan.format != "fp32" and not plan.is_ended
    }


def _finish(
    compressor: Compressor, plan: LayerPlan, operators: list[ir.Node], structure: FloatStructure
) -> FinishedLayer:
    grid = compressor.grid(plan.format)
    rounded: list[RoundedLayer] = []
    weights = [constant(operand(node, 1)).astype(np.float32, copy=False) for node in operators]
    for node, weight in zip(operators, weights, strict=True):
        if grid is not None:
            state = LayerState(layer=layer_at(node, plan.layer), weight=weight, bias=None, moments=None, responses=None)
            rounded.append(round_layer(state, grid, elimination_of(state)))
    return FinishedLayer(
        weights=tuple(weights),
        groups=layer_at(operators[-1], plan.layer).groups,
        bias=None,
        rounded=tuple(rounded),
        rank=structure.ranks.get(plan.layer.name),
    )
