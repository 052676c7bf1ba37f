"""What training minimizes: the difference from the original network's answers, and from targets where there are any."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.recovery.lessons import Lessons

if TYPE_CHECKING:
    import torch

    Tensors = Mapping[str, torch.Tensor]

_SMALLEST_POWER = 1e-12


@dataclass(frozen=True, kw_only=True)
class Answer:
    """How one output of a network is compared.

    Attributes:
        output: The output's name.
        tensor: What is compared: the output, or the scores before a Softmax that writes it.
        class_axis: The axis of these that counts classes; None where they are plain numbers.
    """

    output: str
    tensor: str
    class_axis: int | None


def answers_of(model: ir.Model, outputs: Mapping[str, NDArray[Any]], lessons: Lessons) -> tuple[Answer, ...]:
    """How the floating-point outputs of a network are compared.

    Scores are told by their targets: whole numbers below the number of classes, one for each vector of scores; or by
    the Softmax that wrote them. Everything else is compared as numbers.

    Args:
        model: The network.
        outputs: What it answers to the first lesson's samples.
        lessons: Whose targets belong to the first output.
    """
    written = {value.name: node for node in model.graph for value in node.outputs}
    found = []
    targets = lessons.runs[0].targets if lessons.have_targets else None
    for index, (name, array) in enumerate(outputs.items()):
        if not np.issubdtype(array.dtype, np.floating):
            continue
        node = written.get(name)
        if node is not None and node.op_type == "Softmax" and node.inputs[0] is not None:
            axis = node.attributes.get_int("axis", -1) % array.ndim
            found.append(Answer(output=name, tensor=node.inputs[0].name or "", class_axis=axis))
            continue
        axes = class_axis(array.shape, targets) if index == 0 and targets is not None else None
        found.append(Answer(output=name, tensor=name, class_axis=axes))
    return tuple(found)


def class_axis(shape: tuple[int, ...], targets: NDArray[Any]) -> int | None:
    """The axis of scores without which their shape is the targets', the last one first; None where there is none."""
    if not np.issubdtype(targets.dtype, np.integer) or (targets.size and targets.min() < 0):
        return None
    for axis in (len(shape) - 1, 1):
        rest = shape[1:axis] + shape[axis + 1 :]
        if 0 < axis < len(shape) and rest == targets.shape[1:] and targets.max(initial=0) < shape[axis] > 1:
            return axis
    return None


def distillation(
    student: "Tensors", teacher: "Tensors", answers: tuple[Answer, ...], temperature: float
) -> "torch.Tensor":
    """How far the student's answers are from the teacher's, summed over outputs.

    Of scores, the Kullback-Leibler divergence at a temperature (Hinton et al. 2015, arXiv:1503.02531, section 2.1,
    whose factor T² it carries); of numbers, the squared difference as a share of the teacher's power.
    """
    import torch

    losses = []
    for answer in answers:
        ours, wanted = student[answer.tensor], teacher[answer.tensor]
        if answer.class_axis is None:
            power = torch.clamp((wanted - wanted.mean()).square().mean(), min=_SMALLEST_POWER)
            losses.append((ours - wanted).square().mean() / power)
            continue
        log_ours, log_wanted = (
            torch.log_softmax(scores / temperature, dim=answer.class_axis) for scores in (ours, wanted)
        )
        divergence = (log_wanted.exp() * (log_wanted - log_ours)).sum(dim=answer.class_axis)
        losses.append(divergence.mean() * temperature**2)
    return torch.stack(losses).sum()


def label_loss(scores: "torch.Tensor", targets: "torch.Tensor", answer: Answer) -> "torch.Tensor | None":
    """The loss against targets: cross-entropy of scores, squared error of numbers; None where neither fits."""
    from torch.nn import functional

    if answer.class_axis is not None and not targets.is_floating_point():
        flat = scores.movedim(answer.class_axis, -1).flatten(0, -2)  # of planes CUDA has no form that repeats itself
        return functional.cross_entropy(flat, targets.long().flatten())
    if targets.is_floating_point() and targets.shape == scores.shape:
        return functional.mse_loss(scores, targets.to(scores.dtype))
    return None
