"""One training: the original network teaches the compressed one, first in floats, then in its number formats."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from compress.formats.scheme import Range
from compress.recovery.device import fetch, find_device, place
from compress.recovery.distillation import Answer, answers_of, distillation, label_loss
from compress.recovery.errors import UntrainableError
from compress.recovery.float_structure import FloatStructure
from compress.recovery.hints import hint_loss, hints_of
from compress.recovery.judgement import Judgement
from compress.recovery.lessons import Lesson, Lessons
from compress.recovery.optimizer import Optimizer
from compress.recovery.rehearsal import Rehearsal
from compress.recovery.relatives import masks_of
from compress.recovery.rounded_graph import half_precision_tensors, range_tensors
from compress.recovery.settings import RecoverySettings
from compress.recovery.teacher import Teacher
from compress.recovery.torch_graph.graph import TorchGraph
from compress.stitch import Compressor

_RANGE_SAMPLES = 256
_RANGE_BATCH = 32


class Training:
    """The networks, the optimizer and the losses; `recover` decides when to step and when to stop.

    Args:
        compressor: Of the original network.
        structure: What is trained, from the weights that it has.
        lessons: What to learn from.
        settings: How.

    Raises:
        UntrainableError: An operator has no form in torch that we know, or no output is a real number.
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
        self.first_ranges: Mapping[str, Range] | None = None
        self._teacher = Teacher(compressor.network, lessons, self._device)
        self._floats = TorchGraph(structure.model, self.weights, self._device)
        self._rehearsal: Rehearsal | None = None
        self._hints = hints_of(compressor.network, structure) if settings.hint_weight else {}
        self._answers = self._compare()
        self._blends = all(np.issubdtype(a.dtype, np.floating) for run in lessons.runs for a in run.feeds.values())
        self._masks = {name: place(mask, self._device) for name, mask in masks_of(structure).items()}
        self._optimizer = self._new_optimizer()

    def _new_optimizer(self) -> Optimizer:
        return Optimizer(self.weights, self._masks, self._settings.weight_decay)

    def _compare(self) -> tuple[Answer, ...]:
        run = self._lessons.runs[0]
        found = self._teacher.ask(self._placed(run.pick(np.arange(1))), self._teacher.output_names)
        outputs = {name: fetch(tensor) for name, tensor in found.items()}
        answers = answers_of(self._compressor.network.model, outputs, self._lessons)
        if not answers:
            raise UntrainableError(f"the outputs {sorted(outputs)} are whole numbers, which have no gradients")
        return answers

    def begin_with(self, weights: Mapping[str, NDArray[np.float32]]) -> None:
        """Begin anew, in floats, with other weights of every initializer that is learned."""
        with torch.no_grad():
            for name, parameter in self.weights.items():
                parameter.copy_(place(weights[name], self._device))
        self._optimizer = self._new_optimizer()

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
        self._rehearsal = self._rehearse(self.first_ranges)
        self._optimizer.add(self._rehearsal.scales)

    def _rehearse(self, ranges: Mapping[str, Range]) -> Rehearsal:
        return Rehearsal(self._compressor, self._structure, self.weights, ranges, self._device)

    @property
    def _student(self) -> TorchGraph | Rehearsal:
        return self._rehearsal or self._floats

    def observed(self, tensors: list[str]) -> dict[str, Range]:
        """The ranges of some tensors of the float structure on some lessons: extremes, averaged over batches."""
        if not tensors:
            return {}
        lows: dict[str, list[float]] = {name: [] for name in tensors}
        highs: dict[str, list[float]] = {name: [] for name in tensors}
        left = _RANGE_SAMPLES
        for lesson in self._lessons.epoch(_RANGE_BATCH, np.random.default_rng(self._settings.seed)):
            with torch.no_grad():
                feeds = self._placed(lesson)
                found = self._floats(feeds, tensors)
            for name in tensors:
                lows[name].append(float(found[name].min()))
                highs[name].append(float(found[name].max()))
            left -= len(lesson)
            if left <= 0:
                break
        return {name: (float(np.mean(lows[name])), float(np.mean(highs[name]))) for name in tensors}

    def step(self, lesson: Lesson, number: int, rate: float) -> tuple[float, float | None]:
        """One update.

        Args:
            lesson: The batch.
            number: Of this step, counted from 0 over all epochs.
            rate: The learning rate now.

        Returns:
            The loss, and the mean score of the answers; None where nobody can tell.
        """
        feeds, targets = self._placed(lesson), lesson.targets
        wanted = [*(answer.tensor for answer in self._answers), *self._hints]
        generator = np.random.default_rng((self._settings.seed, number))
        if self._blends and len(lesson) > 1 and generator.random() < self._settings.mixing:
            feeds, targets = _blended(feeds, generator), None
            teacher = self._teacher.ask(feeds, wanted)
        else:
            teacher = self._teacher.answer(lesson, feeds, wanted)
        student = self._student(feeds, wanted)
        loss = self._loss(student, teacher, targets)
        if self._hints:
            loss = loss + self._settings.hint_weight * hint_loss(student, teacher, self._hints)
        self._optimizer.step(loss, rate)
        return float(loss.detach()), self._score(student, targets)

    def judge(self, lessons: Lessons) -> Judgement:
        """What the candidate of the weights as they are now is worth, rounded as it will be.

        Args:
            lessons: That are not learned from.
        """
        rehearsal = self._rehearsal or self._rehearse(self.observed(range_tensors(self._structure)))
        wanted = [answer.tensor for answer in self._answers]
        losses, counts = [], []
        for lesson in lessons.in_order(self._settings.batch_size):
            feeds = self._placed(lesson)
            with torch.no_grad():
                loss = self._loss(rehearsal(feeds, wanted), self._teacher.ask(feeds, wanted), lesson.targets)
            losses.append(float(loss))
            counts.append(len(lesson))
        return Judgement(
            loss=float(np.average(losses, weights=counts)),
            weights={name: fetch(parameter) for name, parameter in self.weights.items()},
            ranges=self._ranges(rehearsal),
        )

    def _loss(
        self, student: Mapping[str, torch.Tensor], teacher: Mapping[str, torch.Tensor], targets: NDArray[Any] | None
    ) -> torch.Tensor:
        settings, first = self._settings, self._answers[0]
        loss = distillation(student, teacher, self._answers, settings.temperature)
        share = settings.label_weight
        if share and targets is not None:
            labels = label_loss(student[first.tensor], place(targets, self._device), first)
            if labels is not None:
                loss = (1.0 - share) * loss + share * labels
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

    def _ranges(self, rehearsal: Rehearsal) -> dict[str, Range]:
        """The ranges that a candidate needs: learned ones, and what half precision must hold."""
        return self.observed(half_precision_tensors(self._compressor, self._structure)) | rehearsal.ranges()

    def state(self) -> dict[str, NDArray[Any]]:
        """All that changes, for a checkpoint."""
        return self._optimizer.state()

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `state` gave, after rounding has set in where it had.

        Raises:
            CompressionError: It is the state of another network.
        """
        self._optimizer.restore(arrays)


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
