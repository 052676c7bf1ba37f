"""An ONNX graph as a module: every operator carried out in torch, in the graph's order."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
import torch
from torch import nn

from compress.graph import constant
from compress.recovery.device import place
from compress.recovery.rounded_graph import DOMAIN
from compress.recovery.torch_graph import elementwise, layouts, rounding, sums
from compress.recovery.torch_graph.call import Call, Operator

_STANDARD: Mapping[str, Operator] = {**elementwise.OPERATORS, **layouts.OPERATORS, **sums.OPERATORS}
_TABLES: Mapping[str, Mapping[str, Operator]] = {
    "": _STANDARD,
    "ai.onnx": _STANDARD,
    DOMAIN: rounding.OPERATORS,
}


@dataclass(frozen=True, kw_only=True, eq=False)
class _Step:
    name: str
    op_type: str
    operator: Operator
    inputs: tuple[str | None, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


class TorchGraph(nn.Module):
    """A graph that can be trained.

    Args:
        model: The graph; left as it is.
        learned: Initializer name to the parameter that stands for it; other initializers are constants. Several graphs
            may share parameters.
        device: Where it computes; parameters and feeds are there.

    Raises:
        UntrainableError: An operator has no form in torch that we know.
    """

    def __init__(self, model: ir.Model, learned: Mapping[str, nn.Parameter], device: torch.device) -> None:
        super().__init__()
        self._learned = dict(learned)
        self._steps = [_step(node, device) for node in model.graph]
        self.input_names = [value.name or "" for value in model.graph.inputs if value.const_value is None]
        self.output_names = [value.name or "" for value in model.graph.outputs]
        self._last_use = {
            name: index for index, step in enumerate(self._steps) for name in step.inputs if name is not None
        }
        read = {name for step in self._steps for name in step.inputs} | set(self.output_names)
        self._constants = {
            name: place(constant(value), device)
            for name, value in model.graph.initializers.items()
            if name in read and name not in self._learned
        }

    @property
    def tensor_names(self) -> frozenset[str]:
        """Names of all tensors that operators write."""
        return frozenset(name for step in self._steps for name in step.outputs)

    def forward(self, feeds: Mapping[str, torch.Tensor], wanted: Collection[str] = ()) -> dict[str, torch.Tensor]:
        """The outputs by name, and the inner tensors that are `wanted` too."""
        kept = {*self.output_names, *wanted}
        values: dict[str, torch.Tensor] = {**self._constants, **self._learned}
        values |= {name: feeds[name] for name in self.input_names}
        for index, step in enumerate(self._steps):
            inputs = [None if name is None else values[name] for name in step.inputs]
            call = Call(name=step.name, op_type=step.op_type, inputs=inputs, attributes=step.attributes)
            found = step.operator(call)
            made = found if isinstance(found, tuple) else (found,)
            values.update(zip(step.outputs, made, strict=False))
            for name in step.inputs:  # without gradients, nothing else holds what nobody will read again
                if name is not None and self._last_use[name] == index and name not in kept:
                    values.pop(name, None)
        return {name: values[name] for name in kept}


def _step(node: ir.Node, device: torch.device) -> _Step:
    operator = _TABLES.get(node.domain, {}).get(node.op_type)
    name = node.name or node.op_type
    if operator is None:
        kind = f"{node.domain}:{node.op_type}" if node.domain not in ("", "ai.onnx") else node.op_type
        raise Call(name=name, op_type=kind, inputs=(), attributes={}).refused("it is not one we carry out")
    return _Step(
        name=name,
        op_type=node.op_type,
        operator=operator,
        inputs=tuple(None if value is None else value.name or "" for value in node.inputs),
        outputs=tuple(value.name or "" for value in node.outputs),
        attributes={key: _plain(attribute, device) for key, attribute in node.attributes.items()},
    )


def _plain(attribute: ir.Attr, device: torch.device) -> Any:
    """An attribute's value as plain Python, or as a tensor."""
    if attribute.type == ir.AttributeType.TENSOR:
        return place(attribute.as_tensor().numpy(), device)
    value = attribute.value
    return list(value) if isinstance(value, tuple) else value
