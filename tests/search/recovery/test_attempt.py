"""One candidate's recovery: what goes wrong costs the candidate, and is not tried again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.errors import CompressionError
from compress.recovery.settings import RecoverySettings
from latency import MeasurementError, TargetError
from search.folder.run_folder import RunFolder
from search.recovery import attempt
from search.recovery.attempt import Attempts, Pace
from search.recovery.recoveries import Asked, Recovery
from search.stages import StageClock
from search.study.partial import PartialOutcome
from workloads import WorkloadError

from .test_recoveries import LINEAGE, OUTCOME

ASKED: Asked = ("a" * 64, 3, 1, "d" * 64)


class Weights:
    """Weights that came out of a training."""

    lineage = LINEAGE

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights")


class FakeEvaluator:
    """Answers one after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.asked = list(answers), []

    def evaluate(self, candidate: Any, reference_ms: float | None, *, again: bool = False) -> Any:
        self.asked.append(again)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


UNRELIABLE = PartialOutcome(digest="e" * 64, samples=9, model_bytes=1, reason="latency is unreliable: noise")


def carry_out(
    folder: RunFolder,
    monkeypatch: pytest.MonkeyPatch,
    evaluator: FakeEvaluator,
    *,
    weights: Any = None,
    nearest: str | None = None,
    begun: list[Any] | None = None,
    drop_before: float = 0.4,
) -> Recovery:
    def recover(*_: Any, start: Any) -> Any:
        if begun is not None:
            begun.append(start)
        if isinstance(weights, Exception):
            raise weights
        return Weights()

    monkeypatch.setattr(attempt, "build_recovered", lambda *_: SimpleNamespace(digest="e" * 64))
    trainer: Any = SimpleNamespace(recover=recover)
    relatives: Any = SimpleNamespace(nearest=lambda _: nearest, add=lambda *_: None)
    compressor: Any = None
    attempts = Attempts(
        compressor=compressor, trainer=trainer, evaluator=evaluator, relatives=relatives, folder=folder,  # type: ignore[arg-type]
        stages=StageClock(), reference_ms=2.0, pace=Pace(),
    )  # fmt: skip
    policy: Any = None
    return attempts.carry_out(ASKED, policy, RecoverySettings(), drop_before=drop_before)


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_figures_lineage_and_weights_are_kept(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = carry_out(folder, monkeypatch, FakeEvaluator(OUTCOME))
    assert (found.outcome, found.lineage, found.asked) == (OUTCOME, LINEAGE, ASKED)
    assert (folder.recovered_path / f"{'e' * 64}.safetensors").read_text() == "weights"


@pytest.mark.parametrize(
    ("error", "weights"),
    [
        (CompressionError("training came to no finite numbers"), True),
        (WorkloadError("metric top1() failed"), True),
        (CompressionError("layer 'a' runs in float"), False),
        (MeasurementError("the worker died"), False),
    ],
)
def test_what_goes_wrong_is_the_reason(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, error: Exception, weights: bool
) -> None:
    evaluator = FakeEvaluator(error)
    found = carry_out(folder, monkeypatch, evaluator, weights=error if weights else None)
    assert (found.outcome, found.reason) == (None, str(error))
    assert not list(folder.path.rglob("*.safetensors"))


def test_what_won_nothing_back_is_no_point(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    found = carry_out(folder, monkeypatch, FakeEvaluator(OUTCOME), drop_before=OUTCOME.metric_drop)
    assert (found.outcome, found.reason) == (None, "it won nothing back: drop 1.00 → 1.00 points")
    assert not list(folder.path.rglob("*.safetensors"))


def test_an_unreliable_cost_is_taken_once_more(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluator = FakeEvaluator(UNRELIABLE, OUTCOME)
    assert carry_out(folder, monkeypatch, evaluator).outcome == OUTCOME
    assert evaluator.asked == [False, True]
    found = carry_out(folder, monkeypatch, FakeEvaluator(UNRELIABLE, UNRELIABLE))
    assert found.reason == "latency is unreliable: noise"


def test_a_target_that_is_gone_is_no_fault_of_the_candidate(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TargetError):
        carry_out(folder, monkeypatch, FakeEvaluator(TargetError("'pi' cannot be reached")))


def test_it_begins_with_the_weights_of_the_nearest_relative(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt.RecoveredWeights, "load", lambda path: path.name)
    begun: list[Any] = []
    carry_out(folder, monkeypatch, FakeEvaluator(OUTCOME), nearest="b" * 64, begun=begun)
    carry_out(folder, monkeypatch, FakeEvaluator(OUTCOME), nearest=None, begun=begun)
    assert begun == [f"{'b' * 64}.safetensors", None]


def test_candidates_pace_says_what_the_next_one_takes() -> None:
    ticks = iter([0.0, 10.0, 14.0, 20.0, 30.0, 36.0])
    pace = Pace(clock=lambda: next(ticks))
    assert (pace.candidate_s, pace.confirming_s(3)) == (0.0, 0.0)
    with pace.recovering(), pace.taking_figures():
        pass
    assert (pace.candidate_s, pace.confirming_s(2)) == (20.0, 32.0)
