"""The space that a study searches, recorded in the study.

A resumed run must offer its sampler the same choices, and a run can be read without its network.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from search.errors import RunFolderError
from search.space.space import Knob, SearchSpace
from search.study.trials import OUTCOME

if TYPE_CHECKING:
    import optuna

LAYERS = "layers"
"""User attribute of the study: the names of the network's layers, in order."""

SPACE = "space"
"""User attribute of the study: `{"format_version": 1, "knobs": {name: {"layers": [...], "choices": [...]}}}`."""

FORMAT_VERSION = 1


def adopt_space(study: "optuna.Study", space: SearchSpace, folder: Path) -> None:
    """Record `space` in a new study, or make sure that the study was begun with the same.

    Raises:
        RunFolderError: It was begun with another (an older paretune offered other choices); `folder` is named.
    """
    recorded = recorded_space(study, folder)
    difference = "" if recorded is None else _difference(recorded, space)
    if difference:
        raise RunFolderError(
            f"{str(folder)!r} searches another space than this paretune would: {difference}; continue with the "
            "version in environment.json, or use another --out"
        )
    if SPACE not in study.user_attrs:
        study.set_user_attr(LAYERS, list(space.layers))
        knobs = {knob.name: {"layers": list(knob.layers), "choices": list(knob.choices)} for knob in space.knobs}
        study.set_user_attr(SPACE, {"format_version": FORMAT_VERSION, "knobs": knobs})


def recorded_space(study: "optuna.Study", folder: Path) -> SearchSpace | None:
    """The space that the study was begun with; None for a study in which nothing has been tried.

    Raises:
        RunFolderError: A newer paretune recorded it; `folder` is named.
    """
    record = study.user_attrs.get(SPACE)
    if record is None:
        knobs = _knobs_of_trials(study)
    elif record.get("format_version") != FORMAT_VERSION:
        raise RunFolderError(
            f"the space recorded in {str(folder)!r} has format_version {record.get('format_version')}, this paretune "
            f"reads {FORMAT_VERSION}; upgrade paretune or use another --out"
        )
    else:
        knobs = [
            Knob(name=name, layers=tuple(knob["layers"]), choices=tuple(knob["choices"]))
            for name, knob in record["knobs"].items()
        ]
    return None if knobs is None else SearchSpace(layers=tuple(study.user_attrs[LAYERS]), knobs=tuple(knobs))


def _knobs_of_trials(study: "optuna.Study") -> list[Knob] | None:
    """The knobs of a study from before there was a record; each turned the layer that its name ends with."""
    trials = (trial for trial in study.get_trials(deepcopy=False) if OUTCOME in trial.user_attrs)
    trial = next(trials, None)
    if trial is None:
        return None
    return [
        Knob(name=name, layers=(name.partition("/")[2],), choices=tuple(getattr(kind, "choices", ())))
        for name, kind in trial.distributions.items()
    ]


def _difference(before: SearchSpace, now: SearchSpace) -> str:
    """The first difference in words; empty where there is none."""
    if before.layers != now.layers:
        return _difference_of_layers(before.layers, now.layers)
    were, are = ({knob.name: knob for knob in space.knobs} for space in (before, now))
    for name in [*were, *are]:
        if name not in are:
            return f"the knob {name!r} is gone"
        if name not in were:
            return f"the knob {name!r} is new"
        for what in ("choices", "layers"):
            was, now_is = (list(getattr(knobs[name], what)) for knobs in (were, are))
            if was != now_is:
                return f"the knob {name!r} had the {what} {was}, has {now_is}"
    return ""


def _difference_of_layers(before: Sequence[str], now: Sequence[str]) -> str:
    changed = sorted(set(before) ^ set(now))
    return f"layer {changed[0]!r} {'is gone' if changed[0] in before else 'is new'}" if changed else "the layers' order"
