"""Operators that work on single values."""

from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from compress.recovery.torch_graph.call import Call, Operator

# ONNX's numbers of element types (onnx.TensorProto.DataType).
_TYPES: Mapping[int, torch.dtype] = {
    1: torch.float32,
    2: torch.uint8,
    3: torch.int8,
    5: torch.int16,
    6: torch.int32,
    7: torch.int64,
    9: torch.bool,
    10: torch.float16,
    11: torch.float64,
    16: torch.bfloat16,
}


def _unary(function: Callable[[torch.Tensor], torch.Tensor]) -> Operator:
    return lambda call: function(call[0])


def _binary(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operator:
    return lambda call: function(call[0], call[1])


def _of_many(function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]) -> Operator:
    def carry_out(call: Call) -> torch.Tensor:
        result = call[0]
        for index in range(1, len(call.inputs)):
            result = function(result, call[index])
        return result

    return carry_out


def _divide(call: Call) -> torch.Tensor:
    """Integers are divided towards zero, as in C."""
    mode = None if call[0].is_floating_point() else "trunc"
    return torch.div(call[0], call[1], rounding_mode=mode)


def _clip(call: Call) -> torch.Tensor:
    return torch.clamp(call[0], call.optional(1), call.optional(2)) if len(call.inputs) > 1 else call[0]


def _gelu(call: Call) -> torch.Tensor:
    return functional.gelu(call[0], approximate=call.attribute("approximate", "none"))


def _cast(call: Call) -> torch.Tensor:
    wanted = _TYPES.get(call.attribute("to", 0))
    if wanted is None:
        raise call.refused(f"element type {call.attribute('to', 0)}")
    return call[0].to(wanted)


def _hard_sigmoid(call: Call) -> torch.Tensor:
    return torch.clamp(call.attribute("alpha", 0.2) * call[0] + call.attribute("beta", 0.5), 0.0, 1.0)


def _softmax(call: Call) -> torch.Tensor:
    return torch.softmax(call[0], dim=call.attribute("axis", -1))


def _log_softmax(call: Call) -> torch.Tensor:
    return torch.log_softmax(call[0], dim=call.attribute("axis", -1))


OPERATORS: Mapping[str, Operator] = {
    "Abs": _unary(torch.abs),
    "Add": _binary(torch.add),
    "And": _binary(torch.logical_and),
    "Cast": _cast,
    "Ceil": _unary(torch.ceil),
    "Clip": _clip,
    "Cos": _unary(torch.cos),
    "Div": _divide,
    "Elu": lambda call: functional.elu(call[0], alpha=call.attribute("alpha", 1.0)),
    "Equal": _binary(torch.eq),
    "Erf": _unary(torch.erf),
    "Exp": _unary(torch.exp),
    "Floor": _unary(torch.floor),
    "Gelu": _gelu,
    "Greater": _binary(torch.gt),
    "GreaterOrEqual": _binary(torch.ge),
    "HardSigmoid": _hard_sigmoid,
    "HardSwish": _unary(functional.hardswish),
    "Identity": _unary(lambda value: value),
    "LeakyRelu": lambda call: functional.leaky_relu(call[0], call.attribute("alpha", 0.01)),
    "Less": _binary(torch.lt),
    "LessOrEqual": _binary(torch.le),
    "Log": _unary(torch.log),
    "LogSoftmax": _log_softmax,
    "Max": _of_many(torch.maximum),
    "Min": _of_many(torch.minimum),
    "Mul": _binary(torch.mul),
    "Neg": _unary(torch.neg),
    "Not": _unary(torch.logical_not),
    "Or": _binary(torch.logical_or),
    "PRelu": lambda call: torch.where(call[0] < 0, call[0] * call[1], call[0]),
    "Pow": lambda call: torch.pow(call[0], call[1]).to(call[0].dtype),
    "Reciprocal": _unary(torch.reciprocal),
    "Relu": _unary(torch.relu),
    "Sigmoid": _unary(torch.sigmoid),
    "Sin": _unary(torch.sin),
    "Softmax": _softmax,
    "Softplus": _unary(functional.softplus),
    "Sqrt": _unary(torch.sqrt),
    "Sub": _binary(torch.sub),
    "Sum": _of_many(torch.add),
    "Tanh": _unary(torch.tanh),
    "Where": lambda call: torch.where(call[0], call[1], call[2]),
}
