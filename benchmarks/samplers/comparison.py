"""All samplers on one problem over several seeds, and what their searches come to."""

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.samplers.heat import Heat
from benchmarks.samplers.picture import Bundle, draw
from benchmarks.samplers.problem import Problem
from benchmarks.samplers.race import FRONTIER, OURS, Race, sampler_of, title_of, trials_until
from search.pareto import Pair

ASKED_TRIALS = 30.0
ASKED_OF = 300
"""Our sampler is asked to need so many trials for what the best of the others reaches after these."""

# A Gaussian process takes minutes for what others do in seconds.
_SLOW = "gp"

_MARKS = (1, 3, 10, 30, 100, 300, 1000)

Curves = Mapping[str, Sequence[float]]
"""By sampler, the hypervolume after each trial."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What is compared on a problem.

    Attributes:
        label: Of the problem; also of the searches' folder.
        make_problem: The problem of a seed.
        others: Samplers beside ours.
        seeds: How many searches each sampler makes.
        trials: Of each search.
        most_ask_s: Processor time that the proposals of one search may take.
        folder: Where searches are kept.
    """

    label: str
    make_problem: Callable[[int], Problem]
    others: Sequence[str]
    seeds: int
    trials: int
    most_ask_s: float
    folder: Path

    @property
    def title(self) -> str:
        """What its figures and pictures are called."""
        return title_of(self.label, self.others)

    def heats(self) -> list[Heat]:
        """All searches: the slowest sampler's first, which shortens the end of all, what only informs last."""
        return [
            Heat(
                label=self.label,
                make_problem=self.make_problem,
                sampler=name,
                seed=seed,
                trials=self.trials,
                most_ask_s=self.most_ask_s,
                folder=self.folder,
            )
            for name in sorted((FRONTIER, *self.others, *OURS[1:]), key=lambda name: sampler_of(name) != _SLOW)
            for seed in range(self.seeds)
        ]

    def races(self) -> list[dict[str, Race]]:
        """Searches by sampler, for each seed; those that an earlier call kept are not made again."""
        found: list[dict[str, Race]] = [{} for _ in range(self.seeds)]
        for heat in self.heats():
            found[heat.seed][heat.sampler] = heat.run()
        names = (*self.others, *OURS)
        return [{name: by_name[name] for name in names} for by_name in found]


def curves_of(races: Sequence[Mapping[str, Race]], reference: Pair) -> list[Curves]:
    """Hypervolumes over trials, for each seed."""
    return [{name: each.hypervolumes(reference) for name, each in by_name.items()} for by_name in races]


def bests_of(runs: Sequence[Curves]) -> list[float]:
    """What the best of the other samplers ends with, for each seed."""
    return [max(curve[-1] for name, curve in curves.items() if name not in OURS) for curves in runs]


def figures_of(
    label: str, runs: Sequence[Curves], *, extra_trials: float = 0.0, is_asked: bool = True
) -> dict[str, Figure]:
    """Medians over the seeds.

    Args:
        label: What they are called.
        runs: Curves for each seed.
        extra_trials: What our sampler finds out before its first trial costs, in trials.
        is_asked: Whether anything was asked for here.
    """
    best = bests_of(runs)
    found: dict[str, Figure] = {}
    most = max(len(curve) for curve in runs[0].values())
    for name in OURS:
        needed = statistics.median(
            trials_until(curves[name], target) for curves, target in zip(runs, best, strict=True)
        )
        asked = ASKED_TRIALS if is_asked and name == FRONTIER and most >= ASKED_OF else None
        found[f"{label}: {name}"] = Figure(value=needed, unit="trials", better="lower", asked=asked)
        if name == FRONTIER and extra_trials:
            found[f"{label}: {name}, its head start counted"] = Figure(
                value=needed + extra_trials, unit="trials", better="lower", asked=asked
            )
        for trials in sorted({min(30, most), most}):
            found[f"{label}: {name}, after {trials}"] = _gain(
                [after(curves[name], trials) / target for curves, target in zip(runs, best, strict=True)]
            )
    for name in (name for name in runs[0] if name not in OURS):
        trials = min(len(curves[name]) for curves in runs)
        found[f"{label}: {name}, after {trials}"] = _gain(
            [curves[name][-1] / target for curves, target in zip(runs, best, strict=True)]
        )
    return found


def _gain(shares: Sequence[float]) -> Figure:
    return Figure(value=statistics.median(shares), unit="× best", better="higher")


def after(curve: Sequence[float], trials: int) -> float:
    """The hypervolume after so many trials, or after all where there are fewer."""
    return curve[min(trials, len(curve)) - 1]


def draw_curves(runs: Sequence[Curves], whole: Sequence[float], path: Path, *, title: str, y_label: str) -> None:
    """Draw the curves as shares of `whole`, one hypervolume per seed."""
    bundles = []
    ours = [name for name in reversed(OURS) if name in runs[0]]
    for name in (*(name for name in runs[0] if name not in OURS), *ours):
        length = min(len(curves[name]) for curves in runs)
        rows = [np.array(curves[name][:length]) / share for curves, share in zip(runs, whole, strict=True)]
        bundles.append(Bundle(name=name, x=np.arange(1.0, length + 1), curves=np.stack(rows)))
    longest = max(len(bundle.x) for bundle in bundles)
    marks = [mark for mark in _MARKS if mark <= longest]
    draw(bundles, path, title=title, x_label="trials", y_label=y_label, marks=marks)
