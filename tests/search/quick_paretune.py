"""The command line in a process of its own, with short measurements; everything else is real."""

import sys

import deploy.remeasure
import latency.grading
import search.trial.evaluate
from latency import Effort

QUICK = Effort(target_half_width=1.0, seconds_per_process=0.03, max_passes=1, max_seconds=5.0)


def shorten() -> None:
    """Take few samples and believe them: a busy machine must not decide a test."""
    search.trial.evaluate.SEARCH = search.trial.evaluate.RETRY = search.trial.evaluate.CONFIRM = (
        deploy.remeasure.EFFORT
    ) = QUICK
    latency.grading._WIDEST = 10.0


if __name__ == "__main__":
    shorten()
    from search.cli import main

    main(sys.argv[1:])
