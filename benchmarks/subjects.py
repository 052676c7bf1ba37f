"""Real networks, calibrated and ready to be compressed: what the compression benchmark works on."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from numpy.typing import NDArray

from compress.candidate import Candidate
from compress.faithfulness import Faithfulness, open_checked
from compress.formats.scheme import SCHEMES
from compress.layers import Layer
from compress.network import Network, load_network
from compress.policy import FORMATS, UNTOUCHED, Policy
from compress.range_choice import choose_range_method
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from hwprofiles import HardwareProfile, detect_machine, load_profile
from latency import CONFIRM, Meter
from search.trial.timed_input import timed_feeds
from workloads import Evaluation, Feeds, Samples, Workload, evaluate, load, session_predictor

BATCH_SIZE = 16
CHECKED_SAMPLES = 8
PASSES = 3
"""How often a speed is measured; the median counts."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Subject:
    """A workload on this machine.

    Attributes:
        workload: The network, its data and metric.
        profile: This machine.
        compressor: Builds the network's candidates.
    """

    workload: Workload
    profile: HardwareProfile
    compressor: Compressor

    @property
    def network(self) -> Network:
        """The FP32 network."""
        return self.compressor.network

    @cached_property
    def threads(self) -> int:
        """Threads for accuracy."""
        return detect_machine().logical_cores

    @cached_property
    def parts(self) -> tuple[Samples, Samples]:
        """All validation data: what a search would see, and what a confirmation would."""
        return self.workload.search_part, self.workload.confirmation_part

    @cached_property
    def fp32(self) -> float:
        """FP32's figure on all validation data."""
        return self._score(self.network.onnx_bytes, {}, BATCH_SIZE)

    def points_lost(self, candidate: Candidate) -> float:
        """FP32 minus candidate on all validation data, in hundredths of the metric."""
        size = self.profile.engine.batch_size if candidate.depends_on_batch else BATCH_SIZE
        return 100 * (self.fp32 - self._score(candidate.onnx_bytes, dict(candidate.session_entries), size))

    def _score(self, onnx_bytes: bytes, entries: dict[str, str], batch_size: int) -> float:
        predict = session_predictor(open_session(onnx_bytes, threads=self.threads, session_entries=entries))
        found: list[Evaluation] = [
            evaluate(predict, part, self.workload.metric, batch_size=batch_size) for part in self.parts
        ]
        counts = [len(evaluation.accuracy.scores) for evaluation in found]
        total = sum(e.accuracy.value * count for e, count in zip(found, counts, strict=True))
        return total / sum(counts)

    def speedups(self, candidates: dict[str, Candidate]) -> dict[str, float]:
        """FP32's latency over each candidate's, measured in turns so that the machine's moods hit all alike."""
        feeds = timed_feeds(self.workload, self.profile.engine.batch_size)
        ratios: dict[str, list[float]] = {name: [] for name in candidates}
        with Meter(self.profile, self.network.onnx_bytes, feeds) as meter:
            for _ in range(PASSES):
                for name, candidate in candidates.items():
                    found = meter.measure(
                        candidate.onnx_bytes, session_entries=candidate.session_entries, effort=CONFIRM, fresh=True
                    )
                    ratios[name].append(found.ratio)
        return {name: 1 / sorted(values)[len(values) // 2] for name, values in ratios.items()}

    def check(self, candidate: Candidate) -> Faithfulness:
        """Whether the candidate runs as its policy says."""
        feeds, reference = self._checked
        return open_checked(candidate, self.network, feeds, reference, threads=self.threads).faithfulness

    @cached_property
    def _checked(self) -> tuple[Feeds, list[NDArray[Any]]]:
        feeds = next(self.workload.search_part.batches(CHECKED_SAMPLES))[0]
        return feeds, open_session(self.network.onnx_bytes, threads=self.threads).run(None, dict(feeds))

    def uniform(self, format_name: str, where: Callable[[Layer], bool] = lambda layer: True) -> Policy:
        """One format for the layers that `where` picks, FP32 for the others."""
        wanted = FORMATS[format_name]
        return Policy({layer.name: wanted if where(layer) else UNTOUCHED for layer in self.network.layers})


def prepare(name: str, *, formats: tuple[str, ...] = tuple(FORMATS), quick: bool = False) -> Subject:
    """A built-in workload, calibrated on this machine.

    Args:
        name: The workload's.
        formats: Number formats that its policies may use.
        quick: Calibrate on the first batch only.
    """
    workload, profile = load(name), load_profile("local-cpu")
    calibration = workload.calibration[:1] if quick else workload.calibration
    network = load_network(workload.network(), workload.calibration[0])
    threads = detect_machine().logical_cores
    compressor = Compressor(
        network,
        calibrate(network, calibration, threads=threads),
        SCHEMES[profile.formats.int8_scheme],
        channel_multiple=profile.sparsity.channel_multiple,
        formats=formats,
        accuracy_level=4 if profile.formats.weight_only_compute == "int8" else 1,
    )
    method = choose_range_method(compressor, workload.calibration, threads=threads)
    return Subject(workload=workload, profile=profile, compressor=compressor.with_range_method(method))
