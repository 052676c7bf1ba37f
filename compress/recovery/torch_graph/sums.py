"""Operators that add up: products with weights, normalization, pooling, reductions."""

import math
from collections.abc import Callable, Mapping

import torch
from torch.nn import functional

from compress.recovery.torch_graph.call import Call, Operator


def _padded(call: Call, kernel: list[int], fill: float) -> torch.Tensor:
    """The first input with the borders that a convolution or a pooling asks for."""
    value, axes = call[0], len(kernel)
    strides = call.attribute("strides", [1] * axes)
    dilations = call.attribute("dilations", [1] * axes)
    kind = call.attribute("auto_pad", "NOTSET")
    if kind in ("NOTSET", ""):
        pads = list(call.attribute("pads", [0] * 2 * axes))
    elif kind == "VALID":
        pads = [0] * 2 * axes
    else:
        pads = [0] * 2 * axes
        for axis in range(axes):
            size = value.shape[2 + axis]
            reach = dilations[axis] * (kernel[axis] - 1) + 1
            needed = max(0, (math.ceil(size / strides[axis]) - 1) * strides[axis] + reach - size)
            less, more = needed // 2, needed - needed // 2
            pads[axis], pads[axes + axis] = (less, more) if kind == "SAME_UPPER" else (more, less)
    if not any(pads):
        return value
    sides = [side for axis in reversed(range(axes)) for side in (pads[axis], pads[axes + axis])]
    return functional.pad(value, sides, value=fill)


def _convolution(call: Call) -> torch.Tensor:
    weight = call[1]
    axes = weight.ndim - 2
    functions: list[Callable[..., torch.Tensor]] = [functional.conv1d, functional.conv2d, functional.conv3d]
    if not 1 <= axes <= 3:
        raise call.refused(f"{axes} spatial axes")
    found: torch.Tensor = functions[axes - 1](
        _padded(call, list(weight.shape[2:]), 0.0),
        weight,
        call.optional(2),
        stride=list(call.attribute("strides", [1] * axes)),
        dilation=list(call.attribute("dilations", [1] * axes)),
        groups=call.attribute("group", 1),
    )
    return found


def _gemm(call: Call) -> torch.Tensor:
    left = call[0].transpose(0, 1) if call.attribute("transA", 0) else call[0]
    right = call[1].transpose(0, 1) if call.attribute("transB", 0) else call[1]
    product = call.attribute("alpha", 1.0) * (left @ right) if call.attribute("alpha", 1.0) != 1.0 else left @ right
    bias = call.optional(2)
    return product if bias is None else product + call.attribute("beta", 1.0) * bias


def _layer_normalization(call: Call) -> torch.Tensor:
    value = call[0]
    axis = call.attribute("axis", -1) % value.ndim
    shape = value.shape[axis:]
    bias = call.optional(2)
    return functional.layer_norm(
        value,
        list(shape),
        call[1].expand(shape),
        None if bias is None else bias.expand(shape),
        call.attribute("epsilon", 1e-5),
    )


def _batch_normalization(call: Call) -> torch.Tensor:
    return functional.batch_norm(call[0], call[3], call[4], call[1], call[2], eps=call.attribute("epsilon", 1e-5))


def _max_pool(call: Call) -> torch.Tensor:
    kernel = list(call.attribute("kernel_shape", [1]))
    functions: list[Callable[..., torch.Tensor]] = [
        functional.max_pool1d,
        functional.max_pool2d,
        functional.max_pool3d,
    ]
    if not 1 <= len(kernel) <= 3:
        raise call.refused(f"{len(kernel)} spatial axes")
    return functions[len(kernel) - 1](
        _padded(call, kernel, -math.inf),
        kernel,
        stride=list(call.attribute("strides", [1] * len(kernel))),
        dilation=list(call.attribute("dilations", [1] * len(kernel))),
        ceil_mode=bool(call.attribute("ceil_mode", 0)),
    )


def _average_pool(call: Call) -> torch.Tensor:
    kernel = list(call.attribute("kernel_shape", [1]))
    functions: list[Callable[..., torch.Tensor]] = [
        functional.avg_pool1d,
        functional.avg_pool2d,
        functional.avg_pool3d,
    ]
    pads = list(call.attribute("pads", [0] * 2 * len(kernel)))
    symmetric = pads[: len(kernel)] == pads[len(kernel) :] and call.attribute("auto_pad", "NOTSET") in ("NOTSET", "")
    dilated = any(step != 1 for step in call.attribute("dilations", [1]))
    if not symmetric or dilated or not 1 <= len(kernel) <= 3:
        raise call.refused("its borders or dilations")
    return functions[len(kernel) - 1](
        call[0],
        kernel,
        stride=list(call.attribute("strides", [1] * len(kernel))),
        padding=pads[: len(kernel)],
        ceil_mode=bool(call.attribute("ceil_mode", 0)),
        count_include_pad=bool(call.attribute("count_include_pad", 0)),
    )


def _global_pool(function: Callable[..., torch.Tensor]) -> Operator:
    return lambda call: function(call[0], dim=tuple(range(2, call[0].ndim)), keepdim=True)


def _reduction(function: Callable[..., torch.Tensor]) -> Operator:
    def carry_out(call: Call) -> torch.Tensor:
        axes = call.integers(1, "axes")
        if axes is None or not axes:
            if call.attribute("noop_with_empty_axes", 0):
                return call[0]
            axes = list(range(call[0].ndim))
        return function(call[0], dim=tuple(axes), keepdim=bool(call.attribute("keepdims", 1)))

    return carry_out


def _norm(value: torch.Tensor, *, dim: tuple[int, ...], keepdim: bool) -> torch.Tensor:
    found: torch.Tensor = torch.linalg.vector_norm(value, dim=dim, keepdim=keepdim)
    return found


def _squares(value: torch.Tensor, *, dim: tuple[int, ...], keepdim: bool) -> torch.Tensor:
    return value.square().sum(dim=dim, keepdim=keepdim)


def _extreme(call: Call) -> torch.Tensor:
    function = torch.argmax if call.op_type == "ArgMax" else torch.argmin
    return function(call[0], dim=call.attribute("axis", 0), keepdim=bool(call.attribute("keepdims", 1)))


OPERATORS: Mapping[str, Operator] = {
    "ArgMax": _extreme,
    "ArgMin": _extreme,
    "AveragePool": _average_pool,
    "BatchNormalization": _batch_normalization,
    "Conv": _convolution,
    "Gemm": _gemm,
    "GlobalAveragePool": _global_pool(torch.mean),
    "GlobalMaxPool": _global_pool(torch.amax),
    "LayerNormalization": _layer_normalization,
    "MatMul": lambda call: torch.matmul(call[0], call[1]),
    "MaxPool": _max_pool,
    "ReduceL2": _reduction(_norm),
    "ReduceMax": _reduction(torch.amax),
    "ReduceMean": _reduction(torch.mean),
    "ReduceMin": _reduction(torch.amin),
    "ReduceSum": _reduction(torch.sum),
    "ReduceSumSquare": _reduction(_squares),
}
