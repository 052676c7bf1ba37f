"""Any number of workers on one study: nothing twice, nothing lost, whoever dies."""

from __future__ import annotations

import dataclasses
import importlib.util
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest

import search.study.liveness
import search.study.storage
from search.study.address import StudyAddress
from search.study.asking import ask_unseen
from search.study.liveness import WORKER, Heart, WorkerId
from search.study.seen import Seen, resume
from search.study.study import load_study, open_study
from search.study.trials import LABEL, OUTCOME, YIELDED_TO, Outcome, count_finished, is_finished, is_unfinished

HERE = Path(__file__).parent
Start = Callable[..., "subprocess.Popen[str]"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]


def _load_worker() -> Any:
    spec = importlib.util.spec_from_file_location("asking_worker", HERE / "asking_worker.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


asking_worker = _load_worker()
SPACE = asking_worker.SPACE


def finish(study: optuna.Study, trial: optuna.Trial) -> None:
    outcome = Outcome(digest=f"of {trial.params}", **asking_worker.FIGURES)
    trial.set_user_attr(OUTCOME, outcome.to_attribute())
    study.tell(trial, outcome.values)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "study.db"


@pytest.fixture
def study(path: Path) -> Iterator[optuna.Study]:
    with open_study(path, "random", 0) as study:
        yield study


def other_worker(study: optuna.Study, **changes: object) -> Seen:
    """A second worker's view: one of another machine, unless said otherwise."""
    seen = resume(study, SPACE, joins=True)
    seen.here = dataclasses.replace(seen.here, **{"machine": "elsewhere", **changes})  # type: ignore[arg-type]
    return seen


def ask(study: optuna.Study, seen: Seen) -> optuna.Trial:
    seen.refresh(study)
    asked = ask_unseen(study, SPACE, seen, 0)
    assert asked is not None
    return asked[0]


def test_two_that_start_together_share_the_starting_points(study: optuna.Study) -> None:
    mine, others = resume(study, SPACE), other_worker(study)
    labels = [ask(study, seen).user_attrs[LABEL] for seen in (mine, others)]
    assert labels == [start.label for start in SPACE.starts()]
    third = ask(study, mine)
    assert LABEL not in third.user_attrs
    others.refresh(study)
    assert (mine.elsewhere, others.elsewhere) == (1, 2)


class Stubborn(optuna.samplers.RandomSampler):
    def __init__(self, params: dict[str, Any]) -> None:
        super().__init__(seed=0)
        self._params = params

    def sample_independent(self, _study: object, _trial: object, name: str, _distribution: object) -> Any:
        return self._params[name]


def test_a_policy_that_two_come_upon_belongs_to_the_lower_number(study: optuna.Study) -> None:
    mine, others = resume(study, SPACE), other_worker(study)
    first = ask(study, others)
    mine.planned.clear()
    study.sampler = Stubborn(first.params)
    second = ask(study, mine)
    yielded = [trial for trial in study.trials if YIELDED_TO in trial.user_attrs]
    assert [trial.user_attrs[YIELDED_TO] for trial in yielded] == [first.number] * len(yielded)
    assert yielded
    assert second.params != first.params
    assert not any(is_finished(trial) or is_unfinished(trial) for trial in yielded)


def test_who_still_chooses_is_waited_for_and_then_no_more(study: optuna.Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.study.asking._CHOOSING_S", 0.3)
    seen = resume(study, SPACE)
    for _ in SPACE.starts():
        finish(study, ask(study, seen))
    choosing = study.ask()  # another's, killed before its first parameter
    started = time.monotonic()
    ask(study, seen)
    assert time.monotonic() - started >= 0.3
    assert seen.lost == {choosing.number}
    assert ask(study, seen).number > choosing.number


def test_what_a_dead_worker_of_this_machine_was_at_is_tried_again_at_once(study: optuna.Study) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as process:
        process.wait()
    mine = resume(study, SPACE)
    dead = other_worker(study, machine=mine.here.machine, pid=process.pid)
    left = ask(study, dead)
    assert ask(study, mine).params == left.params
    assert [trial.state.name for trial in study.trials] == ["FAIL", "RUNNING"]
    assert is_unfinished(study.trials[left.number])


def test_what_a_living_worker_is_at_stays_whoever_resumes(study: optuna.Study) -> None:
    left = ask(study, other_worker(study))
    seen = resume(study, SPACE)
    assert study.trials[left.number].state.name == "RUNNING"
    assert ask(study, seen).params != left.params


def test_figures_that_a_dead_worker_had_written_count(study: optuna.Study) -> None:
    mine = resume(study, SPACE)
    dead = other_worker(study, machine=mine.here.machine, pid=2**22 + 1)
    trial = ask(study, dead)
    outcome = Outcome(digest="d", **asking_worker.FIGURES)
    trial.set_user_attr(OUTCOME, outcome.to_attribute())
    mine.refresh(study)
    mine.refresh(study)
    assert study.trials[trial.number].state.name == "COMPLETE"
    assert mine.finished == 1
    assert mine.outcomes == [outcome]


def test_a_worker_elsewhere_that_falls_silent_is_given_up(
    path: Path, study: optuna.Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.study.liveness, "HEARTBEAT_S", 1)
    monkeypatch.setattr(search.study.storage, "HEARTBEAT_S", 1)
    monkeypatch.setattr(search.study.storage, "GRACE_S", 1)
    with Heart(StudyAddress.in_file(path)) as heart:
        others = other_worker(study)
        silent = ask(study, others)
        with heart.beating(silent.number):
            pass
        alive = ask(study, others)
        mine = resume(study, SPACE, end_stale=heart.end_stale)
        with heart.beating(alive.number):
            deadline = time.monotonic() + 60
            while study.trials[silent.number].state.name == "RUNNING" and time.monotonic() < deadline:
                time.sleep(0.2)
                mine.refresh(study)
            assert study.trials[alive.number].state.name == "RUNNING"
        assert is_unfinished(study.trials[silent.number])
        assert ask(study, mine).params == silent.params


def test_a_trial_that_says_nothing_of_its_worker_is_left_to_the_owner(study: optuna.Study) -> None:
    trial = study.ask()
    resume(study, SPACE, joins=True)
    assert study.trials[trial.number].state.name == "RUNNING"
    resume(study, SPACE)
    assert study.trials[trial.number].state.name == "FAIL"


def test_a_process_is_known_as_long_as_it_lives() -> None:
    here = WorkerId.current()
    assert WorkerId.of({WORKER: here.to_attribute()}) == here
    assert not here.is_gone(here)
    assert dataclasses.replace(here, since=here.since - 10).is_gone(here)  # its number was given again
    assert not dataclasses.replace(here, since=0.0, machine="elsewhere").is_gone(here)


@pytest.mark.parametrize(("where", "sampler"), [("server", "random"), ("file", "nsga2")])
def test_three_processes_try_every_policy_once_though_one_is_killed(
    request: pytest.FixtureRequest, tmp_path: Path, sampler: str, where: str
) -> None:
    url = request.getfixturevalue("postgres").url if where == "server" else f"sqlite:///{tmp_path / 'shared.db'}"
    address = StudyAddress.parse(url, "shared")
    with open_study(address, sampler, 0):
        pass
    command = [sys.executable, str(HERE / "asking_worker.py"), url, sampler]
    victim = subprocess.Popen([*command, "9", "600"], stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    number = int(victim.stdout.readline())  # it is at this trial, and will be for ten minutes
    workers = [subprocess.Popen([*command, str(seed), "0.05"], stdout=subprocess.DEVNULL) for seed in range(2)]
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert [worker.wait(timeout=200) for worker in workers] == [0, 0]
    with load_study(address) as study:
        trials = study.trials
    assert is_unfinished(trials[number])
    tried = Counter(tuple(sorted(trial.params.items())) for trial in trials if trial.state.name == "COMPLETE")
    assert len(tried) == SPACE.size == count_finished(trials)
    assert set(tried.values()) == {1}
    assert tuple(sorted(trials[number].params.items())) in tried
    assert not [trial for trial in trials if trial.state.name == "RUNNING"]
