"""One search of a comparison: kept in its file, and the same whether it is made alone or beside others."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from benchmarks.samplers.comparison import Comparison
from benchmarks.samplers.heat import Heat, run_side_by_side
from benchmarks.samplers.race import FRONTIER
from benchmarks.samplers.synthetic_chain import SyntheticChain


def heat(folder: Path, sampler: str, *, seed: int = 0, trials: int = 8) -> Heat:
    return Heat(
        label="4 layers",
        make_problem=partial(SyntheticChain, 4),
        sampler=sampler,
        seed=seed,
        trials=trials,
        most_ask_s=60.0,
        folder=folder,
    )


def test_a_search_that_is_kept_is_not_made_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = heat(tmp_path, "random").run()
    capsys.readouterr()
    assert heat(tmp_path, "random").run() == made
    assert capsys.readouterr().out == ""


def test_another_length_is_another_search(tmp_path: Path) -> None:
    assert len(heat(tmp_path, "random").run().tried) == 8
    assert len(heat(tmp_path, "random", trials=5).run().tried) == 5


def test_searches_side_by_side_find_what_they_find_alone(tmp_path: Path) -> None:
    wanted = [("random", 0), ("random", 1), (FRONTIER, 0)]
    alone = [heat(tmp_path / "alone", name, seed=seed).run() for name, seed in wanted]
    beside = [heat(tmp_path / "beside", name, seed=seed) for name, seed in wanted]
    marked = json.loads(heat(tmp_path / "alone", "random").path.read_text()) | {"ask_s": 1234.0}
    beside[0].path.parent.mkdir(parents=True)
    beside[0].path.write_text(json.dumps(marked))  # was made before
    run_side_by_side(beside, 2)
    kept = [each.kept() for each in beside]
    assert [each.tried for each in kept if each is not None] == [each.tried for each in alone]
    assert kept[0] is not None
    assert kept[0].ask_s == 1234.0


def test_a_comparison_has_every_search_once_the_slowest_sampler_first(tmp_path: Path) -> None:
    comparison = Comparison(
        label="4 layers",
        make_problem=partial(SyntheticChain, 4),
        others=("random", "gp"),
        seeds=2,
        trials=8,
        most_ask_s=60.0,
        folder=tmp_path,
    )
    heats = [(each.seed, each.sampler) for each in comparison.heats()]
    assert len(set(heats)) == len(heats) == 2 * 5
    assert [sampler for _, sampler in heats[:2]] == ["gp", "gp"]
