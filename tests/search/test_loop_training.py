"""The loop where candidates are trained: what is handed over, what is not, and when there is no time for it."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from search.loop import SearchLoop
from search.outlook import Budget
from search.progress import Progress
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.seen import resume
from search.study.study import open_study
from search.study.trials import OUTCOME, POSTPONED, TRAINED_FROM, Outcome, built_digest, count_finished
from search.trial.training import OutOfTimeError

from .test_loop import FakeEvaluator, make_space

LINEAGE = {
    "recovered_from": "x", "method": "m", "epochs": 1, "steps": 1, "seed": 0, "data_digest": "d",
    "started_from": None, "seconds": 1.0,
}  # fmt: skip


@dataclass
class FakeTrainer:
    """Wins half of every drop back, and takes ten seconds.

    Attributes:
        out_of_time: The trials that there is no time for.
        unreliable: Those whose cost is unreliable the first time.
        handed: Numbers and untrained outcomes of what was handed over.
        until: When it should leave off, as it was told.
    """

    out_of_time: set[int] = field(default_factory=set)
    unreliable: set[int] = field(default_factory=set)
    handed: list[tuple[int, Outcome]] = field(default_factory=list)
    until: list[float | None] = field(default_factory=list)
    spent_s: float = 0.0

    @property
    def typical_s(self) -> float:
        return 10.0 if self.spent_s else 0.0

    def go_on(
        self, trial: Any, candidate: Any, untrained: Outcome, *, again: bool, until_s: Any, tell: Any, **_: Any
    ) -> Any:
        self.handed.append((trial.number, untrained))
        self.until.append(until_s)
        if trial.number in self.out_of_time:
            raise OutOfTimeError
        tell(f"training #{trial.number}, loss 0.1")
        self.spent_s += 10.0
        if trial.number in self.unreliable and not again:
            return PartialOutcome(digest="t", samples=1, model_bytes=1, grade="unreliable", grade_reason="", reason="x")
        if untrained.metric_drop <= 0:
            return untrained
        trial.set_user_attr(TRAINED_FROM, {"outcome": untrained.to_attribute(), "lineage": LINEAGE})
        half = untrained.metric_drop / 2
        return replace(
            untrained, digest=f"trained {candidate.digest}", metric=untrained.metric + half, metric_drop=half
        )


def run(path: Path, trainer: FakeTrainer, evaluator: Any = None, **options: Any) -> list[Any]:
    """Run a loop to its end, by a clock that the trainings move on; the study's trials."""
    ticks = itertools.count()
    with open_study(path / "study.db", "tpe", 0) as study:
        SearchLoop(
            study=study, space=make_space(4), seen=resume(study, make_space(4)), evaluator=evaluator or FakeEvaluator(),
            seed=0, trainer=trainer, stages=StageClock(), confirmation_s=lambda front, typical_s: 100 * typical_s,
            clock=lambda: 1e-3 * next(ticks) + trainer.spent_s, **{"budget": Budget(trials=6), **options},
        ).run()  # fmt: skip
        return study.get_trials()


def test_values_are_those_of_what_was_trained(tmp_path: Path) -> None:
    trainer = FakeTrainer()
    trials = [trial for trial in run(tmp_path, trainer) if trial.state.name == "COMPLETE"]
    assert [number for number, _ in trainer.handed] == [trial.number for trial in trials]
    by_number = dict(trainer.handed)
    for trial in trials:
        untrained, outcome = by_number[trial.number], trial.user_attrs[OUTCOME]
        assert trial.values == [outcome["latency_ms"], outcome["metric"]]
        assert outcome["metric_drop"] == untrained.metric_drop / 2
        assert built_digest(trial) == untrained.digest
    fp32_ms = [untrained.latency_ms / untrained.latency_ratio for _, untrained in trainer.handed]
    assert fp32_ms == pytest.approx([fp32_ms[0]] * len(fp32_ms)), "on the study's reference"


def test_a_candidate_is_known_by_what_its_policy_gives(tmp_path: Path) -> None:
    """The same network comes of another policy, and is not trained a second time."""
    evaluator = FakeEvaluator(digest=lambda policy: f"{sum(c.weight_bits == 8 for c in policy.layers.values())} of 4")
    trainer = FakeTrainer()
    for trials in (3, 5):
        run(tmp_path, trainer, evaluator, budget=Budget(trials=trials))
    digests = [untrained.digest for _, untrained in trainer.handed]
    assert sorted(digests) == sorted(set(digests)) == [f"{count} of 4" for count in range(5)]


def test_what_was_stopped_before_is_not_handed_over(tmp_path: Path) -> None:
    class Stopping(FakeEvaluator):
        def evaluate(self, candidate: Any, *arguments: Any, **options: Any) -> Any:
            outcome = super().evaluate(candidate, *arguments, **options)
            if outcome.metric_drop < 0.03:
                return outcome
            return PartialOutcome(
                digest=candidate.digest, samples=8, divergence=0.5, model_bytes=1, reason="not trained: x"
            )

    trainer = FakeTrainer()
    trials = run(tmp_path, trainer, Stopping())
    pruned = [trial for trial in trials if trial.state.name == "PRUNED"]
    assert pruned
    assert not {trial.number for trial in pruned} & {number for number, _ in trainer.handed}
    assert all(trial.values is None and trial.user_attrs[OUTCOME]["divergence"] == 0.5 for trial in pruned)


def test_what_there_is_no_time_for_is_left_for_another_day(tmp_path: Path) -> None:
    steps: list[Progress] = []
    trainer = FakeTrainer(out_of_time={2})
    trials = run(tmp_path, trainer, budget=Budget(deadline_s=1e6), listener=steps.append)
    assert [trial.state.name for trial in trials] == ["COMPLETE", "COMPLETE", "FAIL"]
    assert "no time is left to train #2; the same command goes on with it" in [step.note for step in steps]
    assert trainer.until[0] == 1e6
    assert trainer.until[2] is not None
    assert trainer.until[2] < 1e6, "the confirmation has its time"
    later = FakeTrainer()
    trials = run(tmp_path, later)
    assert trials[3].params == trials[2].params, "it comes first"
    assert count_finished(trials) == 6


def test_an_unreliable_cost_after_the_training_is_tried_again(tmp_path: Path) -> None:
    trainer = FakeTrainer(unreliable={1})
    trials = run(tmp_path, trainer)
    assert trials[1].state.name == "FAIL"
    again = next(trial for trial in trials if POSTPONED in trial.user_attrs and trial.number > 1)
    assert (again.params, again.state.name) == (trials[1].params, "COMPLETE")


def test_trainings_count_for_the_time_that_trials_take_and_not_for_that_of_the_confirmation(tmp_path: Path) -> None:
    trainer = FakeTrainer()
    steps: list[Progress] = []
    run(tmp_path, trainer, budget=Budget(deadline_s=46.0), listener=steps.append)
    assert len(trainer.handed) == 4, "a fifth would take another ten seconds"
    assert next(step.detail for step in steps if step.detail) == "training #0, loss 0.1"
