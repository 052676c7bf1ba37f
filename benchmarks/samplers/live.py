"""Searches of a real network as users make them, through the search's own front door; a night's work.

What counts are the figures that the searches saw: points are not confirmed, which would take as long again. Luck
flatters whoever tries more, and that is never ours. Seconds are those of the trials' own timestamps, from the beginning
of a search's first session: preparation, and what ours finds out before its first trial, are in them, and pauses
between sessions are not.
"""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from benchmarks.samplers.race import alone, sampler_of
from search.account.active_time import ActiveTime
from search.errors import SearchError
from search.folder.run_folder import RunFolder
from search.job import run
from search.pareto import Pair, front, hypervolume
from search.progress import Listener, Progress
from search.space.space import SearchSpace, Start
from search.study.study import load_run_study
from search.study.trials import OUTCOME, is_finished

if TYPE_CHECKING:
    import optuna

REFERENCE_RATIO = 1.0


@dataclass(frozen=True, kw_only=True)
class Step:
    """What had been found when a trial ended.

    Attributes:
        seconds: Since the search began.
        hypervolume: Of what was tried so far.
    """

    seconds: float
    hypervolume: float


@dataclass(frozen=True, kw_only=True)
class LiveSearch:
    """One search in one folder.

    Attributes:
        workload: What is searched: a built-in's name, or a file.
        target: A profile's name, or a file.
        sampler: By its name, as `benchmarks.samplers.race` knows it.
        seed: The sampler's.
        trials: When it ends at the latest.
        folder: The run's.
        floor: Where gain begins, in the metric's unit.
    """

    workload: str
    target: str
    sampler: str
    seed: int
    trials: int
    folder: Path
    floor: float

    def steps(self) -> list[Step]:
        """After each finished trial so far."""
        folder = RunFolder(self.folder)
        if not folder.study_path.is_file():
            return []
        with load_run_study(folder) as study:
            return self._steps(study)

    def _steps(self, study: "optuna.Study") -> list[Step]:
        trials = [trial for trial in study.get_trials(deepcopy=False) if is_finished(trial)]
        if not trials:
            return []
        folder = RunFolder(self.folder)
        starts = [datetime.fromisoformat(session["started_at"]) for session in folder.read_config()["sessions"]]
        spans = {trial.number: _span(trial) for trial in trials}
        clock = ActiveTime.of(list(spans.values()), starts)
        found: list[Pair] = []
        steps = []
        for trial in sorted(trials, key=lambda trial: spans[trial.number][1]):
            if trial.state.name == "COMPLETE":
                outcome = trial.user_attrs[OUTCOME]
                found.append((float(outcome["latency_ratio"]), float(outcome["metric"])))
                found = [found[position] for position in front(found)]
            seconds = clock.seconds_at(spans[trial.number][1])
            steps.append(Step(seconds=seconds, hypervolume=hypervolume(found, (REFERENCE_RATIO, self.floor))))
        return steps

    def go_on(self, target: float = math.inf, told: Callable[[str], None] = print) -> list[Step]:
        """Search until there are enough trials or the hypervolume is at `target`, from wherever it was stopped."""
        if not self._is_over(self.steps(), target):
            told(f"{self.folder.name}: goes on after {len(self.steps())} trials")
            with contextlib.suppress(_EnoughError), self._beginning(), contextlib.ExitStack() as stack:
                run(
                    self.workload,
                    self.target,
                    out=self.folder,
                    trials=self.trials,
                    sampler=sampler_of(self.sampler),
                    seed=self.seed,
                    listener=self._listener(target, stack),
                )
        return self.steps()

    def _listener(self, target: float, stack: contextlib.ExitStack) -> Listener:
        """Ends a search that has come to its end; looking takes the search's time, so it is done with an open study."""
        opened: list[optuna.Study] = []

        def listen(progress: Progress) -> None:
            if progress.stage == "confirmation":
                raise _EnoughError
            if progress.stage == "search" and target < math.inf:
                if not opened:
                    opened.append(stack.enter_context(load_run_study(RunFolder(self.folder))))
                if self._is_over(self._steps(opened[0]), target):
                    raise _EnoughError

        return listen

    def _beginning(self) -> AbstractContextManager[None]:
        return _begins_with_fp32() if alone(self.sampler) else nullcontext()

    def _is_over(self, steps: Sequence[Step], target: float) -> bool:
        return len(steps) >= self.trials or bool(steps and steps[-1].hypervolume >= target)


@contextlib.contextmanager
def _begins_with_fp32() -> Iterator[None]:
    """Searches that are run here leave out what paretune would try first, FP32 excepted: no option for users."""
    whole = SearchSpace.starts

    def fp32_only(space: SearchSpace) -> tuple[Start, ...]:
        return whole(space)[:1]

    with mock.patch.object(SearchSpace, "starts", fp32_only):
        yield


class _EnoughError(Exception):
    """Ends a search from its listener: every finished trial is in the study by then."""


def _span(trial: "optuna.trial.FrozenTrial") -> tuple[datetime, datetime]:
    """When a finished trial began and ended; Optuna writes the local time without its zone."""
    begin, end = trial.datetime_start, trial.datetime_complete
    if begin is None or end is None:
        raise SearchError(f"trial {trial.number} must have begun and ended, got {begin} and {end}")
    return begin.astimezone(), end.astimezone()
