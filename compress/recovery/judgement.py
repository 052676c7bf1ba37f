"""What a candidate on its way is worth: by this the best of a training's weights are kept."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from compress.formats.scheme import Range


@dataclass(frozen=True, kw_only=True, eq=False)
class Judgement:
    """A candidate on its way, seen on lessons that it does not learn from.

    Attributes:
        loss: What training makes small, hints left out.
        weights: By initializer name.
        ranges: By tensor name.
    """

    loss: float
    weights: Mapping[str, NDArray[np.float32]]
    ranges: Mapping[str, Range]
