"""One training: the original network teaches the compressed one, first in floats, then in its number formats."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compress.formats.scheme import Range
from compress.recovery.checkpoint import require
from compress.recovery.device import fetch, find_device, place
from compress.recovery.distillation import Answer, answers_of, distillation, label_loss
from compress.recovery.float_structure import FloatStructure
from compress.recovery.hints import hint_loss, hints_of
from compress.recovery.lessons import Lesson, Lessons
from compress.recovery.relatives import masks_of
from compress.recovery.rounded_graph import LearnedRange, half_precision_tensors, range_tensors, rehearse
from compress.recovery.settings import RecoverySettings
from compress.recovery.teacher import Teacher
from compress.recovery.torch_graph.graph import TorchGraph
from compress.stitch import Compressor

_WARM_UP = 0.05
_LAST_RATE = 0.01
_MOST_GRADIENT = 1.0
_BETAS = (0.9, 0.99)
_RANGE_SAMPLES = 256
_RANGE_BATCH = 32
_AVERAGES = ("exp_avg", "exp_avg_sq")


class Training:
    """The networks, the optimizer and the losses; `recover` decides when to step and when to stop.

    Args:
        compressor: Of the original network.
        structure: What is trained, from the weights that it has.
        lessons: What to learn from.
        settings: How.

    Raises:
        UntrainableError: An operator has no form in torch that we know.
        CompressionError: torch does not have the device.
    """

    def __init__(
        self,
        compressor: Compressor,
        structure: FloatStructure,
        lessons: Lessons,
        settings: RecoverySettings,
    ) -> None:
        self._compressor = compressor
        self._structure = structure
        self._lessons = lessons
        self._settings = settings
        self._device = find_device(settings.device)
        self.weights = {name: nn.Parameter(place(array, self._device)) for name, array in structure.learnable().items()}
        self._masks = {name: place(mask, self._device) for name, mask in masks_of(structure).items()}
        self._scales: dict[str, nn.Parameter] = {}
        self._learned: tuple[LearnedRange, ...] = ()
        self._stand_ins: Mapping[str, str] = {}
        self.first_ranges: Mapping[str, Range] | None = None
        self._teacher = Teacher(compressor.network, lessons, self._device)
        self._student = TorchGraph(structure.model, self.weights, self._device)
        self._hints = hints_of(compressor.network, structure) if settings.hint_weight else {}
        self._answers = self._compare()
        self._blends = all(np.issubdtype(a.dtype, np.floating) for run in lessons.runs for a in run.feeds.values())
        matrices = [p for p in self.weights.values() if p.ndim > 1]
        others = [p for p in self.weights.values() if p.ndim <= 1]
        self._optimizer = torch.optim.AdamW(
            [
                {"params": matrices, "weight_decay": settings.weight_decay},
                {"params": others, "weight_decay": 0.0},
            ],
            lr=settings.learning_rate,
            betas=_BETAS,
        )

    def _compare(self) -> tuple[Answer, ...]:
        run = self._lessons.runs[0]
        found = self._teacher.ask(self._placed(run.pick(np.arange(1))), self._teacher.output_names)
        outputs = {name: fetch(tensor) for name, tensor in found.items()}
        return answers_of(self._compressor.network.model, outputs, self._lessons)

    def begin_with(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Take other first weights, of every initializer that is learned."""
        with torch.no_grad():
            for name, parameter in self.weights.items():
                parameter.copy_(place(weights[name], self._device))

    @property
    def is_rounded(self) -> bool:
        """Whether rounding has set in."""
        return self.first_ranges is not None

    def set_rounding_in(self, ranges: Mapping[str, Range] | None = None) -> None:
        """From now on the network answers as its candidate will.

        Args:
            ranges: To begin with; None for those observed now.
        """
        self.first_ranges = self.observed(range_tensors(self._structure)) if ranges is None else ranges
        rounded = rehearse(self._compressor, self._structure, self.first_ranges)
        self._learned, self._stand_ins = rounded.ranges, rounded.stand_ins
        self._scales = {
            grid.parameter: nn.Parameter(place(np.float32(math.log(grid.scale)), self._device))
            for grid in rounded.ranges
        }
        self._student = TorchGraph(rounded.model, {**self.weights, **self._scales}, self._device)
        if self._scales:
            self._optimizer.add_param_group({"params": list(self._scales.values()), "weight_decay": 0.0})

    def observed(self, tensors: list[str]) -> dict[str, Range]:
        """The ranges of some tensors of the float structure on some lessons: extremes, averaged over batches."""
        if not tensors:
            return {}
        graph = TorchGraph(self._structure.model, self.weights, self._device)
        lows: dict[str, list[float]] = {name: [] for name in tensors}
        highs: dict[str, list[float]] = {name: [] for name in tensors}
        left = _RANGE_SAMPLES
        for lesson in self._lessons.epoch(_RANGE_BATCH, np.random.default_rng(self._settings.seed)):
            with torch.no_grad():
                feeds = self._placed(lesson)
                found = graph(feeds, tensors)
            for name in tensors:
                lows[name].append(float(found[name].min()))
                highs[name].append(float(found[name].max()))
            left -= len(lesson)
            if left <= 0:
                break
        return {name: (float(np.mean(lows[name])), float(np.mean(highs[name]))) for name in tensors}

    def step(self, lesson: Lesson, number: int, progress: float) -> tuple[float, float | None]:
        """One update.

        Args:
            lesson: The batch.
            number: Of this step, counted from 0 over all epochs.
            progress: Share of the training that is done, for the learning rate (Loshchilov & Hutter 2017,
                arXiv:1608.03983).

        Returns:
            The loss, and the mean score of the answers; None where nobody can tell.
        """
        for group in self._optimizer.param_groups:
            group["lr"] = self._settings.learning_rate * _rate(progress)
        feeds, targets = self._placed(lesson), lesson.targets
        wanted = [*(answer.tensor for answer in self._answers), *self._hints]
        generator = np.random.default_rng((self._settings.seed, number))
        if self._blends and len(lesson) > 1 and generator.random() < self._settings.mixing:
            feeds, targets = _blended(feeds, generator), None
            teacher = self._teacher.ask(feeds, wanted)
        else:
            teacher = self._teacher.answer(lesson, feeds, wanted)
        student = self._ask_student(feeds, wanted)
        loss = self._loss(student, teacher, targets)
        self._optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        nn.utils.clip_grad_norm_([p for group in self._optimizer.param_groups for p in group["params"]], _MOST_GRADIENT)
        self._optimizer.step()
        with torch.no_grad():
            for name, mask in self._masks.items():
                self.weights[name].mul_(mask)
        return float(loss.detach()), self._score(student, targets)

    def _ask_student(self, feeds: Mapping[str, torch.Tensor], wanted: list[str]) -> dict[str, torch.Tensor]:
        called = {name: self._stand_ins.get(name, name) for name in wanted}
        found = self._student(feeds, called.values())
        return found | {name: found[there] for name, there in called.items()}

    def _loss(
        self, student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], targets: NDArray[Any] | None
    ) -> torch.Tensor:
        settings = self._settings
        loss = distillation(student, teacher, self._answers, settings.temperature)
        if settings.label_weight and targets is not None and self._answers:
            first = self._answers[0]
            labels = label_loss(student[first.tensor], place(targets, self._device), first)
            if labels is not None:
                loss = (1.0 - settings.label_weight) * loss + settings.label_weight * labels
        if self._hints:
            loss = loss + settings.hint_weight * hint_loss(student, teacher, self._hints)
        return loss

    def _score(self, student: Mapping[str, torch.Tensor], targets: NDArray[Any] | None) -> float | None:
        if self._lessons.score is None or targets is None:
            return None
        outputs = {name: fetch(student[name]) for name in self._student.output_names}
        given = outputs if len(outputs) > 1 else next(iter(outputs.values()))
        return float(np.mean(np.asarray(self._lessons.score(given, targets), np.float64)))

    def _placed(self, lesson: Lesson) -> dict[str, torch.Tensor]:
        return {name: place(array, self._device) for name, array in lesson.feeds.items()}

    def answers(self, lesson: Lesson) -> list[NDArray[Any]]:
        """What the network answers as it is now, output by output."""
        with torch.no_grad():
            found = self._student(self._placed(lesson))
        return [fetch(found[name]) for name in self._student.output_names]

    def recovered_weights(self) -> dict[str, NDArray[np.float32]]:
        """The weights as they are now."""
        return {name: fetch(parameter) for name, parameter in self.weights.items()}

    def ranges(self) -> dict[str, Range]:
        """The ranges that the candidate needs: learned ones as they are now, and what half precision must hold."""
        return self.observed(half_precision_tensors(self._compressor, self._structure)) | {
            grid.tensor: grid.at(math.exp(float(self._scales[grid.parameter].detach()))) for grid in self._learned
        }

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes, for a checkpoint."""
        arrays: dict[str, NDArray[Any]] = {}
        for name, parameter in {**self.weights, **self._scales}.items():
            arrays[f"parameter/{name}"] = fetch(parameter)
            kept = self._optimizer.state.get(parameter)
            if kept:
                arrays[f"steps/{name}"] = np.float32(kept["step"]).reshape(1)
                arrays |= {f"{kind}/{name}": fetch(kept[kind]) for kind in _AVERAGES}
        return arrays

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave, after rounding has set in where it had.

        Raises:
            CompressionError: It is the state of another network.
        """
        for name, parameter in {**self.weights, **self._scales}.items():
            shape = tuple(parameter.shape)
            parameter.data = place(require(arrays, f"parameter/{name}", shape), self._device)
            if f"steps/{name}" in arrays:
                self._optimizer.state[parameter] = {
                    "step": torch.tensor(float(require(arrays, f"steps/{name}", (1,))[0]), device="cpu"),
                    **{kind: place(require(arrays, f"{kind}/{name}", shape), self._device) for kind in _AVERAGES},
                }


def _rate(progress: float) -> float:
    """The learning rate as a share of its peak: a short climb, then half a cosine."""
    climb = min(1.0, (progress + 1e-3) / _WARM_UP)
    fall = _LAST_RATE + (1.0 - _LAST_RATE) * 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))
    return climb * fall


def _blended(feeds: Mapping[str, torch.Tensor], generator: np.random.Generator) -> dict[str, torch.Tensor]:
    """Each sample with a share of another (Zhang et al. 2018, arXiv:1710.09412)."""
    count = len(next(iter(feeds.values())))
    device = next(iter(feeds.values())).device
    partners = place(generator.permutation(count), device)
    shares = place(generator.random(count).astype(np.float32), device)

    def blend(tensor: torch.Tensor) -> torch.Tensor:
        share = shares.reshape(-1, *[1] * (tensor.ndim - 1)).to(tensor.dtype)
        return share * tensor + (1 - share) * tensor[partners]

    return {name: blend(tensor) for name, tensor in feeds.items()}
