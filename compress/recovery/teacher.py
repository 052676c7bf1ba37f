"""The original network, asked once about each sample as it is."""

from collections.abc import Collection, Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from compress.network import Network
from compress.recovery.device import fetch, place
from compress.recovery.lessons import Lesson, Lessons
from compress.recovery.torch_graph.graph import TorchGraph

_LIMIT_BYTES = 2**29


class Teacher:
    """Answers of the original network.

    Args:
        network: The network.
        lessons: Whose samples it will be asked about; answers are remembered up to half a gigabyte.
        device: Where it computes.

    Raises:
        UntrainableError: An operator has no form in torch that we know.
    """

    def __init__(self, network: Network, lessons: Lessons, device: torch.device) -> None:
        self._graph = TorchGraph(network.model, {}, device)
        self._device = device
        self._lessons = lessons
        self._asked = [np.zeros(len(run), np.bool_) for run in lessons.runs]
        self._remembered: dict[tuple[int, str], NDArray[np.generic]] = {}
        self._free_bytes = _LIMIT_BYTES

    @property
    def output_names(self) -> list[str]:
        """Names of the network's outputs."""
        return self._graph.output_names

    def ask(self, feeds: Mapping[str, torch.Tensor], wanted: Collection[str]) -> dict[str, torch.Tensor]:
        """The tensors that are `wanted`, whatever the samples."""
        with torch.no_grad():
            found = self._graph(feeds, wanted)
        return {name: found[name] for name in wanted}

    def answer(
        self, lesson: Lesson, feeds: Mapping[str, torch.Tensor], wanted: Collection[str]
    ) -> dict[str, torch.Tensor]:
        """The tensors that are `wanted`, always the same ones, on samples of the lessons as they are.

        Args:
            lesson: Picked from the lessons' runs.
            feeds: Its inputs.
            wanted: Names of tensors.
        """
        if lesson.place is None:
            return self.ask(feeds, wanted)
        run, positions = lesson.place
        if self._asked[run][positions].all():
            return {name: place(self._remembered[run, name][positions], self._device) for name in wanted}
        found = self.ask(feeds, wanted)
        if self._remembers(run, found):
            for name, tensor in found.items():
                self._remembered[run, name][positions] = fetch(tensor)
            self._asked[run][positions] = True
        return found

    def _remembers(self, run: int, found: Mapping[str, torch.Tensor]) -> bool:
        """Whether there is room for the answers on a whole run; taken at its first batch."""
        if all((run, name) in self._remembered for name in found):
            return True
        arrays = {name: fetch(tensor) for name, tensor in found.items()}
        count = len(self._lessons.runs[run])
        if any(not array.ndim or not len(array) for array in arrays.values()):
            return False
        needed = sum(array[:1].nbytes * count for array in arrays.values())
        if needed > self._free_bytes:
            return False
        self._free_bytes -= needed
        for name, array in arrays.items():
            self._remembered[run, name] = np.empty((count, *array.shape[1:]), array.dtype)
        return True
