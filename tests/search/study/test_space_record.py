"""A study goes on in the space that it was begun in, or says what has changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import optuna
import pytest

import search
from hwprofiles import HardwareProfile
from search.errors import RunFolderError
from search.folder.run_folder import RunFolder
from search.space.space import Knob, SearchSpace
from search.study.space_record import LAYERS, SPACE, adopt_space, recorded_space
from search.study.trials import OUTCOME

FOLDER = Path("results/mine")


def space(**knobs: tuple[Any, ...]) -> SearchSpace:
    made = tuple(Knob(name=f"{name}/l0", layers=("l0",), choices=choices) for name, choices in knobs.items())
    return SearchSpace(layers=("l0", "l1"), knobs=made)


BEFORE = space(bits=(32.0, 8.0), rank=(1.0, 0.5))


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(directions=["minimize", "maximize"], sampler=optuna.samplers.RandomSampler(seed=0))


def test_the_same_space_goes_on(study: optuna.Study) -> None:
    for _ in range(2):
        adopt_space(study, BEFORE, FOLDER)
    assert study.user_attrs[SPACE]["knobs"]["rank/l0"] == {"layers": ["l0"], "choices": [1.0, 0.5]}
    assert recorded_space(study, FOLDER) == BEFORE


def test_a_new_study_has_none(study: optuna.Study) -> None:
    assert recorded_space(study, FOLDER) is None


def test_a_knob_that_turns_other_layers_is_refused(study: optuna.Study) -> None:
    adopt_space(study, BEFORE, FOLDER)
    shared = Knob(name="rank/l0", layers=("l0", "l1"), choices=(1.0, 0.5))
    with pytest.raises(RunFolderError, match=r"'rank/l0' had the layers \['l0'\], has \['l0', 'l1'\]"):
        adopt_space(study, SearchSpace(layers=BEFORE.layers, knobs=(BEFORE.knobs[0], shared)), FOLDER)


CHANGES = [
    (space(bits=(32.0, 8.0)), "the knob 'rank/l0' is gone"),
    (space(bits=(32.0, 8.0), rank=(1.0, 0.5), sparsity=(0.0, 0.5)), "the knob 'sparsity/l0' is new"),
    (
        space(bits=(32.0, 8.0, 4.0), rank=(1.0, 0.5)),
        r"the knob 'bits/l0' had the choices \[32.0, 8.0\], has \[32.0, 8.0, 4.0\]",
    ),
    (space(bits=("float", "8-bit"), rank=(1.0, 0.5)), r"the knob .* has \['float', '8-bit'\]"),
]


@pytest.mark.parametrize(("now", "said"), CHANGES)
@pytest.mark.parametrize("recorded", [True, False])
def test_another_space_is_refused_with_the_first_difference(
    study: optuna.Study, now: SearchSpace, said: str, recorded: bool
) -> None:
    """A study of before there was a record is known by its trials."""
    if recorded:
        adopt_space(study, BEFORE, FOLDER)
    else:
        study.set_user_attr(LAYERS, list(BEFORE.layers))
        trial = study.ask()
        for knob in BEFORE.knobs:
            trial.suggest_categorical(knob.name, knob.choices)
        trial.set_user_attr(OUTCOME, {})
        study.tell(trial, (1.0, 1.0))
    with pytest.raises(RunFolderError, match=rf"'results/mine' searches another space .*: {said}.*; continue with"):
        adopt_space(study, now, FOLDER)


def test_other_layers_are_refused(study: optuna.Study) -> None:
    adopt_space(study, BEFORE, FOLDER)
    for layers, said in ((("l0",), "layer 'l1' is gone"), (("l1", "l0"), "the layers' order")):
        with pytest.raises(RunFolderError, match=said):
            adopt_space(study, SearchSpace(layers=layers, knobs=BEFORE.knobs), FOLDER)


def test_a_record_of_a_newer_paretune_is_refused(study: optuna.Study) -> None:
    study.set_user_attr(SPACE, {"format_version": 2})
    with pytest.raises(RunFolderError, match="has format_version 2, this paretune reads 1; upgrade paretune"):
        adopt_space(study, BEFORE, FOLDER)


def test_a_changed_space_is_one_line_for_who_resumes(
    run_copy: Path, workload: Path, profile: HardwareProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    from search import prepare

    real = prepare.build_space

    def without_last(*arguments: Any, **options: Any) -> SearchSpace:
        made = real(*arguments, **options)
        return SearchSpace(layers=made.layers, knobs=made.knobs[:-1])

    monkeypatch.setattr(prepare, "build_space", without_last)
    for trials in (7, 9):
        with pytest.raises(
            RunFolderError, match=r"searches another space than this paretune would: the knob '.*' is gone"
        ):
            search.run(workload, profile, out=run_copy, trials=trials, sampler="random")


def test_a_study_file_that_a_killed_process_left_empty_is_begun(
    quick: None, run_copy: Path, workload: Path, profile: HardwareProfile
) -> None:
    RunFolder(run_copy).study_path.write_bytes(b"")
    assert len(search.run(workload, profile, out=run_copy, trials=1).points) == 1
