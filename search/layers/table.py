"""What layers and whole networks take on the target under a few policies; recorded in the study."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from search.errors import SearchError
from search.space.space import Choice, SearchSpace

if TYPE_CHECKING:
    import optuna

LAYER_TABLE = "layer_table"
"""User attribute of the study: `{"format_version": 1, "rows": [{"params": {...}, "shares": {layer: share}, "ratio": r},
...]}`; the rows of earlier versions have no ratio."""

FORMAT_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class TimedPolicy:
    """Where the time goes under one policy.

    A profiler slows what it watches, each row by about as much: only times that were taken in the same way compare, and
    what a profile says of a whole inference is no latency.

    Attributes:
        params: Knob to choice, for every knob of the space.
        shares: Layer to its time over the whole time of FP32, both from the runtime's profile; what the runtime does
            between layers is in none. A layer that could not be told from others is missing.
        ratio: The whole inference over FP32's, both timed in turns and without a profiler; None where it was not.

    Raises:
        ValueError: A share is negative or not finite, or the ratio is not above 0.
    """

    params: Mapping[str, Choice]
    shares: Mapping[str, float]
    ratio: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", MappingProxyType(dict(self.params)))
        object.__setattr__(self, "shares", MappingProxyType(dict(self.shares)))
        wrong = {layer: share for layer, share in self.shares.items() if not (math.isfinite(share) and share >= 0)}
        if wrong:
            raise ValueError(f"shares must be finite and at least 0, got {wrong}")
        if self.ratio is not None and not (math.isfinite(self.ratio) and self.ratio > 0):
            raise ValueError(f"a ratio must be finite and above 0, got {self.ratio!r}")


def record_layer_table(study: "optuna.Study", rows: Sequence[TimedPolicy]) -> None:
    """Write the table into the study, in place of what it had; an empty one says that there is none to be had."""
    record = [{"params": dict(row.params), "shares": dict(row.shares), "ratio": row.ratio} for row in rows]
    study.set_user_attr(LAYER_TABLE, {"format_version": FORMAT_VERSION, "rows": record})


def has_layer_table(study: "optuna.Study") -> bool:
    """Whether `record_layer_table` has written into the study."""
    return LAYER_TABLE in study.user_attrs


def share_beside(table: Sequence[TimedPolicy], space: SearchSpace) -> float:
    """The share of FP32's time that is in no layer: activations, attention, normalizations; 0 where that is not known.

    Args:
        table: Layers' times.
        space: What its policies are of; the first choice of every knob leaves its layers alone.
    """
    untouched = {knob.name: knob.choices[0] for knob in space.knobs}
    for timed in table:
        # Where a layer could not be told from others, what is left is not known to be beside the layers.
        if timed.params == untouched and set(space.layers) <= set(timed.shares):
            return max(0.0, 1.0 - sum(timed.shares.values()))
    return 0.0


def recorded_layer_table(study: "optuna.Study") -> tuple[TimedPolicy, ...]:
    """What `record_layer_table` wrote; empty where it has not.

    Raises:
        SearchError: A newer paretune wrote it.
    """
    record = study.user_attrs.get(LAYER_TABLE)
    if record is None:
        return ()
    if record.get("format_version") != FORMAT_VERSION:
        raise SearchError(
            f"the layer table of the study {study.study_name!r} has format_version {record.get('format_version')}, "
            f"this paretune reads {FORMAT_VERSION}; upgrade paretune"
        )
    return tuple(
        TimedPolicy(params=row["params"], shares=row["shares"], ratio=row.get("ratio")) for row in record["rows"]
    )
