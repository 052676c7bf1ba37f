"""What the frontier sampler is given before its first proposal; others do not pay for it."""

import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from latency import MeasurementError, Target, TargetError
from search.folder.run_folder import RunFolder
from search.layers.effects import has_damage_effects, record_damage_effects
from search.layers.graph import recorded_layer_graph
from search.layers.table import has_layer_table, record_layer_table
from search.outlook import Budget
from search.prepare import Prepared
from search.progress import Listener, Progress
from search.stages import StageClock
from search.sweep.damage import measure_joints, sweep_damage
from search.sweep.joint import fit_exponent
from search.sweep.layer_profile import profile_layers
from search.sweep.limit import limit_s
from search.sweep.policies import mixed, profiled
from search.sweep.probe import SAMPLES, Probe
from search.sweep.readings import effects_of
from search.sweep.readings_file import ReadingsFile
from search.trial.timed_input import timed_feeds

if TYPE_CHECKING:
    import optuna

WITH_HEAD_START = frozenset({"frontier"})
"""Samplers that use what is found out here."""

_SWEEP_SHARE = 2 / 3  # the rest is for the times of layers
_SINGLES_SHARE = 0.85  # of the sweep; the rest is for how they add up


@dataclass(frozen=True, kw_only=True)
class HeadStart:
    """Finds out about single layers once per study, and records it there.

    Attributes:
        prepared: The network, its compressor and the space.
        folder: The run's folder.
        budget: When the search ends; what is found out here takes a share of it.
        threads: Threads on this machine.
        stages: Where the seconds are counted.
        listener: Told of every step.
    """

    prepared: Prepared
    folder: RunFolder
    budget: Budget
    threads: int
    stages: StageClock
    listener: Listener

    def give(self, study: "optuna.Study") -> None:
        """Record what single choices and layers do in a study that does not have it.

        The study must hold its layer graph. Ended in the middle, it goes on where it was the next time.

        Raises:
            CompressionError, WorkloadError: FP32 itself does not run.
        """
        if has_damage_effects(study) and has_layer_table(study):
            return
        probe = Probe(
            self.prepared.compressor,
            self.prepared.workload.search_part,
            threads=self.threads,
            target_batch_size=self.prepared.profile.engine.batch_size,
            stages=self.stages,
        )
        limit = limit_s(self.budget, study.get_trials(deepcopy=False), validation_s=probe.validation_s)
        if not limit > 0:
            return
        started_s = time.monotonic()
        if not has_damage_effects(study):
            self._sweep(study, probe, _SWEEP_SHARE * limit)
        if not has_layer_table(study):
            self._take_layer_table(study, limit - (time.monotonic() - started_s))

    def _take_layer_table(self, study: "optuna.Study", limit: float) -> None:
        profile, compressor, space = self.prepared.profile, self.prepared.compressor, self.prepared.space
        if profile.reach.transport == "emulated":
            self._say("layer times", f"no layer is timed: '{profile.name}' is emulated, and its time says nothing")
            record_layer_table(study, ())
            return
        feeds = timed_feeds(self.prepared.workload, profile.engine.batch_size)
        policies, wholes = profiled(space), mixed(space)
        self.listener(Progress(stage="layer times", done=0, total=len(policies) + len(wholes)))
        try:
            with Target(profile, built=self.folder.engines_path) as target:
                table = profile_layers(
                    target,
                    compressor,
                    feeds,
                    space,
                    policies,
                    wholes=wholes,
                    limit_s=limit,
                    stages=self.stages,
                    listener=self.listener,
                )
        except (MeasurementError, TargetError) as error:
            self._say("layer times", f"the search begins without the times of single layers: {error}")
            return
        record_layer_table(study, table)

    def _sweep(self, study: "optuna.Study", probe: Probe, limit: float) -> None:
        space, network = self.prepared.space, self.prepared.network
        total = sum(len(knob.choices) - 1 for knob in space.knobs)
        if not probe.has_divergence:
            self._say("sweep", "single layers are not swept: the network has no output in floating point to compare")
            record_damage_effects(study, {})
            return
        file = ReadingsFile(self.folder, network_digest=hashlib.sha256(network.onnx_bytes).hexdigest(), samples=SAMPLES)
        self._say("sweep", file.read(), total)
        graph = recorded_layer_graph(study)
        started_s = time.monotonic()
        is_complete = sweep_damage(space, graph, probe, file, limit_s=_SINGLES_SHARE * limit, listener=self.listener)
        measure_joints(space, probe, file, limit_s=limit - (time.monotonic() - started_s))
        effects = effects_of(space, file.readings)
        record_damage_effects(study, effects, exponent=fit_exponent(effects, file.joints))
        if not is_complete:
            self._say(
                "sweep",
                f"single layers: {len(file.readings)} of {total} choices measured in {limit:.0f} s, "
                f"{len(effects)} known; the sampler begins with its own beliefs about the others",
                total,
            )

    def _say(self, stage: str, note: str, total: int = 1) -> None:
        self.listener(Progress(stage=stage, done=0, total=total, note=note))
