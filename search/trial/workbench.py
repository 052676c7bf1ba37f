"""What trials are carried out with: the target's meter, and evaluators on parts of the validation data."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hwprofiles import Machine, detect_machine
from latency.meters import open_meter
from search.folder.environment import require_target
from search.prepare import Prepared
from search.progress import Listener, Progress
from search.stages import StageClock
from search.trial.evaluate import Evaluator, has_same_kernels
from search.trial.speed_record import SpeedRecord
from search.trial.timed_input import timed_feeds
from search.trial.validation import validate_fp32
from workloads import Samples, in_fair_order

if TYPE_CHECKING:
    from latency import Meter
    from latency.emulation.instruction_meter import InstructionMeter


@dataclass(frozen=True, kw_only=True, eq=False)
class Workbench:
    """An open meter and what stands around it.

    Attributes:
        prepared: What the run works on.
        meter: Measures on the target.
        threads: Threads for accuracy runs on this machine.
        judge_kernels: Whether this host's kernels are the target's.
        stages: Where the seconds are counted.
        speeds: What is known of the target's speeds; None where it is emulated.
    """

    prepared: Prepared
    meter: "Meter | InstructionMeter"
    threads: int
    judge_kernels: bool
    stages: StageClock
    speeds: SpeedRecord | None = None

    def search_evaluator(self) -> Evaluator:
        """Takes candidates' figures as the search sees them: on its part of the samples, in their fair order.

        Raises:
            CompressionError, WorkloadError: FP32 itself does not run.
        """
        workload = self.prepared.workload
        return self.evaluator_on(in_fair_order(workload.search_part, workload.metric))

    def evaluator_on(self, samples: Samples) -> Evaluator:
        """Takes candidates' figures on `samples`; FP32 is validated on them first.

        Raises:
            CompressionError, WorkloadError: FP32 itself does not run.
        """
        prepared = self.prepared
        metric = prepared.workload.metric
        network = prepared.network.onnx_bytes
        fp32 = validate_fp32(network, samples, metric, threads=self.threads, stages=self.stages)
        return Evaluator(
            compressor=prepared.compressor,
            validation=fp32,
            meter=self.meter,
            threads=self.threads,
            target_batch_size=prepared.profile.engine.batch_size,
            judge_kernels=self.judge_kernels,
            stages=self.stages,
            speeds=self.speeds,
        )


@contextmanager
def open_workbench(
    prepared: Prepared,
    log_folder: Path,
    *,
    stages: StageClock,
    listener: Listener,
    accept: Callable[[Machine, str], None],
) -> Iterator[Workbench]:
    """Start the target's workers; a context manager.

    Args:
        prepared: What the run works on.
        log_folder: Where everything measured goes; no other process writes there.
        stages: Where the seconds are counted.
        listener: Told of every step.
        accept: Raises where the target's machine and runtime are none to go on with.

    Raises:
        SearchError: The target is another device than its profile describes.
        MeasurementError, TargetError: It cannot be measured on.
    """
    profile, network = prepared.profile, prepared.network.onnx_bytes
    feeds = timed_feeds(prepared.workload, profile.engine.batch_size)
    with open_meter(profile, network, feeds, log_folder=log_folder) as meter:
        stages.add("worker start", meter.cost.overhead_s)
        require_target(profile, meter.machine)
        accept(meter.machine, meter.runtime)
        listener(Progress(stage="baseline", done=0, total=1))
        host = detect_machine()
        yield Workbench(
            prepared=prepared,
            meter=meter,
            threads=host.logical_cores,
            judge_kernels=has_same_kernels(profile, meter.machine, host),
            stages=stages,
            speeds=_speeds(prepared),
        )


def _speeds(prepared: Prepared) -> SpeedRecord | None:
    if prepared.profile.reach.transport == "emulated":
        return None
    return SpeedRecord(prepared.space, {layer.name: layer.macs for layer in prepared.network.layers})
