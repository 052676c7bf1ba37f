"""All samplers on one problem over several seeds: kept curve by curve, so that a stop loses one, and summed up."""

import json
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.samplers.picture import Bundle, draw
from benchmarks.samplers.problem import Problem
from benchmarks.samplers.race import FRONTIER, OURS, Curve, best_of, run

ASKED_TRIALS = 30.0
_MARKS = (1, 3, 10, 30, 100, 300, 1000)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared on a problem.

    Attributes:
        label: Of the figures; also of the files.
        make_problem: The problem of a seed.
        others: Samplers beside ours.
        seeds: How many searches each sampler makes.
        trials: Of each search.
        most_ask_s: Processor time that the proposals of one search may take.
        folder: Where curves are kept.
    """

    label: str
    make_problem: Callable[[int], Problem]
    others: Sequence[str]
    seeds: int
    trials: int
    most_ask_s: float
    folder: Path

    def curves(self) -> list[dict[str, Curve]]:
        """Curves by sampler, for each seed; those that are kept from an earlier call are not searched again."""
        found = []
        for seed in range(self.seeds):
            problem = self.make_problem(seed)
            found.append({name: self._curve(problem, name, seed) for name in (*self.others, *OURS)})
        return found

    def _curve(self, problem: Problem, name: str, seed: int) -> Curve:
        path = self.folder / self.label / f"{name} seed {seed} trials {self.trials}.json"
        if path.is_file():
            kept = json.loads(path.read_text())
            return Curve(**{**kept, "hypervolumes": tuple(kept["hypervolumes"])})
        curve = run(problem, name, seed, most=self.trials, most_ask_s=self.most_ask_s)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(curve)))
        partial.replace(path)
        capped = ", ended for its proposals' time" if curve.is_capped else ""
        count, last = len(curve.hypervolumes), curve.hypervolumes[-1]
        print(
            f"{self.label}, seed {seed}, {name}: {last:.4f} after {count}, asks {curve.ask_s:.0f} s{capped}", flush=True
        )
        return curve

    def figures(self, runs: Sequence[dict[str, Curve]]) -> dict[str, Figure]:
        """Medians over the seeds."""
        best = [best_of(curves, self.others) for curves in runs]
        found: dict[str, Figure] = {}
        for name in OURS:
            needed = [curves[name].trials_until(target) for curves, target in zip(runs, best, strict=True)]
            is_asked = name == FRONTIER and self.trials >= 300
            found[f"{self.label}: {name}"] = Figure(
                value=statistics.median(needed),
                unit="trials",
                better="lower",
                asked=ASKED_TRIALS if is_asked else None,
            )
            for trials in sorted({30, self.trials}):
                found[f"{self.label}: {name}, after {trials}"] = Figure(
                    value=statistics.median(c[name].after(trials) / t for c, t in zip(runs, best, strict=True)),
                    unit="× best",
                    better="higher",
                )
        for name in self.others:
            found[f"{self.label}: {name}, after {self._fewest(runs, name)}"] = Figure(
                value=statistics.median(c[name].hypervolumes[-1] / t for c, t in zip(runs, best, strict=True)),
                unit="× best",
                better="higher",
            )
        return found

    @staticmethod
    def _fewest(runs: Sequence[dict[str, Curve]], name: str) -> int:
        return min(len(curves[name].hypervolumes) for curves in runs)

    def picture(self, runs: Sequence[dict[str, Curve]], whole: Sequence[float], *, title: str, y_label: str) -> Path:
        """Draw the curves as shares of `whole`, one hypervolume per seed."""
        bundles = []
        for name in (*self.others, *reversed(OURS)):
            length = self._fewest(runs, name)
            rows = [
                np.array(curves[name].hypervolumes[:length]) / share for curves, share in zip(runs, whole, strict=True)
            ]
            bundles.append(Bundle(name=name, x=np.arange(1.0, length + 1), curves=np.stack(rows)))
        path = self.folder / f"{self.label}.png"
        marks = [mark for mark in _MARKS if mark <= self.trials]
        draw(bundles, path, title=title, x_label="trials", y_label=y_label, marks=marks)
        return path
