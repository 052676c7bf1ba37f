"""Which kind of values a study has: of what policies give, or of what a training makes of that.

A sampler learns from all complete trials of a study and takes them for values of one thing. So a study has one kind
from its beginning to its end.
"""

from typing import TYPE_CHECKING, Any

from search.errors import SearchError
from search.study.space_record import SPACE

if TYPE_CHECKING:
    import optuna

TRAINED = "trained"
"""User attribute of the study where candidates are trained before they get values: `{"format_version": 1, "epochs":
...}`, with the passes over the data that each of them gets; missing, or None, where they are not."""

FORMAT_VERSION = 1


def adopt_training(study: "optuna.Study", epochs: int | None, where: str) -> None:
    """Record in a new study that its candidates are trained, or make sure that it was begun in the same way.

    Args:
        study: The study.
        epochs: Passes over the data that every candidate is trained for; None where none is trained.
        where: What the run is called in the message.

    Raises:
        SearchError: It was begun in another way.
    """
    if SPACE in study.user_attrs or study.get_trials(deepcopy=False):
        require_training(study, epochs, where)
    elif epochs != trained_epochs(study):
        study.set_user_attr(TRAINED, None if epochs is None else {"format_version": FORMAT_VERSION, "epochs": epochs})


def require_training(study: "optuna.Study", epochs: int | None, where: str) -> None:
    """Make sure that a study in which something was tried was begun in this way.

    Raises:
        SearchError: It was begun in another way; as `adopt_training`.
    """
    found = trained_epochs(study)
    if found == epochs:
        return
    if found is None:
        raise SearchError(
            f"{where} was begun without --recover search: its trials have the values that policies give untrained, and "
            "no sampler can tell these from trained ones; recover its front with --recover front, or use another --out"
        )
    if epochs is None:
        raise SearchError(
            f"{where} was begun with --recover search: its trials have the values of trained candidates, and no "
            "sampler can tell these from untrained ones; give --recover search again, or use another --out"
        )
    raise SearchError(
        f"{where} trains every candidate for {_passes(found)}, got --recover-search-epochs {epochs}; give {found} "
        "again, or use another --out"
    )


def trained_epochs(study: "optuna.Study") -> int | None:
    """Passes over the data that each of the study's candidates is trained for; None where none is trained.

    Raises:
        SearchError: A newer paretune recorded it.
    """
    record: dict[str, Any] | None = study.user_attrs.get(TRAINED)
    if record is None:
        return None
    if record.get("format_version") != FORMAT_VERSION:
        raise SearchError(
            f"the study {study.study_name!r} records trainings with format_version {record.get('format_version')}, "
            f"this paretune reads {FORMAT_VERSION}; upgrade paretune"
        )
    return int(record["epochs"])


def _passes(epochs: int) -> str:
    return "1 epoch" if epochs == 1 else f"{epochs} epochs"
