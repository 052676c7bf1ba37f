"""The table of all policies of a small network: how it is taken, summed up, kept, and searched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.samplers.race import Race, race, trials_until
from benchmarks.samplers.table_replay import TableReplay
from benchmarks.tabulated.one_speed import at_one_speed
from benchmarks.tabulated.readings import Score, Timing
from benchmarks.tabulated.summary import summarize, typical_spread
from benchmarks.tabulated.table import Table, read_table, study_of
from benchmarks.tabulated.work_file import Entry, WorkFile
from search.layers.graph import LayerGraph, record_layer_graph
from search.space.space import Knob, SearchSpace
from search.study.space_record import adopt_space

SPACE = SearchSpace(
    layers=("a", "b"),
    knobs=(
        Knob(name="bits/a", layers=("a",), choices=("fp32", "int8")),
        Knob(name="sparsity/a", layers=("a",), choices=(0.0, 0.5, 1.0)),
        Knob(name="bits/b", layers=("b",), choices=("fp32", "int8")),
    ),
)


@pytest.fixture
def table() -> Table:
    """12 policies; without layer a its format makes no difference."""
    study = study_of({})
    adopt_space(study, SPACE, Path("in memory"))
    record_layer_graph(study, LayerGraph(macs={"a": 100, "b": 100}, neighbours=(("a", "b"),)))
    params = [SPACE.params(position) for position in range(SPACE.size)]
    gone = [each["sparsity/a"] == 1.0 for each in params]
    size = np.array([(1 - float(p["sparsity/a"])) * (0.5 if p["bits/a"] == "int8" else 1.0) for p in params])
    narrow = np.array([p["bits/b"] == "int8" for p in params])
    lost = np.array([0.1 * float(p["sparsity/a"]) for p in params]) + 0.01 * narrow
    same_as = [position - (position % 2) * is_gone for position, is_gone in enumerate(gone)]
    ratio = 0.5 * size + 0.5 - 0.2 * narrow
    return Table(
        records=study.user_attrs,
        ratio=ratio.astype(np.float32),
        ratio_error=(0.01 * ratio).astype(np.float32),
        metric=(0.98 - lost).astype(np.float32),
        divergence=lost.astype(np.float32),
        same_as=np.array(same_as, np.uint16),
        facts={"samples": 1000, "head_start_s": 3.0, "trial_s": 2.0},
    )


def test_it_comes_back_as_it_was_written(table: Table, tmp_path: Path) -> None:
    table.write(tmp_path / "table.npz")
    again = read_table(tmp_path / "table.npz")
    assert again.space == SPACE
    assert again.records == table.records
    assert again.facts == table.facts
    for name in ("ratio", "ratio_error", "metric", "divergence", "same_as"):
        assert np.array_equal(getattr(again, name), getattr(table, name))


def test_a_policy_is_found_where_the_enumeration_has_it(table: Table) -> None:
    assert [table.position(SPACE.params(position)) for position in range(SPACE.size)] == list(range(SPACE.size))


def test_a_column_that_lacks_policies_is_refused(table: Table) -> None:
    with pytest.raises(ValueError, match="one figure for each of 12 policies"):
        replace(table, ratio=table.ratio[:5])


@pytest.mark.parametrize("name", ["random", "frontier"])
def test_a_search_of_all_finds_the_whole_front_and_no_bytes_twice(table: Table, name: str) -> None:
    problem = TableReplay(table)
    found = race(problem, name, 0, most=100)
    assert len(found.tried) == len(set(table.same_as.tolist())) == 10
    assert found.hypervolumes(problem.reference)[-1] == pytest.approx(table.hypervolume(problem.reference))


def test_a_trial_reads_the_table_with_the_noise_of_one_measurement(table: Table) -> None:
    problem, rng = TableReplay(table), np.random.default_rng(0)
    params = SPACE.params(3)
    seen = np.array([problem.read(params, rng).outcome.latency_ratio for _ in range(400)])
    assert seen.std() == pytest.approx(float(table.ratio_error[3]), rel=0.15)
    assert problem.read(params, rng).exact == table.pair(3)


def test_hypervolumes_are_those_of_all_that_was_tried_so_far() -> None:
    found = Race(tried=((0.5, 0.5), (0.8, 0.4), (0.25, 1.0)), ask_s=0.0).hypervolumes((1.0, 0.0))
    assert found == pytest.approx((0.25, 0.25, 0.75))
    assert trials_until(found, 0.7) == 3
    assert trials_until(found, 0.8) == 4


def test_the_spread_of_a_reading_is_that_of_passes_but_for_a_few_spoilt_ones() -> None:
    rng = np.random.default_rng(0)
    passes = [tuple(0.4 * np.exp(rng.normal(0.0, 0.02, 2))) for _ in range(2000)]
    spoilt = [(0.4, 0.8)] * 100
    assert typical_spread([*passes, *spoilt, (0.4,)]) == pytest.approx(0.02, rel=0.15)
    assert summarize((0.4,), 0.02) == pytest.approx((0.4, 0.008))
    ratio, error = summarize((0.4, 0.4, 0.4, 0.4), 0.02)
    assert (ratio, error < 0.004) == (0.4, True)
    with pytest.raises(ValueError, match="at least one reading"):
        summarize((), 0.02)


def test_readings_at_two_speeds_say_the_same_at_one() -> None:
    rng = np.random.default_rng(0)
    true, shares = rng.uniform(0.1, 1.0, 60), np.linspace(0.0, 1.0, 60)
    slow = rng.random((60, 2)) < 0.5

    def take(at: int, is_slow: bool) -> Timing:
        level = 1.6 if is_slow else 1.0
        return Timing(ratio=float(true[at] * level ** (0.4 * shares[at])), fp32_ms=0.2 * level)

    timings = {f"{at}": [take(at, is_slow) for is_slow in slow[at]] for at in range(60)}
    taken = at_one_speed(timings, {f"{at}": share for at, share in enumerate(shares)})
    assert taken.fp32_ms == pytest.approx(0.2)
    assert taken.elasticity.value == pytest.approx(0.4, rel=0.1)
    for at in range(60):
        assert taken.ratios[f"{at}"] == pytest.approx([true[at]] * 2, rel=0.02)


def test_two_readings_at_full_speed_make_those_at_others_count_no_more() -> None:
    full, slow = Timing(ratio=0.5, fp32_ms=0.2), Timing(ratio=0.9, fp32_ms=0.32)
    timings = {f"{at}": [slow, full, full, full] for at in range(40)} | {"once": [slow, full]}
    taken = at_one_speed(timings, dict.fromkeys(timings, 0.0))
    assert taken.ratios["0"] == pytest.approx([0.5] * 3)
    assert taken.ratios["once"] == pytest.approx([0.9, 0.5])


def test_a_line_that_a_stop_cut_off_costs_that_line_alone(tmp_path: Path) -> None:
    def entry(position: int) -> Entry:
        return Entry(
            position=position,
            digest=f"{position:064x}",
            taken_in=1,
            timing=Timing(ratio=0.5, fp32_ms=1.0),
            score=Score(metric=0.9, divergence=0.1, cpu_s=0.2) if position else None,
            build_cpu_s=0.01,
        )

    path = tmp_path / "work" / "readings.jsonl"
    work, other = WorkFile(path), WorkFile(path)
    work.add(entry(0))
    with path.open("a") as file:
        file.write('{"position": 1, "dig')
    assert list(other.entries()) == [entry(0)]
    work.add(entry(2))
    assert list(other.fresh()) == [entry(2)]
    assert list(other.fresh()) == []
    assert list(work.entries()) == [entry(0), entry(2)]
