"""16-bit floats (IEEE half) for some layers, and for what lies between them.

Casts stand at the borders only: an operator without weights computes in half precision when everything that it reads
does, unless its values could grow beyond the format. Half precision ends at 65504, where float32 is only beginning, so
a layer whose weights or calibrated values do not fit is refused. (Micikevicius et al. 2018, arXiv:1710.03740.)

ONNX Runtime on x86 has no such kernels: it widens the weights back to float32 when the session opens and drops the
casts in between, so that only the weights' rounding remains, and no time is saved.
"""

from collections.abc import Collection, Mapping, Set

import numpy as np
import onnx_ir as ir

from compress.errors import PolicyError
from compress.formats.placement import WEIGHTED, range_source
from compress.formats.scheme import Range
from compress.formats.substitute import drop_unread, require_operators
from compress.graph import add_initializer, constant, derived, operand

LARGEST = 65504.0
# Data may be twice what the calibration data was.
_HEADROOM = 2.0

# Their result is never larger in magnitude than their first input, which is the only float among their inputs.
_MOVING = frozenset(("Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"))
_SHRINKING = frozenset(
    (
        "AveragePool",
        "Clip",
        "Elu",
        "Gelu",
        "GlobalAveragePool",
        "GlobalMaxPool",
        "HardSwish",
        "LeakyRelu",
        "MaxPool",
        "Relu",
    )
)
_BELOW_ONE = frozenset(("Erf", "HardSigmoid", "Sigmoid", "Tanh"))
_COMBINING = frozenset(("Add", "Concat", "Mul", "Sub"))
_WEIGHTLESS = _MOVING | _SHRINKING | _BELOW_ONE | _COMBINING


class HalfPrecisionLayers(ir.passes.InPlacePass):
    """Give some weighted operators weights and arithmetic in half precision.

    Ensures that the graph's inputs and outputs keep their names, types and shapes.

    Args:
        nodes: Names of the operators.
        ranges: Calibrated (low, high) by value name; what is not named is taken to fit.

    Raises:
        PolicyError: Weights of an operator are beyond 65504, or what it reads or writes is beyond half of that.
    """

    def __init__(self, nodes: Collection[str], ranges: Mapping[str, Range] | None = None) -> None:
        super().__init__()
        self._names = frozenset(nodes)
        self._ranges = ranges or {}

    def requires(self, model: ir.Model) -> None:
        """Every operator named has a float weight."""
        require_operators(model.graph, self._names, WEIGHTED, "compute in half precision")

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Narrow the layers and what lies between them; cast at the borders."""
        graph = model.graph
        half = self._choose(graph)
        narrowed: dict[ir.Value, ir.Value] = {}
        for node in half:
            _narrow_inputs(graph, node, half, narrowed)
        for node in half:
            _narrow_output(graph, node, half)
        return ir.passes.PassResult(model, bool(half))

    def _choose(self, graph: ir.Graph) -> dict[ir.Node, None]:
        """The operators that compute in half precision, in graph order; raises before any edit."""
        magnitudes = _Magnitudes(self._ranges)
        chosen: dict[ir.Node, None] = {}
        for node in graph:
            if node.name in self._names:
                _check_layer(node, magnitudes)
                chosen[node] = None
            elif _lies_between(node, chosen.keys(), magnitudes):
                chosen[node] = None
        return chosen


def _check_layer(node: ir.Node, magnitudes: "_Magnitudes") -> None:
    for value in (operand(node, 0), node.outputs[0]):
        largest = magnitudes.calibrated(range_source(value)) or 0.0
        if not largest <= LARGEST / _HEADROOM:
            raise PolicyError(
                f"layer operator {node.name!r}: tensor {value.name!r} reaches {largest:.4g} in calibration, half "
                f"precision ends at {LARGEST:g} and needs a factor of {_HEADROOM:g} to spare; use 32 bits"
            )
    for value in filter(None, node.inputs[1:]):
        if not (largest := magnitudes.of(value)) <= LARGEST:
            raise PolicyError(
                f"layer operator {node.name!r}: weights {value.name!r} reach {largest:.4g}, half precision ends at "
                f"{LARGEST:g}; use 32 bits"
            )


class _Magnitudes:
    """Upper bounds of what values reach: calibrated, or concluded from an operator's inputs; 0 where unknown."""

    def __init__(self, ranges: Mapping[str, Range]) -> None:
        self._ranges = ranges
        self._known: dict[ir.Value, float] = {}

    def of(self, value: ir.Value) -> float:
        """The bound for `value`."""
        if value not in self._known:
            self._known[value] = self._find(value)
        return self._known[value]

    def calibrated(self, value: ir.Value) -> float | None:
        """What `value` reached on the calibration data; None where that is not known."""
        found = self._ranges.get(value.name or "")
        return None if found is None else max(-found[0], found[1])

    def _find(self, value: ir.Value) -> float:
        reached = self.calibrated(value)
        if reached is not None:
            return reached
        if value.const_value is not None:
            array = constant(value)
            return float(np.abs(array).max()) if array.size else 0.0
        producer = value.producer()
        if producer is None:
            return 0.0
        if producer.op_type == "DequantizeLinear":
            scale = operand(producer, 1)
            return 0.0 if scale.const_value is None else float(constant(scale).max()) * 255
        return self._concluded(producer) if producer.op_type in _WEIGHTLESS else 0.0

    def _concluded(self, node: ir.Node) -> float:
        if node.op_type in _BELOW_ONE:
            return 1.0
        parts = [self.of(value) for value in _float_inputs(node).values()]
        if node.op_type in ("Add", "Sub"):
            return sum(parts)
        if node.op_type == "Mul":
            return parts[0] * parts[1]
        if node.op_type == "LeakyRelu":
            return parts[0] * max(1.0, abs(node.attributes.get_float("alpha", 0.01)))
        return max(parts) if node.op_type == "Concat" else parts[0]


def _lies_between(node: ir.Node, half: Set[ir.Node], magnitudes: _Magnitudes) -> bool:
    if node.domain not in ("", "ai.onnx") or node.op_type not in _WEIGHTLESS:
        return False
    inputs = _float_inputs(node).values()
    computed = [value for value in inputs if value.const_value is None]
    if not computed or any(value.producer() not in half for value in computed):
        return False
    constants = [value for value in inputs if value.const_value is not None]
    if any(value.dtype != ir.DataType.FLOAT or magnitudes.of(value) > LARGEST for value in constants):
        return False
    return magnitudes.of(node.outputs[0]) <= LARGEST / _HEADROOM


def _float_inputs(node: ir.Node) -> dict[int, ir.Value]:
    """The inputs that carry numbers, by position; shapes, axes and indices do not."""
    last = 1 if node.op_type in _MOVING else len(node.inputs)
    return {index: value for index, value in enumerate(node.inputs[:last]) if value is not None}


def _narrow_inputs(
    graph: ir.Graph, node: ir.Node, half: Collection[ir.Node], narrowed: dict[ir.Value, ir.Value]
) -> None:
    for index, value in _float_inputs(node).items():
        if value.producer() in half:
            continue
        if value not in narrowed:
            narrowed[value] = (
                _narrow_constant(graph, value) if value.const_value is not None else _cast(graph, node, value)
            )
        node.replace_input_with(index, narrowed[value])
        if value.const_value is not None:
            drop_unread(graph, [value])


def _narrow_constant(graph: ir.Graph, value: ir.Value) -> ir.Value:
    return add_initializer(graph, derived(value.name or "", "half"), constant(value).astype(np.float16))


def _cast(graph: ir.Graph, reader: ir.Node, value: ir.Value) -> ir.Value:
    """The value in half precision, made right before its first reader."""
    name = derived(value.name or "", "half")
    cast = ir.node("Cast", [value], attributes={"to": int(ir.DataType.FLOAT16)}, name=f"{name}_cast")
    output = cast.outputs[0]
    output.name, output.type, output.shape = name, ir.TensorType(ir.DataType.FLOAT16), value.shape
    graph.insert_before(reader, cast)
    return output


def _narrow_output(graph: ir.Graph, node: ir.Node, half: Collection[ir.Node]) -> None:
    """Let `node` write half precision; readers that want float32 get it back under the old name."""
    value = node.outputs[0]
    name = value.name or ""
    others = [(reader, index) for reader, index in value.uses() if reader not in half]
    if others or value.is_graph_output():
        widen = ir.node("Cast", [value], attributes={"to": int(ir.DataType.FLOAT)}, name=derived(name, "float_cast"))
        output = widen.outputs[0]
        output.name, output.type, output.shape = name, value.type, value.shape
        for reader, index in others:
            reader.replace_input_with(index, output)
        for position, graph_output in enumerate(graph.outputs):
            if graph_output is value:
                graph.outputs[position] = output
        graph.insert_after(node, widen)
    value.name, value.type = derived(name, "half"), ir.TensorType(ir.DataType.FLOAT16)
