"""`recoveries.json`: what became of the candidates whose weights were to be recovered."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from compress.errors import CompressionError
from compress.recovery.lineage import Lineage
from search.figures import FIGURE_NAMES, is_fraction
from search.folder.run_folder import RunFolder, damaged
from search.lineage_words import how_recovered
from search.notation import drop_text, drop_unit, duration_text
from search.point import TrialPoint
from search.study.trials import Outcome

FORMAT_VERSION = 1

Asked = tuple[str, int, int, str]
"""Whose weights, for how many epochs, by which seed, on which data: what is not done twice."""


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """What became of one candidate's recovery.

    Attributes:
        recovered_from: Digest of the candidate as the search had it.
        epochs: That were asked for.
        seed: Of the training.
        data_digest: Of what was learned from.
        lineage: How the weights came about; None where there are none.
        outcome: The figures of the recovered candidate on the search's part of the data; None where it has none.
        reason: Why there are no weights or figures; empty where there are.

    Raises:
        ValueError: It neither came to something nor says why not.
    """

    recovered_from: str
    epochs: int
    seed: int
    data_digest: str
    lineage: Lineage | None = None
    outcome: Outcome | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        if (self.outcome is None) != bool(self.reason) or (self.outcome is not None and self.lineage is None):
            raise ValueError(f"a recovery has an outcome with its lineage, or a reason; got {self.reason!r} as reason")

    @property
    def asked(self) -> Asked:
        """What was asked for."""
        return self.recovered_from, self.epochs, self.seed, self.data_digest

    def to_json(self) -> dict[str, Any]:
        """As an entry of the file."""
        entry: dict[str, Any] = {
            "recovered_from": self.recovered_from,
            "epochs": self.epochs,
            "seed": self.seed,
            "data_digest": self.data_digest,
        }
        if self.lineage is not None:
            entry["lineage"] = self.lineage.as_dict()
        return entry | ({"reason": self.reason} if self.outcome is None else {"outcome": self.outcome.to_attribute()})

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> "Recovery":
        """What `to_json` gave.

        Raises:
            KeyError, TypeError, ValueError, CompressionError: It is something else.
        """
        outcome, lineage = entry.get("outcome"), entry.get("lineage")
        return cls(
            recovered_from=str(entry["recovered_from"]),
            epochs=int(entry["epochs"]),
            seed=int(entry["seed"]),
            data_digest=str(entry["data_digest"]),
            lineage=None if lineage is None else Lineage.from_dict(lineage),
            outcome=None if outcome is None else Outcome(**outcome),
            reason=str(entry.get("reason", "")),
        )


def read_recoveries(folder: RunFolder) -> list[Recovery]:
    """Recoveries in the order in which they ended; empty before there are any.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    entries = folder.read_json(folder.recoveries_path, FORMAT_VERSION).get("recoveries", [])
    try:
        return [Recovery.from_json(entry) for entry in entries]
    except (TypeError, KeyError, ValueError, CompressionError) as error:
        raise damaged(folder.recoveries_path, f"{type(error).__name__}: {error}") from error


def write_recoveries(folder: RunFolder, recoveries: Iterable[Recovery]) -> None:
    """Keep the recoveries."""
    document = {"format_version": FORMAT_VERSION, "recoveries": [recovery.to_json() for recovery in recoveries]}
    folder.write(folder.recoveries_path, json.dumps(document, indent=1, allow_nan=False))


def recovered_points(points: Sequence[TrialPoint], recoveries: Iterable[Recovery]) -> list[TrialPoint]:
    """The recovered candidates as points, with the figures that the search's part of the data gave.

    One for each trial: where it was trained in several rounds, what lost least of them, with the epochs of all.

    Args:
        points: The study's, as the search saw them.
        recoveries: What was recovered; what came to nothing, or whose trial the study no longer has, is no point.
    """
    before = {point.built_digest: point for point in points if point.state == "complete"}
    found: dict[str, TrialPoint] = {}
    best: dict[tuple[str, int, str], tuple[float, int]] = {}  # of rounds, that with the smallest drop, and its epochs
    for recovery in recoveries:
        digest, lineage = recovery.recovered_from, recovery.lineage
        if recovery.outcome is None or lineage is None or digest not in before:
            continue
        alike = digest, recovery.seed, recovery.data_digest
        earlier = best.get(alike, (math.inf, 0))  # a round goes on from the best one before it
        lineage = replace(lineage, epochs=earlier[1] + lineage.epochs)
        point = _point(before[digest], recovery.outcome, lineage)
        best[alike] = min(earlier, (point.metric_drop, lineage.epochs))
        if digest not in found or point.metric_drop < found[digest].metric_drop:
            found[digest] = point
    return list(found.values())


def with_recovered(points: Sequence[TrialPoint], folder: RunFolder) -> list[TrialPoint]:
    """All points of a run: those of its study, and those that were recovered from them.

    Raises:
        RunFolderError: The record of recoveries is damaged, or of a newer paretune.
    """
    return [*points, *recovered_points(points, read_recoveries(folder))]


def said_of_recovery(point: TrialPoint, recovery: Recovery) -> str:
    """What became of a point's recovery: '#12r: drop 41.20 → 1.10 points at 0.052 of FP32's cost (...)'."""
    if recovery.outcome is None or recovery.lineage is None:
        return f"{point.name} is not recovered: {recovery.reason}"
    fraction = is_fraction(point.metric + point.metric_drop)
    before, after = (
        drop_text(drop, is_fraction=fraction) for drop in (point.metric_drop, recovery.outcome.metric_drop)
    )
    drops = f"{before} → {after} {drop_unit(is_fraction=fraction)}".rstrip()
    return (
        f"{point.name}r: drop {drops} at {recovery.outcome.cost_ratio:.3f} of FP32's cost "
        f"({how_recovered(recovery.lineage)}, {duration_text(recovery.lineage.seconds)})"
    )


def _point(before: TrialPoint, outcome: Outcome, lineage: Lineage) -> TrialPoint:
    figures: dict[str, Any] = {name: getattr(outcome, name) for name in FIGURE_NAMES}
    return replace(
        before,
        digest=outcome.digest,
        grade=outcome.grade,
        model_bytes=outcome.model_bytes,
        reason="",
        label="",
        recovered_from=before.built_digest,
        trained_in_search=False,
        recovery=how_recovered(lineage),
        **figures,
    )
