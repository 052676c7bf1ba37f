"""Whom the confirmation takes, and what becomes of those that cannot be confirmed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from latency import MeasurementError, TargetError
from search import pareto
from search.confirmation.confirm import (
    ENOUGH_POINTS,
    KNOWN_WELL,
    MOST_PASSES,
    PASSES,
    confirm,
    nominate,
    unconfirmed,
)
from search.confirmation.confirmations import read_confirmations
from search.confirmation.target_validation import OnTarget
from search.errors import RunFolderError, SearchError
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.progress import Progress
from search.target_accuracy import TargetAccuracy


def point(number: int, ratio: float = 0.5, metric: float = 0.9, **changes: Any) -> TrialPoint:
    values: dict[str, Any] = {
        "digest": f"d{number}", "latency_ms": ratio, "latency_ratio": ratio, "latency_ratio_low": ratio,
        "latency_ratio_high": ratio, "grade": "clean", "metric": metric, "metric_drop": 1 - metric,
        "metric_drop_low": 0.0, "metric_drop_high": 1.0, "state": "complete", **changes,
    }  # fmt: skip
    return TrialPoint(number=number, **values)


figures = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 30)), min_size=1, max_size=40)


@given(figures)
def test_the_whole_front_is_nominated_and_then_what_lies_behind_it(pairs: list[tuple[int, int]]) -> None:
    points = [point(number, float(ratio), float(metric)) for number, (ratio, metric) in enumerate(pairs)]
    nominees = nominate(points)
    members = {number for number, rank in enumerate(pareto.ranks([(r, m) for r, m in pairs])) if rank == 0}
    assert members <= {nominee.number for nominee in nominees}
    assert len(nominees) == max(len(members), min(ENOUGH_POINTS, len(points)))
    ranks = pareto.ranks([(r, m) for r, m in pairs])
    left_out = {p.number for p in points} - {n.number for n in nominees}
    assert not left_out or max(ranks[n.number] for n in nominees) <= min(ranks[number] for number in left_out)


def test_fp32_and_all_8_bit_are_nominated_wherever_they_lie() -> None:
    front = [point(number, 0.1 + number / 100, number / 20) for number in range(ENOUGH_POINTS + 3)]
    behind = [point(50, 1.0, 0.0, label="FP32"), point(51, 0.9, 0.0, label="all 8-bit"), point(52, 0.9, 0.0)]
    assert [nominee.number for nominee in nominate([*behind, *front])] == [*range(len(front)), 50, 51]


def test_what_was_recovered_is_nominated_beside_the_front_as_it_was_before() -> None:
    trials = [point(number, 0.1 + number / 100, number / 20) for number in range(ENOUGH_POINTS + 3)]
    first, second = (recovered(trials[4], metric=0.9), recovered(trials[5], metric=0.8))
    third = recovered(trials[6], metric=0.7)
    nominees = nominate([*trials, first, second, third])
    assert [nominee.name for nominee in nominees if nominee.recovered_from] == ["#4r", "#5r"], "two fronts of all"
    assert [nominee for nominee in nominees if not nominee.recovered_from] == trials, "the front before recovery"


def recovered(trial: TrialPoint, *, metric: float) -> TrialPoint:
    changes: dict[str, Any] = {"digest": f"{trial.digest}r", "metric": metric, "metric_drop": 1 - metric}
    return replace(trial, recovered_from=trial.digest, recovery="distillation", **changes)


def test_failed_trials_are_not_nominated() -> None:
    failed = TrialPoint(number=1, digest="", state="failed", reason="no")
    assert nominate([failed]) == []
    assert nominate([failed, point(2)]) == [point(2)]


def made(point: TrialPoint) -> Any:
    return SimpleNamespace(digest=point.digest, policy=None)


class FakeEvaluator:
    """Ratios come out as asked; `broken` candidates cannot be measured, `noisy` ones are never known well.

    `stopped_at` is the measurement, counted from 1, at which somebody stops the run.
    """

    def __init__(
        self, ratio: float = 0.6, grade: str = "clean", broken: str = "", noisy: str = "", stopped_at: int = 0
    ) -> None:
        self.ratio, self.grade, self.broken, self.noisy, self.stopped_at = ratio, grade, broken, noisy, stopped_at
        self.measured: list[str] = []

    def measure_afresh(self, made: SimpleNamespace) -> object:
        candidate = made.digest
        self.measured.append(candidate)
        if len(self.measured) == self.stopped_at:
            raise KeyboardInterrupt
        if candidate == self.broken:
            raise MeasurementError("worker died")
        return SimpleNamespace(
            ratio=self.ratio,
            ratio_low=self.ratio,
            ratio_high=self.ratio,
            ratio_half_width=10 * KNOWN_WELL if candidate == self.noisy else KNOWN_WELL / 2,
            grade=self.grade,
            reason="noise",
        )

    def narrowable(self, measured: list[SimpleNamespace], _policy: object, _reference_ms: float | None) -> float:
        return float(measured[0].ratio_half_width)

    def together(self, measured: list[object], _policy: object, reference_ms: float | None) -> object:
        assert reference_ms == 2.0
        return measured[0]

    def validate(self, _: object) -> tuple[object, object]:
        return SimpleNamespace(value=0.8), SimpleNamespace(value=0.2, low=0.1, high=0.3)


class FakeValidator:
    """The target answers 0.7 where this host answers 0.8; `broken` candidates kill its worker, at `lost` it is gone."""

    def __init__(self, broken: str = "", lost: str = "", problems: tuple[str, ...] = ()) -> None:
        self.broken, self.lost, self.problems = broken, lost, problems
        self.validated: list[str] = []

    def validate(self, candidate: SimpleNamespace, accuracy: SimpleNamespace, drop: SimpleNamespace) -> OnTarget:
        self.validated.append(candidate.digest)
        if candidate.digest == self.broken:
            raise MeasurementError("'infer' on 'pi': the worker died")
        if candidate.digest == self.lost:
            raise TargetError("'pi' cannot be reached")
        there = TargetAccuracy(
            target_metric=0.7, target_metric_drop=0.3, target_metric_drop_low=0.25, target_metric_drop_high=0.35,
            target_samples=64, host_metric=accuracy.value, target_differs=True,
        )  # fmt: skip
        return OnTarget(accuracy=there, problems=self.problems)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def run(
    folder: RunFolder, evaluator: FakeEvaluator, count: int = 3, **options: Any
) -> tuple[list[TrialPoint], list[Progress]]:
    points = [point(number, 0.5 - number / 10, 0.9 - number / 10) for number in range(count)]
    steps: list[Progress] = []
    validator, remake = options.pop("validator", FakeValidator()), options.pop("remake", made)
    done = confirm(points, remake, evaluator, validator, folder, 2.0, steps.append, **options)  # type: ignore[arg-type]
    return done, steps


def test_points_get_the_new_figures_and_keep_the_searchs_own_beside_them(folder: RunFolder) -> None:
    points, steps = run(folder, FakeEvaluator())
    assert [(p.confirmed, p.latency_ratio, p.latency_ms, p.metric) for p in points] == [(True, 0.6, 1.2, 0.8)] * 3
    assert [p.search_latency_ratio for p in points] == [0.5, 0.4, 0.3]
    assert [(step.done, step.total) for step in steps] == [(done, 3 * PASSES) for done in range(1, 3 * PASSES + 1)]


def test_candidates_take_turns(folder: RunFolder) -> None:
    evaluator = FakeEvaluator()
    run(folder, evaluator)
    assert evaluator.measured == ["d0", "d1", "d2"] * PASSES


def test_what_is_not_known_well_gets_further_passes_and_the_others_do_not(folder: RunFolder) -> None:
    evaluator = FakeEvaluator(noisy="d1")
    _, steps = run(folder, evaluator)
    further = MOST_PASSES - PASSES
    assert evaluator.measured == ["d0", "d1", "d2"] * PASSES + ["d1"] * further
    assert steps[-1].done == steps[-1].total == 3 * PASSES + further


def test_an_interruption_keeps_what_was_known_after_the_pass_before(folder: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(folder, FakeEvaluator(noisy="d1", stopped_at=3 * PASSES + 1))
    assert set(read_confirmations(folder)) == {"d0", "d2"}


def test_what_cannot_be_made_again_as_it_was_measured_is_not_confirmed(folder: RunFolder) -> None:
    def fail(_: TrialPoint) -> Any:
        raise SearchError("rebuilding #0 gave other bytes")

    evaluator = FakeEvaluator()
    with pytest.raises(SearchError, match="rebuilding #0 gave other bytes"):
        run(folder, evaluator, remake=fail)
    assert evaluator.measured == []
    assert read_confirmations(folder) == {}


def test_the_time_left_is_told(folder: RunFolder) -> None:
    ticks = iter(range(0, 1000, 10))
    _, steps = run(folder, FakeEvaluator(), clock=lambda: float(next(ticks)))
    assert [step.remaining_s for step in steps] == [50.0, 40.0, 30.0, 20.0, 10.0, 0.0]


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format_version": 99, "confirmations": []}, "has format_version 99, this paretune reads up to 3; upgrade"),
        ({"confirmations": []}, "is damaged: it lacks format_version"),
        ({"format_version": 1, "confirmations": [{"digest": "d"}]}, "is damaged: TypeError: .*missing"),
        ({"format_version": 1, "confirmations": [{}]}, "is damaged: KeyError: 'digest'"),
        ({"format_version": 1, "confirmations": 3}, "is damaged: TypeError"),
    ],
)
def test_confirmations_that_cannot_be_read_are_named(folder: RunFolder, document: dict[str, Any], said: str) -> None:
    folder.write(folder.confirmations_path, json.dumps(document))
    with pytest.raises(RunFolderError, match=r"confirmations\.json' " + said):
        read_confirmations(folder)


def test_what_is_confirmed_is_not_measured_again(folder: RunFolder) -> None:
    run(folder, FakeEvaluator(), count=2)
    evaluator = FakeEvaluator(ratio=0.7)
    points, _ = run(folder, evaluator)
    assert set(evaluator.measured) == {"d2"}
    assert [p.latency_ratio for p in points] == [0.6, 0.6, 0.7]
    assert set(read_confirmations(folder)) == {"d0", "d1", "d2"}


@pytest.mark.parametrize(
    ("evaluator", "unharmed", "said"),
    [
        (FakeEvaluator(broken="d1"), [0, 2], "#1 is not confirmed: worker died"),
        (FakeEvaluator(grade="unreliable"), [], "#0 is not confirmed: latency is unreliable: noise"),
    ],
)
def test_what_cannot_be_confirmed_stays_unconfirmed_and_is_said(
    folder: RunFolder, evaluator: FakeEvaluator, unharmed: list[int], said: str
) -> None:
    points, steps = run(folder, evaluator)
    assert [p.number for p in points if p.confirmed] == unharmed
    assert said in [step.note for step in steps]
    assert len(unconfirmed(points_without_confirmation(), folder)) == 3 - len(unharmed)


def points_without_confirmation() -> list[TrialPoint]:
    return [point(number, 0.5 - number / 10, 0.9 - number / 10) for number in range(3)]


def test_the_targets_own_accuracy_stands_beside_this_hosts(folder: RunFolder) -> None:
    points, _ = run(folder, FakeEvaluator(), count=2, validator=FakeValidator(problems=("layer 'a' runs in float",)))
    assert [(p.metric, p.target_metric, p.target_samples, p.target_differs) for p in points] == [
        (0.8, 0.7, 64, True)
    ] * 2
    assert [(p.target_metric_drop_low, p.target_metric_drop_high) for p in points] == [(0.25, 0.35)] * 2
    assert {p.reason for p in points} == {"layer 'a' runs in float"}
    (kept, _) = read_confirmations(folder).values()
    assert (kept.target_metric, kept.host_metric, kept.reason) == (0.7, 0.8, "layer 'a' runs in float")


def test_nothing_runs_on_the_target_while_a_latency_is_taken(folder: RunFolder) -> None:
    """Accuracy is taken between the passes."""
    happened: list[str] = []
    evaluator, validator = FakeEvaluator(noisy="d1"), FakeValidator()
    evaluator.measured = validator.validated = happened
    run(folder, evaluator, validator=validator)
    passes = ["d0", "d1", "d2"] * PASSES
    assert happened == [*passes, "d0", "d2", *["d1"] * (MOST_PASSES - PASSES), "d1"]


def test_a_worker_that_dies_over_its_accuracy_costs_the_point_and_not_the_run(folder: RunFolder) -> None:
    points, steps = run(folder, FakeEvaluator(), validator=FakeValidator(broken="d1"))
    assert [p.number for p in points if p.confirmed] == [0, 2]
    assert "#1 is not confirmed: 'infer' on 'pi': the worker died" in [step.note for step in steps]


def test_a_target_that_is_gone_ends_it_and_what_was_concluded_stays(folder: RunFolder) -> None:
    with pytest.raises(TargetError, match="'pi' cannot be reached"):
        run(folder, FakeEvaluator(), validator=FakeValidator(lost="d1"))
    assert set(read_confirmations(folder)) == {"d0"}


def test_what_was_measured_before_and_cannot_be_any_more_is_the_targets_fault(folder: RunFolder) -> None:
    evaluator = FakeEvaluator()
    evaluator.measure_afresh = fail_to_measure  # type: ignore[method-assign]
    with pytest.raises(TargetError, match=r"3 measurements failed one after another; #2 is not confirmed: link lost"):
        run(folder, evaluator, count=4)
    assert read_confirmations(folder) == {}


def fail_to_measure(_: object) -> object:
    raise MeasurementError("link lost")
