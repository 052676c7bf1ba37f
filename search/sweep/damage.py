"""The sweep over single choices: one knob turned, all others left alone."""

import time
from collections.abc import Callable
from typing import Protocol

from compress.errors import CompressionError
from compress.policy import Policy
from search.layers.graph import LayerGraph
from search.progress import Listener, Progress
from search.space.space import SearchSpace
from search.sweep.joint import Joint, joint_policies
from search.sweep.order import planned
from search.sweep.readings import Reading, count_settled, effects_of
from search.sweep.readings_file import ReadingsFile
from workloads import WorkloadError


class Measures(Protocol):
    """What takes readings; a `Probe`."""

    def measure(self, policy: Policy) -> Reading:
        """The divergence that a policy causes."""


def sweep_damage(
    space: SearchSpace,
    graph: LayerGraph,
    probe: Measures,
    file: ReadingsFile,
    *,
    limit_s: float,
    listener: Listener,
    clock: Callable[[], float] = time.monotonic,
) -> bool:
    """Measure single choices into `file`, what it holds already left out, until they are known or the time is up.

    A choice that cannot be built or run is kept as such.

    Returns:
        Whether they are all known.
    """
    total = sum(len(knob.choices) - 1 for knob in space.knobs)
    started_s = clock()
    with file.kept() as tick:
        for name, choice in planned(space, graph.macs, file.readings):
            if clock() - started_s >= limit_s:
                return False
            try:
                file.readings[name, choice] = probe.measure(space.policy({name: choice}))
            except (CompressionError, WorkloadError) as error:
                file.fail((name, choice), str(error))
            tick()
            listener(Progress(stage="sweep", done=count_settled(space, file.readings), total=total))
    return True


def measure_joints(
    space: SearchSpace,
    probe: Measures,
    file: ReadingsFile,
    *,
    limit_s: float,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Measure into `file` how some of the choices that are known alone do together, until the time is up."""
    started_s = clock()
    have = {frozenset(joint.params.items()) for joint in file.joints}
    with file.kept() as tick:
        for params in joint_policies(space, effects_of(space, file.readings)):
            if clock() - started_s >= limit_s:
                return
            if frozenset(params.items()) in have:
                continue
            try:
                file.joints.append(Joint(params=params, reading=probe.measure(space.policy(params))))
            except (CompressionError, WorkloadError):  # a trial of it will say why
                continue
            tick()
