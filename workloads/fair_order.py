"""Samples in a fixed random order, in chunks: what is true of the first few is likely true of all.

Validation data is often sorted, by class or by source, so that its beginning says little about the rest. The random
order is the same in every run and for every network, so that any two are compared on the same samples however early.
"""

import numpy as np

from workloads.samples import Samples
from workloads.workload import Metric

FIRST_CHUNK = 32
"""Samples in the first chunk: enough to see that a network answers no better than by chance."""

_SEED = 0


def chunk_ends(count: int) -> tuple[int, ...]:
    """After how many samples to look at the scores: after `FIRST_CHUNK`, then whenever they have doubled, then at last.

    Looks are few, and what is run in vain after a look that would have sufficed is at most as much as before it.

    Raises:
        ValueError: `count` is not positive.
    """
    if count < 1:
        raise ValueError(f"count must be positive, got {count}")
    ends, end = [], FIRST_CHUNK
    while 1.5 * end < count:  # a last chunk that adds less than half is not worth a look of its own
        ends.append(end)
        end *= 2
    return (*ends, count)


def in_fair_order(samples: Samples, metric: Metric) -> Samples:
    """The same samples in the fixed random order, in the chunks that `chunk_ends` says.

    Within a chunk they stand in the user's order, so that samples of equal shape share batches. Where the metric needs
    all outputs together there are no chunks to be had, and its order may mean something: it stays.

    Args:
        samples: In the user's order.
        metric: How they are scored.
    """
    if metric.scope == "all":
        return samples
    order = np.random.default_rng(_SEED).permutation(len(samples))
    starts = (0, *chunk_ends(len(samples))[:-1])
    return samples.pick(
        [np.sort(order[start:end]) for start, end in zip(starts, chunk_ends(len(samples)), strict=True)]
    )
