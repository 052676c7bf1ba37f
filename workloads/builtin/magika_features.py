"""What magika's network sees of a file: its first and last bytes, without the white space around them.

The layout is that of magika 1.0's own `features extraction v2` (Fratantonio et al. 2024, arXiv:2409.13768).
"""

import numpy as np
from numpy.typing import NDArray

EDGE_BYTES = 1024
PADDING = 256
_BLOCK_BYTES = 4096
# magika asks its network about nothing shorter.
_FEWEST_BYTES = 8


def features(content: bytes) -> NDArray[np.int32]:
    """int32 (2048,): 1,024 bytes of the beginning, padded behind, and 1,024 of the end, padded in front.

    White space is stripped from the first and from the last 4,096 bytes before the outermost 1,024 are taken.
    """
    tokens = np.full(2 * EDGE_BYTES, PADDING, dtype=np.int32)
    beginning = content[:_BLOCK_BYTES].lstrip()[:EDGE_BYTES]
    end = content[-_BLOCK_BYTES:].rstrip()[-EDGE_BYTES:]
    tokens[: len(beginning)] = np.frombuffer(beginning, dtype=np.uint8)
    tokens[len(tokens) - len(end) :] = np.frombuffer(end, dtype=np.uint8)
    return tokens


def is_long_enough(content: bytes) -> bool:
    """Whether magika would ask its network about this content."""
    return len(content[:_BLOCK_BYTES].lstrip()) >= _FEWEST_BYTES
