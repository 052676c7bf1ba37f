"""What is found out before the first proposal: once per study, within a share of the search, whatever interrupts it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import optuna
import pytest

import search.sweep.damage
import search.sweep.head_start
from hwprofiles import EmulatedReach
from latency import MeasurementError, TargetError
from search.folder.run_folder import RunFolder
from search.layers.effects import has_damage_effects, recorded_damage_effects
from search.layers.table import has_layer_table, recorded_layer_table
from search.outlook import Budget
from search.prepare import Prepared
from search.progress import Progress
from search.stages import StageClock
from search.sweep.head_start import HeadStart
from search.sweep.probe import Probe
from search.sweep.readings import Reading

MakeStudy = Callable[..., optuna.Study]
Give = Callable[..., list[Progress]]


@pytest.fixture
def give(prepared: Prepared, folder: RunFolder) -> Give:
    """Give a study its head start; what a listener was told comes back."""

    def run(study: optuna.Study, **changes: Any) -> list[Progress]:
        heard: list[Progress] = []
        options: dict[str, Any] = {
            "prepared": prepared,
            "folder": folder,
            "budget": Budget(),
            "threads": 1,
            "stages": StageClock(),
            "listener": heard.append,
            **changes,
        }
        HeadStart(**options).give(study)
        return heard

    return run


def notes(heard: list[Progress]) -> list[str]:
    return [step.note for step in heard if step.note]


def stages(heard: list[Progress]) -> list[str]:
    return list(dict.fromkeys(step.stage for step in heard))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[Reading]:
    """What has been measured, as it is measured."""
    taken: list[Reading] = []
    real = Probe.measure

    def measure(self: Probe, policy: Any) -> Reading:
        taken.append(real(self, policy))
        return taken[-1]

    monkeypatch.setattr(Probe, "measure", measure)
    return taken


def test_a_study_gets_the_effect_of_every_choice_and_the_times_of_every_layer(
    give: Give, make_study: MakeStudy, prepared: Prepared, folder: RunFolder
) -> None:
    study = make_study()
    heard = give(study)
    effects = recorded_damage_effects(study)
    assert set(effects) == {(knob.name, choice) for knob in prepared.space.knobs for choice in knob.choices[1:]}
    assert effects["bits/delicate", "int8"].mean > 20 * effects["bits/stem", "int8"].mean
    table = recorded_layer_table(study)
    assert len(table) > 4
    assert all(set(row.params) == {knob.name for knob in prepared.space.knobs} for row in table)
    assert stages(heard) == ["sweep", "layer times"]
    assert notes(heard) == []
    assert json.loads(folder.sweep_path.read_text())["format_version"] == 1


def test_what_the_study_has_is_not_found_out_again_even_where_the_folder_is_lost(
    give: Give, make_study: MakeStudy, folder: RunFolder, tmp_path: Path
) -> None:
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    study = make_study(storage=storage, study_name="s")
    give(study)
    folder.sweep_path.unlink()
    again = optuna.load_study(storage=storage, study_name="s")
    assert give(again) == []
    assert not folder.sweep_path.exists()
    assert recorded_damage_effects(again) == recorded_damage_effects(study)
    assert recorded_layer_table(again) == recorded_layer_table(study)


def test_interrupted_in_the_middle_it_goes_on_where_it_was(
    give: Give, make_study: MakeStudy, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, measured: list[Reading]
) -> None:
    study = make_study()
    real = Probe.measure

    def interrupt(self: Probe, policy: Any) -> Reading:
        if len(measured) == 3:
            raise KeyboardInterrupt
        return real(self, policy)

    with monkeypatch.context() as patch:
        patch.setattr(Probe, "measure", interrupt)
        with pytest.raises(KeyboardInterrupt):
            give(study)
    assert not has_damage_effects(study)
    give(study)
    assert has_layer_table(study)
    kept = json.loads(folder.sweep_path.read_text())
    assert len(measured) == len(kept["readings"]) + len(kept["joints"])
    other = make_study()
    give(other)  # the folder alone is enough, too
    assert len(measured) == len(kept["readings"]) + len(kept["joints"])
    assert recorded_damage_effects(other) == recorded_damage_effects(study)


def test_a_damaged_file_is_said_and_measured_anew(
    give: Give, make_study: MakeStudy, folder: RunFolder, prepared: Prepared
) -> None:
    folder.sweep_path.write_text("{")
    study = make_study()
    (note,) = notes(give(study))
    assert "sweep.json' is damaged" in note
    assert "measured anew" in note
    assert ("bits/delicate", "int8") in recorded_damage_effects(study)


def test_when_time_runs_out_what_is_known_is_recorded_and_the_rest_said(
    give: Give, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch, measured: list[Reading]
) -> None:
    monkeypatch.setattr(search.sweep.head_start, "limit_s", lambda *_, **__: 1e-9)
    study = make_study()
    heard = give(study)
    assert measured == []
    assert has_damage_effects(study)
    assert has_layer_table(study)
    assert len(recorded_damage_effects(study)) == 0
    (note,) = notes(heard)
    assert "0 of 11 choices measured" in note
    assert "own beliefs" in note


def test_no_trial_wanted_no_head_start(give: Give, make_study: MakeStudy, measured: list[Reading]) -> None:
    study = make_study()
    assert give(study, budget=Budget(trials=0)) == []
    assert measured == []
    assert not has_damage_effects(study)


def test_an_emulated_target_has_no_times_and_that_is_said(
    give: Give, make_study: MakeStudy, prepared: Prepared
) -> None:
    profile = prepared.profile.model_copy(update={"reach": EmulatedReach()})
    study = make_study()
    (note,) = notes(give(study, prepared=replace(prepared, profile=profile)))
    assert note == "no layer is timed: 'local-cpu' is emulated, and its time says nothing"
    assert recorded_layer_table(study) == ()
    assert has_layer_table(study)
    assert recorded_damage_effects(study)


@pytest.mark.parametrize("error", [MeasurementError("the engine has no profile"), TargetError("it is gone")])
def test_a_target_that_cannot_be_asked_is_said_and_asked_again_next_time(
    give: Give, make_study: MakeStudy, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise error

    study = make_study()
    with monkeypatch.context() as patch:
        patch.setattr(search.sweep.head_start, "Target", refuse)
        assert notes(give(study)) == [f"the search begins without the times of single layers: {error}"]
    assert recorded_damage_effects(study)
    assert not has_layer_table(study)
    assert stages(give(study)) == ["layer times"]
    assert recorded_layer_table(study)
