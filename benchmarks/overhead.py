"""How much of a search's wall time is not inference: `python -m benchmarks.overhead`.

Runs the search in a process of its own, from the first import to the last file, and divides what was not inference by
the seconds that passed. Inference is the network under test at work, as the run itself counts it
(`search.stages.INFERENCE_STAGES`): validation runs, timed runs of candidate and baseline with their warm-ups, and the
runs of a sweep of single layers before the search. Everything else is ours: imports, export, calibration, channel
orders, building, the check of every candidate with the runs of that, sessions and workers that start, scores, the
sampler, the storage, confirmation's bookkeeping, the report.

Most of it comes once per run, or once per layer and choice. So two shares are asked for: that of the whole run, a
demo's (40 trials), and that of a trial once the run is on its way, from the 20th on, which is a night's.
"""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, parser, report
from search.folder.timings import STEADY_FROM_TRIAL
from search.stages import INFERENCE_STAGES

_TRIALS, _QUICK_TRIALS = 40, 8
_ASKED_SHARE = 0.10


def main() -> None:
    """Run one search and report where its time went."""
    options = parser(__doc__, quick=f"{_QUICK_TRIALS} trials instead", workload="mnist-resnet")
    options.add_argument("--trials", type=int, default=_TRIALS)
    options.add_argument("--sampler", help="of the search; its own default where none is given")
    arguments = options.parse_args()
    trials = _QUICK_TRIALS if arguments.quick else arguments.trials
    chosen = [] if arguments.sampler is None else ["--sampler", arguments.sampler]
    with tempfile.TemporaryDirectory(prefix="paretune-benchmark-") as scratch:
        out = Path(scratch) / "run"
        searching = ["search", arguments.workload, "--trials", str(trials), *chosen, "--out", str(out)]
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "search", *searching], check=True)
        wall_s = time.perf_counter() - started
        timings = json.loads((out / "timings.json").read_text())
    report("overhead", {**figures_of_run(timings["seconds"], wall_s, trials), **figures_of_trials(timings)})


def figures_of_run(seconds: Mapping[str, float], wall_s: float, trials: int) -> dict[str, Figure]:
    """Of a whole run: the share outside inference, and every stage, the longest first.

    Args:
        seconds: By stage, as the run counted them.
        wall_s: All seconds, those before and after the run's own clock included.
        trials: How many were asked for.
    """
    by_stage = {**seconds, "outside our clock": max(0.0, wall_s - sum(seconds.values()))}
    wall_limit_s = 240.0 if trials == _TRIALS else None
    return {
        "outside_inference": Figure(
            value=1.0 - inference_of(seconds) / wall_s, unit="share", better="lower", asked=_ASKED_SHARE
        ),
        "wall": Figure(value=wall_s, unit="s", better="lower", asked=wall_limit_s),
        **_by_stage(by_stage, "stage", per=1.0),
    }


def figures_of_trials(timings: Mapping[str, Any]) -> dict[str, Figure]:
    """Of the trials from `STEADY_FROM_TRIAL` on: what one takes outside inference; empty where a run has too few.

    Args:
        timings: The run's `timings.json`.
    """
    if "steady" not in timings:
        return {}
    first, last = timings["steady"]
    count = last["trials"] - first["trials"]
    if count < 1:
        return {}
    seconds = {name: value - first["seconds"].get(name, 0.0) for name, value in last["seconds"].items()}
    whole, inference = sum(seconds.values()), inference_of(seconds)
    # What comes once: all that is outside inference, less what the trials would have taken at their steady pace.
    once_s = sum(timings["seconds"].values()) - inference_of(timings["seconds"])
    once_s -= (whole - inference) / count * last["trials"]
    return {
        "steady_trials": Figure(value=count, unit="trials", better="higher"),
        "steady_outside_inference": Figure(
            value=1.0 - inference / whole, unit="share", better="lower", asked=_ASKED_SHARE
        ),
        "steady_overhead_per_trial": Figure(value=(whole - inference) / count * 1e3, unit="ms", better="lower"),
        "steady_inference_per_trial": Figure(value=inference / count * 1e3, unit="ms", better="lower"),
        "once_per_run": Figure(value=max(0.0, once_s), unit="s", better="lower"),
        **_by_stage(seconds, f"per trial from #{STEADY_FROM_TRIAL}", per=count / 1e3),
    }


def inference_of(seconds: Mapping[str, float]) -> float:
    """The seconds in which the network under test ran."""
    return sum(seconds.get(stage, 0.0) for stage in INFERENCE_STAGES)


def _by_stage(seconds: Mapping[str, float], label: str, *, per: float) -> dict[str, Figure]:
    """The longest first; seconds where `per` is 1, milliseconds where it is a thousandth of a count."""
    unit = "s" if per == 1.0 else "ms"
    ordered = sorted(seconds.items(), key=lambda item: -item[1])
    return {f"{label}: {stage}": Figure(value=value / per, unit=unit, better="lower") for stage, value in ordered}


if __name__ == "__main__":
    main()
