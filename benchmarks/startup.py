"""How long the command line takes to answer: `python -m benchmarks.startup`."""

import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure, parser, report

RUNS = 11


def main() -> None:
    """Time `paretune --help` in fresh processes; where a workload is named, `paretune layers` on it too."""
    arguments = parser(__doc__, quick="3 runs instead of 11").parse_args()
    runs = 3 if arguments.quick else RUNS
    figures = {"help": Figure(value=seconds_to_answer(["--help"], runs), unit="s", better="lower", asked=0.5)}
    if arguments.workload is not None:
        layers_s = seconds_to_answer(["layers", arguments.workload], runs)
        figures["layers"] = Figure(value=layers_s, unit="s", better="lower")
    report("startup", figures)


def seconds_to_answer(arguments: list[str], runs: int) -> float:
    """Median wall seconds of `paretune` with `arguments`."""
    seconds = []
    for _ in range(runs):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "search", *arguments], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
