"""chars-transformer: a causal transformer of 834,400 parameters that predicts the next character of Python source.

It learned from the standard library's own text (`train_chars_transformer.py`: 1,400 steps, seed 0, some 7 minutes on
one core). One sample is an excerpt of 128 characters; its score is the share of its 128 next characters that the
network gets right. 300 excerpts, 38,400 next characters, of files that training never saw validate it; of each file
every other excerpt is the search's, the ones between are the confirmation's. Reached, with the last step's weights:
0.6585 on all, 0.6564 on the search's half and 0.6606 on the confirmation's.

Written as a user writes a workload: what is needed is imported where it is needed.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workloads.builtin.chars_transformer_network import CharsTransformer

NAME = "chars-transformer"
WEIGHTS = Path(__file__).with_suffix(".safetensors")
BATCH_SIZE = 32

Excerpt = dict[str, NDArray[np.int64]]


def model() -> "CharsTransformer":
    """The trained network in eval mode; input `characters` int64 (N, 128), output scores (N, 128, 96)."""
    from safetensors.torch import load_file

    from workloads.builtin.chars_transformer_network import CharsTransformer

    network = CharsTransformer()
    network.load_state_dict(load_file(WEIGHTS))
    return network.eval()


def calibration() -> Iterator[Excerpt]:
    """256 excerpts of files that trained the network."""
    from workloads.builtin.chars_transformer_data import load_windows

    windows = load_windows("calibration")
    for start in range(0, len(windows), BATCH_SIZE):
        yield {"characters": windows[start : start + BATCH_SIZE, :-1]}


def training() -> Iterator[tuple[Excerpt, NDArray[np.int64]]]:
    """Excerpts of files that trained the network, many; targets int64 (N, 128), the character after each."""
    from workloads.builtin.chars_transformer_data import load_windows

    windows = load_windows("training")
    yield {"characters": windows[:, :-1]}, windows[:, 1:]


def validation() -> Iterator[tuple[Excerpt, NDArray[np.int64]]]:
    """300 excerpts of files that training never saw; targets int64 (N, 128), the character after each."""
    from workloads.builtin.chars_transformer_data import load_windows

    windows = load_windows("validation")
    yield {"characters": windows[:, :-1]}, windows[:, 1:]


def next_character(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The share of an excerpt's places where the largest score is the next character's."""
    share: NDArray[np.float64] = (outputs.argmax(axis=2) == targets).mean(axis=1)
    return share


metric = next_character
