"""What a sampler begins with where it is compared as Optuna alone would have it: FP32, and nothing else of ours."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import optuna
import pytest

from benchmarks.samplers.comparison import Comparison
from benchmarks.samplers.live import LiveSearch
from benchmarks.samplers.race import ALONE, race, sampler_of
from benchmarks.samplers.synthetic_chain import SyntheticChain
from search.folder.run_folder import RunFolder
from search.study.study import load_run_study
from search.study.trials import LABEL, is_finished
from tests.search.conftest import write_workload

LAYERS = 4


def test_a_sampler_alone_begins_with_fp32_only() -> None:
    problem = SyntheticChain(LAYERS, 0)
    rng = np.random.default_rng(0)
    first = [problem.read(start.params, rng).exact for start in problem.space.starts()]
    started = race(problem, "random", 0, most=len(first))
    by_itself = race(problem, f"random{ALONE}", 0, most=len(first))
    assert list(started.tried) == first
    assert by_itself.tried[0] == first[0]
    assert set(by_itself.tried[1:]) != set(first[1:])
    assert sampler_of(f"random{ALONE}") == "random"


@pytest.mark.parametrize(("others", "title"), [(("tpe",), "chain"), ((f"tpe{ALONE}",), "chain, others alone")])
def test_figures_and_pictures_say_how_the_others_began(tmp_path: Path, others: tuple[str, ...], title: str) -> None:
    comparison = Comparison(
        label="chain",
        make_problem=partial(SyntheticChain, LAYERS),
        others=others,
        seeds=1,
        trials=3,
        most_ask_s=60.0,
        folder=tmp_path,
    )
    assert comparison.title == title


@pytest.mark.parametrize(("sampler", "labels"), [("random", 3), (f"random{ALONE}", 1)])
def test_so_does_one_that_searches_a_real_network(tmp_path: Path, sampler: str, labels: int) -> None:
    live = LiveSearch(
        workload=str(write_workload(tmp_path / "user")),
        target="local-cpu",
        sampler=sampler,
        seed=0,
        trials=3,
        folder=tmp_path / "run",
        floor=0.0,
    )
    assert len(live.go_on()) == 3
    with load_run_study(RunFolder(tmp_path / "run")) as study:
        assert sum(LABEL in trial.user_attrs for trial in finished(study)) == labels


def finished(study: optuna.Study) -> list[optuna.trial.FrozenTrial]:
    return [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]
