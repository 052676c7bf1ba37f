"""What a trial comes to where candidates are trained: its own values are of one kind, and nothing is trained twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from compress.errors import CompressionError
from compress.recovery.lineage import TrainingProgress
from compress.recovery.settings import RecoverySettings
from latency import MeasurementError
from search.errors import SearchError
from search.folder.run_folder import RunFolder
from search.recovery import trial_trainer
from search.recovery.promise import Promise
from search.recovery.trial_trainer import TrialTrainer
from search.stages import StageClock
from search.study.partial import PartialOutcome
from search.study.trials import NOT_TRAINED, OUTCOME, TRAINED_FROM, Outcome
from search.trial.rivals import Rivals
from search.trial.training import OutOfTimeError

from .test_recoveries import LINEAGE
from .test_recoveries import OUTCOME as GOOD

UNTRAINED = replace(GOOD, digest="a" * 64, metric=0.2, metric_drop=0.8, metric_drop_low=0.7, metric_drop_high=0.9)
UNRELIABLE = PartialOutcome(digest="e" * 64, samples=9, model_bytes=1, grade="unreliable", reason="noise")
CANDIDATE: Any = SimpleNamespace(digest="a" * 64, policy=SimpleNamespace(digest="p"))


@dataclass
class Trial:
    number: int = 5
    user_attrs: dict[str, Any] = field(default_factory=dict)

    def set_user_attr(self, name: str, value: Any) -> None:
        self.user_attrs[name] = value


class Weights:
    lineage = LINEAGE

    def save(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("weights")


@dataclass
class Training:
    """Stands in for the training itself; it keeps what is ready, as the real one does."""

    compressor: Any
    lessons: Any
    folder: RunFolder
    listener: Any
    error: Exception | None = None
    steps: int = 3
    trained: list[Any] = field(default_factory=list)

    def recover(self, policy: Any, asked: Any, settings: RecoverySettings, *, start: Any) -> Any:
        assert settings.time_limit_s is None
        self.trained.append((asked, start))
        if self.error is not None:
            raise self.error
        for step in range(1, self.steps + 1):
            self.listener(
                TrainingProgress(epoch=1, epochs=1, step=step, steps=self.steps, loss=0.25, score=0.5, seconds_left=1.0)
            )
        self._ready(asked).parent.mkdir(parents=True, exist_ok=True)
        self._ready(asked).write_text("ready")
        return Weights()

    def forget(self, asked: Any) -> None:
        self._ready(asked).unlink(missing_ok=True)

    def _ready(self, asked: Any) -> Path:
        return self.folder.recovered_path / f"{asked[0][:4]}.ready"


class Bench:
    """A trainer with fakes around it."""

    def __init__(self, folder: RunFolder, monkeypatch: pytest.MonkeyPatch, *answers: Any, **training: Any) -> None:
        self.answers, self.known, self.now_s, self.told = list(answers), {}, 0.0, []
        monkeypatch.setattr(trial_trainer, "Trainer", lambda **given: Training(**given, **training))
        monkeypatch.setattr(trial_trainer, "Relatives", lambda _: self)
        monkeypatch.setattr(trial_trainer, "build_recovered", lambda *_: SimpleNamespace(digest=self.digest))
        monkeypatch.setattr(trial_trainer.RecoveredWeights, "load", lambda path: path.name)
        self.digest, self.folder, self.samples = "e" * 64, folder, range(9)
        self.trainer = TrialTrainer(
            compressor=None, lessons=SimpleNamespace(digest="d" * 64), evaluator=self, settings=RecoverySettings(),  # type: ignore[arg-type]
            metric="top1", folder=folder, stages=StageClock(), clock=self.clock,
        )  # fmt: skip

    def clock(self) -> float:
        self.now_s += 1.0
        return self.now_s

    def add(self, digest: str, weights: Any) -> None:
        self.known[digest] = weights

    def nearest(self, _: Any) -> str | None:
        return next(iter(self.known), None)

    def evaluate(self, candidate: Any, reference_ms: float | None, *, again: bool) -> Any:
        assert (candidate.digest, reference_ms) == (self.digest, 2.0)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def go_on(self, trial: Trial, untrained: Outcome = UNTRAINED, **changes: Any) -> Any:
        asked: dict[str, Any] = {"again": False, "watch": None, "until_s": None, **changes}
        return self.trainer.go_on(trial, CANDIDATE, untrained, reference_ms=2.0, tell=self.told.append, **asked)  # type: ignore[arg-type]

    @property
    def trained(self) -> list[Any]:
        return self.trainer._trainer.trained  # type: ignore[attr-defined]  # the stand-in's

    def files(self) -> list[str]:
        return sorted(path.name for path in self.folder.recovered_path.glob("*"))


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_a_trial_has_the_values_of_what_was_trained_and_says_what_it_was(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, trial = Bench(folder, monkeypatch, GOOD), Trial()
    assert bench.go_on(trial) == GOOD
    assert trial.user_attrs == {TRAINED_FROM: {"outcome": UNTRAINED.to_attribute(), "lineage": LINEAGE.as_dict()}}
    assert bench.files() == ["aaaa.ready", f"{'e' * 64}.safetensors"], "until the trial has ended"
    bench.trainer.tidy()
    assert bench.files() == [f"{'e' * 64}.safetensors"]
    assert bench.told[0] == "training #5"
    assert bench.told[-1] == "training #5, epoch 1/1, loss 0.25, top1 0.5"
    assert bench.trainer.spent_s >= bench.trainer.typical_s > 0


@pytest.mark.parametrize(
    ("found", "digest", "said"),
    [
        (replace(GOOD, metric_drop=0.8), "e" * 64, "training won nothing back: drop 80.00 → 80.00 points"),
        (UNTRAINED, "a" * 64, "training won nothing back: drop 80.00 → 80.00 points"),
    ],
)
def test_what_a_training_wins_nothing_back_of_is_what_it_was(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, found: Outcome, digest: str, said: str
) -> None:
    bench, trial = Bench(folder, monkeypatch, found), Trial()
    bench.digest = digest
    assert bench.go_on(trial) is UNTRAINED
    assert trial.user_attrs == {NOT_TRAINED: said}
    bench.trainer.tidy()
    assert bench.files() == []


@pytest.mark.parametrize("drop", [0.0, -0.001, 0.002])
def test_what_may_well_have_lost_nothing_is_not_trained(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, drop: float
) -> None:
    bench, trial = Bench(folder, monkeypatch), Trial()
    as_good = replace(UNTRAINED, metric_drop=drop, metric_drop_low=drop - 0.005)
    assert bench.go_on(trial, as_good) is as_good
    assert trial.user_attrs == {
        NOT_TRAINED: "what it lost is within one standard error, and too little to see a training win it back"
    }
    assert bench.trained == []


def test_what_promises_nothing_ends_with_its_untrained_figures(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Hopeless(Promise):
        def verdict(self, scores: Any, measured_low: float | None = None) -> str:
            assert measured_low == UNTRAINED.cost_ratio_low
            return "not trained: hopeless"

    bench, trial = Bench(folder, monkeypatch), Trial()
    found = bench.go_on(trial, watch=Hopeless(rivals=Rivals(), samples=9))
    assert isinstance(found, PartialOutcome)
    assert (found.divergence, found.metric_drop, found.samples) == (UNTRAINED.divergence, 0.8, 9)
    assert found.reason == "not trained: hopeless"
    assert bench.trained == []
    assert trial.user_attrs == {}


def test_an_unreliable_cost_costs_no_second_training(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, trial = Bench(folder, monkeypatch, UNRELIABLE, GOOD), Trial()
    assert bench.go_on(trial) is UNRELIABLE
    bench.trainer.tidy()
    assert bench.files() == ["aaaa.ready"], "what the second try goes on with"
    assert bench.go_on(Trial(6), again=True) == GOOD


@pytest.mark.parametrize(
    ("error", "in_training"), [(CompressionError("no finite numbers"), True), (MeasurementError("it died"), False)]
)
def test_what_goes_wrong_fails_the_trial_and_leaves_nothing_behind(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch, error: Exception, in_training: bool
) -> None:
    bench = Bench(folder, monkeypatch, error, error=error if in_training else None)
    with pytest.raises(type(error)):
        bench.go_on(Trial())
    bench.trainer.tidy()
    assert bench.files() == []


def test_a_training_is_left_off_when_the_time_is_up(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    bench, trial = Bench(folder, monkeypatch, steps=50), Trial()
    with pytest.raises(OutOfTimeError):
        bench.go_on(trial, until_s=20.0)
    assert trial.user_attrs == {}
    assert 20 <= bench.now_s < 30


def test_later_ones_begin_with_the_nearest_weights_those_of_earlier_sessions_too(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = Bench(folder, monkeypatch, GOOD)
    first.go_on(Trial())
    assert first.trained == [(("a" * 64, 3, 0, "d" * 64), None)]
    trials: Any = [
        SimpleNamespace(
            state=SimpleNamespace(name="COMPLETE"),
            user_attrs={
                OUTCOME: GOOD.to_attribute() | {"digest": "e" * 64},
                TRAINED_FROM: {"outcome": {"digest": "a" * 64}},
            },
        ),
        SimpleNamespace(state=SimpleNamespace(name="FAIL"), user_attrs={}),
    ]  # fmt: skip
    again = Bench(folder, monkeypatch, GOOD)
    again.trainer.begin(trials)
    assert again.files() == [f"{'e' * 64}.safetensors"], "what a killed session left of it is cleared away"
    again.go_on(Trial(6))
    assert again.trained[0][1] == f"{'e' * 64}.safetensors"
    elsewhere = Bench(RunFolder(folder.path / "other"), monkeypatch)
    with pytest.raises(SearchError, match=r"the weights of the 1 candidates .* go on in the folder in which"):
        elsewhere.trainer.begin(trials)
