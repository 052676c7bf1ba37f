"""Operators that move, select or count values."""

import math
from collections.abc import Mapping

import torch
from torch.nn import functional

from compress.recovery.torch_graph.call import Call, Operator


def _reshape(call: Call) -> torch.Tensor:
    value, wanted = call[0], [int(size) for size in call[1].tolist()]
    if not call.attribute("allowzero", 0):
        wanted = [value.shape[axis] if size == 0 else size for axis, size in enumerate(wanted)]
    return value.reshape(wanted)


def _flatten(call: Call) -> torch.Tensor:
    shape, axis = call[0].shape, call.attribute("axis", 1)
    axis += len(shape) if axis < 0 else 0
    return call[0].reshape(math.prod(shape[:axis]), math.prod(shape[axis:]))


def _transpose(call: Call) -> torch.Tensor:
    order = call.attribute("perm", list(reversed(range(call[0].ndim))))
    return call[0].permute(list(order))


def _squeeze(call: Call) -> torch.Tensor:
    axes = call.integers(1, "axes")
    return call[0].squeeze() if axes is None else call[0].squeeze(dim=tuple(axes))


def _unsqueeze(call: Call) -> torch.Tensor:
    value, axes = call[0], call.integers(1, "axes") or []
    total = value.ndim + len(axes)
    for axis in sorted(axis % total for axis in axes):
        value = value.unsqueeze(axis)
    return value


def _concat(call: Call) -> torch.Tensor:
    return torch.cat([call[index] for index in range(len(call.inputs))], dim=call.attribute("axis", 0))


def _gather(call: Call) -> torch.Tensor:
    value, indices, axis = call[0], call[1].long(), call.attribute("axis", 0)
    size = value.shape[axis]
    found = torch.where(indices < 0, indices + size, indices)
    if axis == 0 and value.ndim == 2 and value.is_floating_point():
        return functional.embedding(found, value)
    picked = value.index_select(axis, found.reshape(-1))
    axis %= value.ndim
    return picked.reshape(*value.shape[:axis], *found.shape, *value.shape[axis + 1 :])


def _slice(call: Call) -> torch.Tensor:
    value = call[0]
    starts, ends = call.integers(1, "starts") or [], call.integers(2, "ends") or []
    axes = call.integers(3, "axes") or list(range(len(starts)))
    steps = call.integers(4, "steps") or [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        size = value.shape[axis]
        chosen = range(size)[start:end:step] if end >= -size or step > 0 else range(size)[start::step]
        index = torch.tensor(list(chosen), dtype=torch.int64, device=value.device)
        value = value.index_select(axis, index)
    return value


def _split(call: Call) -> tuple[torch.Tensor, ...]:
    value, axis = call[0], call.attribute("axis", 0)
    sizes = call.integers(1, "split")
    if sizes is None:
        parts = call.attribute("num_outputs", 0)
        if not parts:
            raise call.refused("it says no sizes")
        sizes = [-(-value.shape[axis] // parts)] * (parts - 1)
        sizes.append(value.shape[axis] - sum(sizes))
    return tuple(torch.split(value, sizes, dim=axis))


def _expand(call: Call) -> torch.Tensor:
    wanted = [int(size) for size in call[1].tolist()]
    return call[0] * torch.ones(wanted, dtype=call[0].dtype, device=call[0].device)  # it may broadcast both ways


def _shape(call: Call) -> torch.Tensor:
    sizes = list(call[0].shape)[call.attribute("start", 0) : call.attributes.get("end")]
    return torch.tensor(sizes, dtype=torch.int64, device=call[0].device)


def _constant_of_shape(call: Call) -> torch.Tensor:
    value = call.attribute("value", torch.zeros(1, device=call[0].device))
    return value.reshape(-1)[:1].expand([int(size) for size in call[0].tolist()])


def _pad(call: Call) -> torch.Tensor:
    mode = call.attribute("mode", "constant")
    pads = call.integers(1, "pads") or []
    axes = call.integers(3, "axes")
    if mode != "constant" or axes is not None:
        raise call.refused(f"mode {mode!r} or axes of its own")
    half = len(pads) // 2
    sides = [side for axis in reversed(range(half)) for side in (pads[axis], pads[half + axis])]
    value = call.optional(2)
    return functional.pad(call[0], sides, value=0.0 if value is None else float(value))


OPERATORS: Mapping[str, Operator] = {
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "Expand": _expand,
    "Flatten": _flatten,
    "Gather": _gather,
    "Pad": _pad,
    "Reshape": _reshape,
    "Shape": _shape,
    "Slice": _slice,
    "Split": _split,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
