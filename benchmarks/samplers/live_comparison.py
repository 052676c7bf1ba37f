"""All samplers on a real network, live: ours until it has what the best of the others ends with."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from benchmarks.figures import Figure
from benchmarks.samplers.comparison import ASKED_OF, ASKED_TRIALS
from benchmarks.samplers.live import LiveSearch, Step
from benchmarks.samplers.picture import Bundle, draw
from benchmarks.samplers.race import title_of

OURS = "frontier"
ASKED_SHARE_OF_TIME = 0.2
_MARKS = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000, 30_000, 100_000)
_SECONDS = 300
"""Points of a curve over seconds."""

Runs = Sequence[Mapping[str, Sequence[Step]]]
"""By sampler, what had been found after each trial; for each seed."""


@dataclass(frozen=True, kw_only=True)
class LiveComparison:
    """Which searches are made.

    Attributes:
        workload: A built-in's name, or a file.
        target: A profile's name, or a file.
        others: Samplers beside ours.
        seeds: How many searches each sampler makes.
        trials: Of each search; ours may end earlier.
        floor: Where gain begins, in the metric's unit.
        folder: Where runs are kept; the same call goes on there.
    """

    workload: str
    target: str
    others: Sequence[str]
    seeds: int
    trials: int
    floor: float
    folder: Path

    @property
    def title(self) -> str:
        """What its figures and pictures are called."""
        return title_of("live", self.others)

    def runs(self) -> Runs:
        """Search what is not there yet."""
        found: list[dict[str, Sequence[Step]]] = []
        for seed in range(self.seeds):
            steps: dict[str, Sequence[Step]] = {name: self._search(name, seed).go_on() for name in self.others}
            target = max(each[-1].hypervolume for each in steps.values())
            steps[OURS] = self._search(OURS, seed).go_on(target)
            found.append(steps)
            document = [{name: [asdict(step) for step in each] for name, each in run.items()} for run in found]
            (self.folder / f"{self.title}.json").write_text(json.dumps(document))
        return found

    def _search(self, sampler: str, seed: int) -> LiveSearch:
        return LiveSearch(
            workload=self.workload,
            target=self.target,
            sampler=sampler,
            seed=seed,
            trials=self.trials,
            folder=self.folder / f"live {Path(self.workload).stem} {sampler} seed {seed}",
            floor=self.floor,
        )

    def figures(self, runs: Runs) -> dict[str, Figure]:
        """Medians over the seeds; a search that never gets there counts as one trial more than it made, and as 1."""
        is_asked = self.trials >= ASKED_OF
        trials, shares = [], []
        for run in runs:
            best = self._best(run)
            reached = [step.hypervolume >= best[-1].hypervolume for step in run[OURS]]
            at = reached.index(True) if True in reached else len(reached)
            trials.append(at + 1)
            shares.append(run[OURS][at].seconds / best[-1].seconds if at < len(reached) else 1.0)
        return {
            f"{self.title}: {OURS}": Figure(
                value=statistics.median(trials),
                unit="trials",
                better="lower",
                asked=ASKED_TRIALS if is_asked else None,
            ),
            f"{self.title}: {OURS}, share of the best other's time": Figure(
                value=statistics.median(shares),
                unit="share",
                better="lower",
                asked=ASKED_SHARE_OF_TIME if is_asked else None,
            ),
            f"{self.title}: seconds of the best other": Figure(
                value=statistics.median(self._best(run)[-1].seconds for run in runs), unit="s", better="lower"
            ),
        }

    def _best(self, run: Mapping[str, Sequence[Step]]) -> Sequence[Step]:
        return max((run[name] for name in self.others), key=lambda steps: steps[-1].hypervolume)

    def pictures(self, runs: Runs) -> list[Path]:
        """Draw the curves, over trials and over seconds, as shares of what the best other ends with."""
        names = [*self.others, OURS]
        best = [self._best(run)[-1].hypervolume for run in runs]
        paths = []
        for axis in ("trials", "seconds"):
            bundles = [_bundle(name, axis, [run[name] for run in runs], best) for name in names]
            longest = max(bundle.x[-1] for bundle in bundles)
            first = min(bundle.x[0] for bundle in bundles)
            path = self.folder / f"{self.title} {axis}.png"
            draw(
                bundles,
                path,
                title=f"{Path(self.workload).stem} on {self.target}, {self.trials} trials, search figures",
                x_label="trials" if axis == "trials" else "seconds, preparation included",
                y_label=f"hypervolume over that of the best other after {self.trials}",
                marks=[mark for mark in _MARKS if first <= mark <= longest],
            )
            paths.append(path)
        return paths


def _bundle(name: str, axis: str, searches: Sequence[Sequence[Step]], best: Sequence[float]) -> Bundle:
    """One sampler's curves at common places: what had been found by then, by searches that had ended too."""
    if axis == "trials":
        x = np.arange(1.0, max(map(len, searches)) + 1)
        places = [np.arange(1.0, len(steps) + 1) for steps in searches]
    else:
        places = [np.array([step.seconds for step in steps]) for steps in searches]
        x = np.geomspace(max(place[0] for place in places), max(place[-1] for place in places), _SECONDS)
    rows = []
    for place, steps, share in zip(places, searches, best, strict=True):
        values = np.array([step.hypervolume for step in steps]) / share
        at = np.searchsorted(place, x * (1 + 1e-9), side="right") - 1
        rows.append(values[np.clip(at, 0, None)])
    return Bundle(name=name, x=x, curves=np.stack(rows))
