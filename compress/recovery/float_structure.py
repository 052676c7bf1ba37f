"""The network that a policy leaves, still in floats: channels gone, factors in place, no number format written."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.graph import constant, operand, output_axis
from compress.layers import Layer
from compress.low_rank.factorize_layers import first_name
from compress.plan import LayerPlan
from compress.policy import UNTOUCHED, Policy
from compress.stitch import Compressor

# Operator to the inputs whose constants may be learned whatever their shape.
_LEARNED: Mapping[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "Gemm": (1, 2),
    "MatMul": (0, 1),
    "LayerNormalization": (1, 2),
    "Gather": (0,),
}
# Constants of these may be learned where they are one value per channel: others are masks and the like.
_PER_CHANNEL = ("Add", "Sub", "Mul", "Div")


@dataclass(frozen=True, kw_only=True, eq=False)
class FloatStructure:
    """A policy's network in floats.

    Attributes:
        policy: What was asked, number formats included.
        model: The graph; nobody edits it in place.
        plans: What becomes of each layer that is left.
        ranks: Layer name to its rank, for factorized layers.
    """

    policy: Policy
    model: ir.Model
    plans: tuple[LayerPlan, ...]
    ranks: Mapping[str, int]

    @classmethod
    def of(cls, compressor: Compressor, policy: Policy) -> "FloatStructure":
        """The structure that `compressor` builds for `policy`.

        Raises:
            PolicyError: The policy does not fit the network or the target.
        """
        plans = compressor.plan(policy).layers
        built = compressor.build(floats_of(policy))
        model = ir.from_proto(_parsed(built.onnx_bytes))
        standing = {node.name for node in model.graph}
        return cls(
            policy=policy,
            model=model,
            plans=tuple(plan for plan in plans if plan.layer.node_name in standing and not plan.is_gone),
            ranks=built.ranks,
        )

    def learnable(self) -> dict[str, NDArray[np.float32]]:
        """The initializers that recovery may change, by name."""
        found: dict[str, NDArray[np.float32]] = {}
        for node in self.model.graph:
            for _, value in learned_inputs(node):
                found.setdefault(value.name or "", constant(value))
        return found

    def with_weights(self, weights: Mapping[str, NDArray[np.float32]]) -> ir.Model:
        """The graph with other values in some initializers, as a new model.

        Raises:
            CompressionError: There is no such initializer, or it has another shape.
        """
        model = self.model.clone()
        for name, array in weights.items():
            value = model.graph.initializers.get(name)
            if value is None:
                raise CompressionError(f"the policy's network has no weight {name!r} to recover")
            shape = constant(value).shape
            if shape != array.shape:
                raise CompressionError(f"weight {name!r} has shape {shape}, the recovered one {array.shape}")
            value.const_value = ir.Tensor(np.asarray(array, np.float32, order="C"), name=name)
        return model

    def operators(self, plan: LayerPlan) -> tuple[str, ...]:
        """Names of the operators that a layer has become: itself, or its first factor and itself."""
        name = plan.layer.node_name
        return (first_name(name), name) if plan.layer.name in self.ranks else (name,)


def floats_of(policy: Policy) -> Policy:
    """The policy without number formats."""
    return Policy(
        {
            name: replace(
                choice,
                weight_bits=UNTOUCHED.weight_bits,
                activation_bits=UNTOUCHED.activation_bits,
                activation_mode=UNTOUCHED.activation_mode,
            )
            for name, choice in policy.layers.items()
        }
    )


def layer_at(node: ir.Node, original: Layer) -> Layer:
    """The layer in the shape that its operator `node` has now."""
    return replace(
        original,
        node_name=node.name or "",
        weight_name=operand(node, 1).name or "",
        weight_shape=constant(operand(node, 1)).shape,
        output_axis=output_axis(node),
        groups=node.attributes.get_int("group", 1) if node.op_type == "Conv" else 1,
    )


def learned_inputs(node: ir.Node) -> Iterator[tuple[int, ir.Value]]:
    """The constants of an operator that recovery may change, and which of its inputs they are."""
    if node.domain not in ("", "ai.onnx"):
        return
    for index, value in enumerate(node.inputs):
        if value is None or value.const_value is None or value.const_value.dtype != ir.DataType.FLOAT:
            continue
        per_channel = node.op_type in _PER_CHANNEL and max(constant(value).shape, default=1) == constant(value).size > 1
        if index in _LEARNED.get(node.op_type, ()) or per_channel:
            yield index, value


def _parsed(onnx_bytes: bytes) -> "ir.onnx.ModelProto":  # type: ignore[name-defined]  # onnx is imported late
    import onnx

    return onnx.load_model_from_string(onnx_bytes)
