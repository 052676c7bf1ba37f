"""Takes the figures of every policy of a small real network: `python -m benchmarks.tabulate --work DIR --table FILE`.

Some twenty minutes of one core for the first pass over all policies, four to ten for each further one, which makes
latencies more exact. It goes on where it was stopped, and several may work on one folder.
`benchmarks.sampler_efficiency` reads benchmarks/tabulated/table.npz.
"""

import argparse
import json
import os
import random
import tempfile
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import optuna

from benchmarks.subjects import Subject, prepare
from benchmarks.tabulated import workload as tabulated_workload
from benchmarks.tabulated.readings import Readings
from benchmarks.tabulated.records import Begun, begin
from benchmarks.tabulated.space import tabulated_space
from benchmarks.tabulated.summary import make_table
from benchmarks.tabulated.work_file import Entry, WorkFile
from search.space.space import SearchSpace

_CHECKED = 50
"""One candidate of so many is asked whether it runs as its policy says."""

_TOLD_S = 60.0
_PARTS = 4


def take_pass(number: int, subject: Subject, space: SearchSpace, readings: Readings, work: WorkFile) -> None:
    """Take every policy that this pass has not taken yet.

    A quarter of the space after the other, in the order of the enumeration: the first quarter leaves the last knobs
    alone, so that what is taken is soon whole for a smaller space. Within it each process has an order of its own.
    """
    chance = random.Random(os.getpid())
    starts = range(0, space.size, -(-space.size // _PARTS))
    parts = [range(start, min(start + starts.step, space.size)) for start in starts]
    order = [position for part in parts for position in chance.sample(part, len(part))]
    known = Known(number=number)
    known.learn(work.entries())
    started_s = told_s = time.monotonic()
    began_with = len(known.taken)
    for position in order:
        known.learn(work.fresh())
        if position in known.taken:
            continue
        work.add(take(position, number, subject, space, readings, known))
        if time.monotonic() - told_s >= _TOLD_S:
            told_s = time.monotonic()
            left_s = (told_s - started_s) / (len(known.taken) - began_with + 1) * (space.size - len(known.taken))
            done = f"pass {number}: {len(known.taken)} of {space.size} policies"
            print(f"{done}, {left_s / 60:.0f} minutes left", flush=True)


@dataclass(kw_only=True)
class Known:
    """What has been taken, by this process or another.

    Attributes:
        number: Of the pass.
        taken: Positions that it has taken.
        timed: Digests of the candidates that it has timed.
        scored: Digests of the candidates that any pass has scored.
    """

    number: int
    taken: set[int] = field(default_factory=set)
    timed: set[str] = field(default_factory=set)
    scored: set[str] = field(default_factory=set)

    def learn(self, entries: Iterable[Entry]) -> None:
        """Read what is new."""
        for entry in entries:
            if entry.score is not None:
                self.scored.add(entry.digest)
            if entry.taken_in == self.number:
                self.taken.add(entry.position)
                if entry.timing is not None:
                    self.timed.add(entry.digest)


def take(
    position: int,
    number: int,
    subject: Subject,
    space: SearchSpace,
    readings: Readings,
    known: Known,
) -> Entry:
    """Build one policy's candidate and take what is not known of its bytes."""
    policy = space.policy(space.params(position))
    started_s = time.thread_time()
    candidate = subject.compressor.build(policy)
    build_cpu_s = time.thread_time() - started_s
    if position % _CHECKED == 0 and candidate.digest not in known.scored:
        subject.check(candidate).require()
    return Entry(
        position=position,
        digest=candidate.digest,
        taken_in=number,
        timing=None if candidate.digest in known.timed else readings.time(candidate),
        score=None if number > 1 or candidate.digest in known.scored else readings.score(candidate),
        build_cpu_s=build_cpu_s,
    )


def begin_once(subject: Subject, space: SearchSpace, work: Path) -> Begun:
    """What a search knows before its first trial; kept in the folder."""
    path = work / "begun.json"
    if not path.is_file():
        with tempfile.TemporaryDirectory(dir=work) as scratch:
            begun = begin(subject, space, Path(scratch))
        path.write_text(json.dumps(asdict(begun)))
    return Begun(**json.loads(path.read_text()))


def main() -> None:
    """Take all passes, then write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, required=True, help="folder of what has been taken; made when missing")
    parser.add_argument(
        "--passes",
        type=int,
        nargs="*",
        default=range(1, 9),
        help="which passes to take; the first scores and times every policy, each other one times all once more",
    )
    parser.add_argument("--table", type=Path, help="where the table goes; leave out to take figures only")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    subject = prepare(tabulated_workload.__file__, formats=("fp32", "int8"))
    space = tabulated_space(subject)
    readings = Readings(subject)
    work = WorkFile(arguments.work / "readings.jsonl")
    for number in arguments.passes:
        take_pass(number, subject, space, readings, work)
    if arguments.table is not None:
        begun = begin_once(subject, space, arguments.work)
        make_table(subject, space, readings, work.entries(), begun).write(arguments.table)
        print(arguments.table)


if __name__ == "__main__":
    main()
