"""Takes the figures of every policy of a small real network: `python -m benchmarks.tabulate --work DIR --table FILE`.

Some twenty minutes of one core for the first pass over all policies, ten for each further one, which makes latencies more
exact. It goes on where it was stopped; `benchmarks.sampler_efficiency` reads the table (benchmarks/tabulated/table.npz).
"""

import argparse
import random
import time
from pathlib import Path

from benchmarks.subjects import Subject, prepare
from benchmarks.tabulated import workload as tabulated_workload
from benchmarks.tabulated.readings import Readings
from benchmarks.tabulated.space import tabulated_space
from benchmarks.tabulated.work_file import Entry, WorkFile
from search.space import SearchSpace

_CHECKED = 50
"""One candidate of so many is asked whether it runs as its policy says."""

_TOLD_S = 60.0


def take_pass(number: int, subject: Subject, space: SearchSpace, readings: Readings, work: WorkFile) -> None:
    """Take every policy that this pass has not taken yet, in an order of the pass's own."""
    entries = list(work.entries())
    scored = {entry.digest for entry in entries if entry.score is not None}
    timed = {entry.digest for entry in entries if entry.taken_in == number and entry.timing is not None}
    done = {entry.position for entry in entries if entry.taken_in == number}
    order = list(range(space.size))
    random.Random(number).shuffle(order)
    waiting = [position for position in order if position not in done]
    started_s = told_s = time.monotonic()
    for count, position in enumerate(waiting, 1):
        entry = take(position, number, subject, space, readings, scored, timed)
        work.add(entry)
        scored.add(entry.digest)
        timed.add(entry.digest)
        if time.monotonic() - told_s >= _TOLD_S or count == len(waiting):
            told_s = time.monotonic()
            left_s = (told_s - started_s) / count * (len(waiting) - count)
            print(f"pass {number}: {count} of {len(waiting)} policies, {left_s / 60:.0f} minutes left", flush=True)


def take(
    position: int,
    number: int,
    subject: Subject,
    space: SearchSpace,
    readings: Readings,
    scored: set[str],
    timed: set[str],
) -> Entry:
    """Build one policy's candidate and take what is not known of its bytes."""
    policy = space.policy(space.params(position))
    started_s = time.thread_time()
    candidate = subject.compressor.build(policy)
    build_cpu_s = time.thread_time() - started_s
    if position % _CHECKED == 0 and candidate.digest not in scored:
        subject.check(candidate).require()
    return Entry(
        position=position,
        digest=candidate.digest,
        taken_in=number,
        timing=None if candidate.digest in timed else readings.time(candidate),
        score=None if number > 1 or candidate.digest in scored else readings.score(candidate),
        build_cpu_s=build_cpu_s,
    )


def main() -> None:
    """Take all passes, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of what has been taken; made when missing")
    parser.add_argument(
        "--passes",
        type=int,
        nargs="*",
        default=[1, 2],
        help="which passes to take; the first scores and times every policy, each other one times all once more",
    )
    parser.add_argument("--table", type=Path, help="where the table goes; leave out to take figures only")
    arguments = parser.parse_args()
    subject = prepare(tabulated_workload.__file__, formats=("fp32", "int8"))
    space = tabulated_space(subject)
    readings = Readings(subject)
    work = WorkFile(arguments.work / "readings.jsonl")
    for number in arguments.passes:
        take_pass(number, subject, space, readings, work)
    if arguments.table is not None:
        from benchmarks.tabulated.summary import make_table

        make_table(subject, space, readings, work.entries()).write(arguments.table)
        print(arguments.table)


if __name__ == "__main__":
    main()
