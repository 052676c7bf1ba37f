"""How much of a search's wall time is not inference: `python -m benchmarks.overhead`.

Runs the search in a process of its own, from the first import to the last file, and divides the seconds in which the
network under test ran (for accuracy and for latency) by the seconds that passed.
"""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, parser, report
from search.stages import INFERENCE_STAGES


def main() -> None:
    """Run one search and report where its time went."""
    options = parser(__doc__, quick="8 trials instead", workload="mnist-resnet")
    options.add_argument("--trials", type=int, default=40)
    arguments = options.parse_args()
    trials = 8 if arguments.quick else arguments.trials
    with tempfile.TemporaryDirectory(prefix="paretune-benchmark-") as scratch:
        out = Path(scratch) / "run"
        command = [
            sys.executable,
            "-m",
            "search",
            "search",
            arguments.workload,
            "--trials",
            str(trials),
            "--out",
            str(out),
        ]
        started = time.perf_counter()
        subprocess.run(command, check=True)
        wall_s = time.perf_counter() - started
        seconds = json.loads((out / "timings.json").read_text())["seconds"]
    inference_s = sum(seconds.get(stage, 0.0) for stage in INFERENCE_STAGES)
    figures = {
        "outside_inference": Figure(value=1 - inference_s / wall_s, unit="share", better="lower", asked=0.25),
        "wall": Figure(value=wall_s, unit="s", better="lower", asked=240.0 if trials == 40 else None),
    }
    seconds["outside our clock"] = max(0.0, wall_s - sum(seconds.values()))
    for stage, value in sorted(seconds.items(), key=lambda item: -item[1]):
        figures[f"stage: {stage}"] = Figure(value=value, unit="s", better="lower")
    report("overhead", figures)


if __name__ == "__main__":
    main()
