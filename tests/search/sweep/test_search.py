"""A whole search: who pays for a sweep, when, and who need not pay again."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

import search
import search.sweep.head_start
from hwprofiles import HardwareProfile
from search import RunResult
from search.layers.effects import has_damage_effects, recorded_damage_effects
from search.layers.table import has_layer_table, recorded_layer_table
from search.progress import Progress
from search.study.study import load_study


@pytest.fixture
def workload(made: tuple[object, Path]) -> Path:
    return made[1].parent / "small.py"


def stages(heard: list[Progress]) -> list[str]:
    return list(dict.fromkeys(step.stage for step in heard))


def test_the_frontier_sampler_s_search_sweeps_once_before_its_first_trial(
    quick: None, workload: Path, profile: HardwareProfile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.sweep.head_start, "limit_s", lambda *_, **__: math.inf)  # a busy machine decides nothing
    run = tmp_path / "run"
    heard: list[Progress] = []
    search.run(workload, profile, out=run, trials=3, sampler="frontier", listener=heard.append)
    order = stages(heard)
    assert order[order.index("baseline") :][:4] == ["baseline", "sweep", "layer times", "search"]
    kept = (run / "sweep.json").read_bytes()
    with load_study(run / "study.db") as study:
        effects = recorded_damage_effects(study)
        assert recorded_layer_table(study)
    assert effects
    assert {(knob, choice) for knob, choice, *_ in json.loads(kept)["readings"]} <= set(effects)
    seconds = json.loads((run / "timings.json").read_text())["seconds"]
    assert seconds["accuracy inference"] > 0

    again: list[Progress] = []
    search.run(workload, profile, out=run, trials=4, sampler="frontier", listener=again.append)
    assert not {"layer times", "sweep"} & set(stages(again))
    assert (run / "sweep.json").read_bytes() == kept


def test_optuna_s_samplers_do_not_pay_for_it(finished: RunResult) -> None:
    assert not (finished.folder / "sweep.json").exists()
    with load_study(finished.folder / "study.db") as study:
        assert not has_damage_effects(study)
        assert not has_layer_table(study)
