"""One search of a comparison: made once, kept in a file of its own, and made beside others where there are cores."""

import json
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import optuna

from benchmarks.samplers.problem import Problem
from benchmarks.samplers.race import Race, race

_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A search by one sampler with one seed.

    Attributes:
        label: Of the comparison that it belongs to; also of its folder.
        make_problem: The problem of a seed; what processes can send one another, where heats are made side by side.
        sampler: By its name.
        seed: Of problem and search.
        trials: How many at most.
        most_ask_s: Processor time that its proposals may take.
        folder: Of all comparisons.
    """

    label: str
    make_problem: Callable[[int], Problem]
    sampler: str
    seed: int
    trials: int
    most_ask_s: float
    folder: Path

    @property
    def path(self) -> Path:
        """Where it is kept."""
        return self.folder / self.label / f"{self.sampler} seed {self.seed} trials {self.trials}.json"

    def kept(self) -> Race | None:
        """The search as an earlier call kept it; None where none did."""
        if not self.path.is_file():
            return None
        kept = json.loads(self.path.read_text())
        return Race(**{**kept, "tried": tuple((cost, gain) for cost, gain in kept["tried"])})

    def run(self) -> Race:
        """The search, made now unless it is kept."""
        kept = self.kept()
        if kept is not None:
            return kept
        problem = self.make_problem(self.seed)
        found = race(problem, self.sampler, self.seed, most=self.trials, most_ask_s=self.most_ask_s)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(found)))
        partial.replace(self.path)
        capped = ", ended for its proposals' time" if found.is_capped else ""
        last, count = found.hypervolumes(problem.reference)[-1], len(found.tried)
        told = f"{self.label}, seed {self.seed}, {self.sampler}: {last:.4f} after {count}, asks {found.ask_s:.0f} s"
        print(f"{told}{capped}", flush=True)
        return found


def run_side_by_side(heats: Sequence[Heat], jobs: int) -> None:
    """Make all heats that are not kept, in their order, up to `jobs` of them at a time in processes of one thread each.

    Seconds of proposals are processor time: heats beside one another share caches and memory, hardly more.
    """
    waiting = [heat for heat in heats if heat.kept() is None]
    if not waiting:
        return
    with _one_thread_each():
        # Fresh processes: what a fork would copy of threads and of random states is not its own.
        spawning = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(
            min(jobs, len(waiting)),
            mp_context=spawning,
            initializer=optuna.logging.set_verbosity,
            initargs=(optuna.logging.WARNING,),
        ) as pool:
            for made in [pool.submit(_run, heat) for heat in waiting]:
                made.result()


def _run(heat: Heat) -> None:
    heat.run()  # what it found is in its file


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started meanwhile compute with one thread: libraries read this when they are loaded."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
