"""How long the command line takes to answer: `python -m benchmarks.startup`."""

import argparse
import statistics
import subprocess
import sys
import time

from benchmarks.figures import Figure, report

RUNS = 11


def main() -> None:
    """Time `paretune --help` in fresh processes."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-m", "search", "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - started)
    report("startup", {"help": Figure(value=statistics.median(seconds), unit="s", better="lower", asked=0.5)})


if __name__ == "__main__":
    main()
