"""`confirmations.json`: the confirmed figures of a run by candidate."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from search.as_read import AsRead
from search.cost import without_missing
from search.figures import Figures
from search.folder.run_folder import RunFolder, damaged
from search.point import TrialPoint
from search.target_accuracy import TargetAccuracy

FORMAT_VERSION = 3
"""Since 2 with the accuracy on the target and with instructions, since 3 with how latencies were read. What came
before lacks these and is read as it is."""


@dataclass(frozen=True, kw_only=True)
class Confirmation(Figures, TargetAccuracy, AsRead):
    """The figures of the candidate `digest` on the part of the validation data that the search never saw.

    Its latency is at the study's reference speed, as the search's is, and how it was read stands beside it. `reason`
    says what is wrong with it on the target, such as a layer that runs in float there; empty where nothing is.
    """

    digest: str
    reason: str = ""


_NOT_OF_POINTS = frozenset(field.name for field in fields(AsRead))


def confirmed(point: TrialPoint, confirmation: Confirmation) -> TrialPoint:
    """The point with its confirmed figures, the search's own beside them."""
    ratio = "search_instructions_ratio" if point.is_emulated else "search_latency_ratio"
    searched: dict[str, Any] = {ratio: point.cost_ratio, "search_metric_drop": point.metric_drop}
    figures = {name: value for name, value in asdict(confirmation).items() if name not in _NOT_OF_POINTS}
    return replace(point, confirmed=True, **searched, **figures)


def read_confirmations(folder: RunFolder) -> dict[str, Confirmation]:
    """Confirmations by candidate digest; empty before there are any.

    Raises:
        RunFolderError: The file is damaged, or of a newer paretune.
    """
    entries = folder.read_json(folder.confirmations_path, FORMAT_VERSION).get("confirmations", [])
    try:
        return {entry["digest"]: Confirmation(**entry) for entry in entries}
    except (TypeError, KeyError, ValueError) as error:
        raise damaged(folder.confirmations_path, f"{type(error).__name__}: {error}") from error


def write_confirmations(folder: RunFolder, confirmations: Mapping[str, Confirmation]) -> None:
    """Keep the confirmations."""
    entries = [without_missing(asdict(confirmation)) for confirmation in confirmations.values()]
    document = {"format_version": FORMAT_VERSION, "confirmations": entries}
    folder.write(folder.confirmations_path, json.dumps(document, indent=1, allow_nan=False))
