"""A confirmed point of a search, with all that its bundle says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from compress.policy import Policy
from deploy.bundle import BuiltEngine
from deploy.manifest import AccuracyFacts, LatencyFigure, Recipe, RecoveryFacts, TargetFacts, WorkloadFacts
from hwprofiles import HardwareProfile
from latency import Measurement
from latency.reference_speed import ReferenceSpeed


@dataclass(frozen=True, kw_only=True, eq=False)
class Exportable:
    """A confirmed point with all that its bundle says of it.

    Attributes:
        name: What the network is called.
        trial: The trial's number in the run.
        onnx_bytes: The network, as it was confirmed.
        policy: The policy that made it.
        policy_summary: The same in a few words.
        session_entries: Session entries that the bytes need.
        fp32: The normalized FP32 network.
        feeds: Inputs of one inference, as they were timed.
        profile: The target.
        target: The same, as the bundle tells it.
        workload: What accuracy was taken on.
        fp32_ms: The run's FP32 latency.
        confirmed: The confirmed latency; its `lines` are those of `passes`.
        passes: The confirmation's raw samples, as far as they are known.
        accuracy: The confirmed accuracy.
        recipe: What the policy needs to become these bytes again.
        calibration: The bytes of `calibration.npz`, to be put into the bundle; None leaves it out.
        recovery: How its weights were recovered; None where they are what the policy gives.
        trained_in_search: Whether the trial itself had these weights: then they were not recovered after it.
        recovered: The bytes of the recovered weights' file, to be put into the bundle; None leaves it out.
        engine: What the target's runtime built of the network and was timed; None where it builds nothing.
        versions: Library versions.
        notes: What whoever ships this should know.
        digests: SHA-256 of files of its bundle, by name, where they are known already.
        speed: The speed that the latency was confirmed at, and how it follows the target's; None where that is unknown.
    """

    name: str
    trial: int
    onnx_bytes: bytes
    policy: Policy
    policy_summary: str
    session_entries: Mapping[str, str]
    fp32: bytes
    feeds: Mapping[str, NDArray[Any]]
    profile: HardwareProfile
    target: TargetFacts
    workload: WorkloadFacts
    fp32_ms: float
    confirmed: LatencyFigure
    passes: tuple[Measurement, ...]
    accuracy: AccuracyFacts
    recipe: Recipe
    calibration: bytes | None
    engine: BuiltEngine | None
    versions: Mapping[str, str]
    notes: tuple[str, ...] = ()
    digests: Mapping[str, str] = field(default_factory=dict)
    speed: ReferenceSpeed | None = None
    recovery: RecoveryFacts | None = None
    trained_in_search: bool = False
    recovered: bytes | None = None

    @property
    def title(self) -> str:
        """What people call it: '#12', and '#12r' with weights that were recovered after the search."""
        return f"#{self.trial}{'' if self.recovery is None or self.trained_in_search else 'r'}"


def figure_of(found: Measurement, fp32_ms: float, lines: Sequence[int]) -> LatencyFigure:
    """A measurement as the manifest tells it."""
    low, high = found.ratio_low, found.ratio_high
    return LatencyFigure(
        ratio=found.ratio,
        ratio_low=low,
        ratio_high=high,
        ms=found.ratio * fp32_ms,
        ms_low=low * fp32_ms,
        ms_high=high * fp32_ms,
        grade=found.grade,
        lines=tuple(lines),
    )
