"""What is timed: the inputs of one inference at the target's batch size."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.errors import SearchError
from workloads import Workload


def timed_feeds(workload: Workload, batch_size: int) -> dict[str, NDArray[Any]]:
    """The workload's own `latency_input()`, else its first validation sample; repeated up to the batch size.

    Raises:
        SearchError: `latency_input()` has no sample, or more than fit into a batch.
    """
    feeds: Mapping[str, NDArray[Any]] | None = workload.latency_input
    if feeds is None:
        feeds, _ = next(workload.search_part.batches(1))
    for name, array in feeds.items():
        if not 0 < len(array) <= batch_size:
            raise SearchError(
                f"latency_input() gives {len(array)} samples of {name!r}, but the target's batch size is {batch_size}; "
                f"give 1 to {batch_size} of them, or set the batch size (--batch-size, engine.batch_size)"
            )
    return {name: np.resize(array, (batch_size, *array.shape[1:])) for name, array in feeds.items()}
