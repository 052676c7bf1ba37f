"""What a search of the tabulated network knows before its first trial, and what that cost it against a trial."""

import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.subjects import Subject
from benchmarks.tabulated.table import TABLE, study_of
from search.folder.run_folder import RunFolder
from search.job import run
from search.layers.graph import record_layer_graph
from search.layers.neighbours import find_layer_graph
from search.outlook import Budget
from search.prepare import Prepared
from search.progress import silent
from search.space.space import SearchSpace
from search.stages import StageClock
from search.study.space_record import adopt_space
from search.study.study import load_study
from search.sweep.head_start import HeadStart

_TRIALS = 16


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A study's records before its first trial.

    Attributes:
        records: User attributes: space, layer graph, effects of single choices, layers' times.
        head_start_s: Seconds that the last two took.
        trial_s: Seconds of a trial of the same network, with the machine as it was.
    """

    records: dict[str, Any]
    head_start_s: float
    trial_s: float


def begin(subject: Subject, space: SearchSpace, folder: Path) -> Begun:
    """Do what a search does before its first trial, then take some trials' time.

    Args:
        subject: The network.
        space: What would be searched.
        folder: Scratch; empty.
    """
    study = study_of({})
    adopt_space(study, space, TABLE)
    compressor = subject.compressor
    graph = find_layer_graph(subject.network, compressor.groups.values(), channel_multiple=compressor.channel_multiple)
    record_layer_graph(study, graph)
    prepared = Prepared(
        workload=subject.workload, profile=subject.profile, network=subject.network, compressor=compressor, space=space
    )
    started_s = time.monotonic()
    HeadStart(
        prepared=prepared,
        folder=RunFolder(folder / "head start"),
        budget=Budget(),
        threads=subject.profile.engine.threads,
        stages=StageClock(),
        listener=silent,
    ).give(study)
    head_start_s = time.monotonic() - started_s
    return Begun(
        records=study.user_attrs, head_start_s=head_start_s, trial_s=_typical_trial_s(subject, folder / "trials")
    )


def _typical_trial_s(subject: Subject, folder: Path) -> float:
    """The median over trials of a search at random, of which none is stopped early."""
    run(subject.workload, subject.profile, out=folder, trials=_TRIALS, sampler="random")
    with load_study(RunFolder(folder).study_path) as study:
        taken = [
            (trial.datetime_complete - trial.datetime_start).total_seconds()
            for trial in study.get_trials(deepcopy=False)
            if trial.state.name == "COMPLETE" and trial.datetime_complete and trial.datetime_start
        ]
    return statistics.median(taken)
