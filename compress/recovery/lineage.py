"""Where recovered weights come from, and how training went."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from compress.errors import CompressionError


@dataclass(frozen=True, kw_only=True)
class Lineage:
    """Where recovered weights come from.

    Attributes:
        recovered_from: Digest of the candidate that the same policy gives without recovery.
        method: What was done, in words for people.
        epochs: Passes over the data that were completed; 0 where nothing was trained.
        steps: Updates of the weights.
        seed: Of the orders drawn.
        data_digest: SHA-256 of what was learned from.
        started_from: Digest of the recovered relative whose weights were the first ones; None for the candidate's own.
        seconds: What it took.
        device: Where it was computed: `cpu`, or one of CUDA's.
        learning_rate: At its peak; None where nothing was trained, or nobody noted it.
        kept_step: After how many updates the weights were best, which are these: 0 for those that training began with;
            None where nothing was trained, or nobody looked.
    """

    recovered_from: str
    method: str
    epochs: int
    steps: int
    seed: int
    data_digest: str
    started_from: str | None
    seconds: float
    device: str = "cpu"
    learning_rate: float | None = None
    kept_step: int | None = None

    def as_dict(self) -> dict[str, Any]:
        """All attributes, for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, found: Any) -> "Lineage":
        """What `as_dict` gave.

        Raises:
            CompressionError: It is something else.
        """
        kinds = {
            "recovered_from": str,
            "method": str,
            "epochs": int,
            "steps": int,
            "seed": int,
            "data_digest": str,
            "started_from": str | None,
            "seconds": int | float,
            "device": str,
            "learning_rate": int | float | None,
            "kept_step": int | None,
        }
        if isinstance(found, dict):  # older files lack what there was no choice of
            found = {"device": "cpu", "learning_rate": None, "kept_step": None, **found}
        if not isinstance(found, dict) or set(found) != {field.name for field in fields(cls)}:
            raise CompressionError(f"a lineage has the fields {sorted(kinds)}, got {found!r}")
        for name, kind in kinds.items():
            if not isinstance(found[name], kind):
                raise CompressionError(f"lineage: {name} has the wrong type, got {found[name]!r}")
        return cls(**found)


@dataclass(frozen=True, kw_only=True)
class LossPoint:
    """How far training was.

    Attributes:
        step: Updates done.
        loss: Mean since the point before.
        score: The mean score of the outputs since then; None where there is no score or no target.
    """

    step: int
    loss: float
    score: float | None = None


@dataclass(frozen=True, kw_only=True)
class TrainingProgress:
    """What a listener is told after each step.

    Attributes:
        epoch: Counted from 1.
        epochs: That were asked for.
        step: Updates done in all epochs.
        steps: Updates of all epochs.
        loss: Running mean.
        score: Running mean score of the outputs on what is learned from; None where nobody can tell.
        seconds_left: Estimated.
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    score: float | None
    seconds_left: float
