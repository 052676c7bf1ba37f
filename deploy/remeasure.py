"""The latency of bytes that are about to ship, or have shipped: taken as the confirmation of a search takes it."""

import hashlib
import json
import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from deploy.bundle import BuiltEngine
from deploy.errors import RemeasuredOtherwiseError, UnreliableLatencyError
from deploy.first_look import PROCESSES
from deploy.manifest import Latency
from hwprofiles import HardwareProfile, Machine
from latency import CONFIRM, Measurement, Meter, combine
from latency.elasticity import Elasticity
from latency.reference_speed import ReferenceSpeed
from latency.student_t import t_quantile
from latency.transports import Transport

WORKERS = 4

PASSES = 2
"""As the confirmation: what drifts between the moments belongs to the interval."""

MOST_PASSES = 5
"""On a busy machine more are taken, until the ratio is known well enough to be believed."""

EFFORT = CONFIRM


@dataclass(frozen=True, kw_only=True, eq=False)
class Remeasured:
    """A latency taken anew.

    Attributes:
        passes: The measurements that it is made of.
        machine: What they were taken on.
        runtime: With its version.
        overhead_s: Seconds that were not spent in the models.
        inference_s: Seconds in the models, warm-up included.
        speed: The speed of the machine that they are looked at from; None for the one that they were taken at.
    """

    passes: tuple[Measurement, ...]
    machine: Machine
    runtime: str
    overhead_s: float
    inference_s: float
    speed: ReferenceSpeed | None = None

    @cached_property
    def whole(self) -> Measurement:
        """All passes as one measurement."""
        return combine(self.passes, self.speed)

    def joined(self, later: "Remeasured") -> "Remeasured":
        """Both occasions as one: what changed between them belongs to the interval."""
        return replace(
            self,
            passes=self.passes + later.passes,
            overhead_s=self.overhead_s + later.overhead_s,
            inference_s=self.inference_s + later.inference_s,
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Timed:
    """What is timed, and on what.

    Attributes:
        model: The shipped network's bytes.
        session_entries: Session entries that it needs.
        fp32: The network that it was made from.
        feeds: Inputs of one inference, first axis the batch.
        engine: What the target's runtime had built of the model; None builds it where the runtime builds.
        digest: SHA-256 of `model`, where it is known already.
        fp32_digest: SHA-256 of `fp32`, likewise.
        speed: The speed that the latency was promised at, and how it follows the machine's; None where that is unknown.
    """

    model: bytes
    session_entries: Mapping[str, str]
    fp32: bytes
    feeds: Mapping[str, NDArray[Any]]
    engine: BuiltEngine | None = None
    digest: str | None = None
    fp32_digest: str | None = None
    speed: ReferenceSpeed | None = None


def promised_speed(latency: Latency) -> ReferenceSpeed | None:
    """The speed of the device that a bundle's latency is promised at; None where it says nothing of speeds."""
    if latency.follows is None:
        return None
    elasticity = Elasticity(value=latency.follows.elasticity, deviation=latency.follows.deviation)
    return ReferenceSpeed(baseline_ms=latency.fp32_ms, elasticity=elasticity)


def remeasure(
    profile: HardwareProfile,
    timed: Timed,
    *,
    admit: Callable[[Machine, str], None] = lambda machine, runtime: None,
    meanwhile: Callable[[], None] = lambda: None,
    suffices: Callable[[Remeasured], bool] | None = None,
    ahead: Transport | None = None,
) -> Remeasured:
    """Time the model against FP32 on the target, in `PASSES` passes, up to `MOST_PASSES` where these say too little.

    With `suffices` it looks in small steps: each in `PROCESSES` processes of its own, until that says yes or as many
    have been asked as without it.

    Args:
        profile: The target.
        timed: The two networks and their inputs.
        admit: Given the machine that answered and its runtime before anything is timed; refuses them by raising.
        meanwhile: Done before anything is timed, on this machine while its workers start.
        suffices: Whether what was found so far is enough; None is content with nothing less than the whole.
        ahead: A transport whose workers are on their way already; None starts them now.

    Raises:
        UnreliableLatencyError: The machine is too busy for a latency.
        MeasurementError: One of the two does not run there.
        TargetError: The target cannot be reached.
    """
    size = WORKERS if suffices is None else PROCESSES
    with engine_folder(timed.engine, timed.model) as folder:
        meter = Meter(
            profile,
            timed.fp32,
            timed.feeds,
            baseline_digest=timed.fp32_digest,
            built=folder,
            transport=ahead,
            workers=size,
        )
        with _started(meter, meanwhile, at_once=profile.reach.transport == "local"):
            admit(meter.machine, meter.runtime)
            found = _measured(meter, timed)
            while not (_is_whole(found, size) or (suffices is not None and _is_believed(found) and suffices(found))):
                if suffices is not None:
                    meter.renew()
                found = _measured(meter, timed, found.passes)
    if found.whole.grade == "unreliable":
        raise UnreliableLatencyError(f"latency is unreliable: {found.whole.reason}; {found.whole.remedy}")
    return found


def _measured(meter: Meter, timed: Timed, before: tuple[Measurement, ...] = ()) -> Remeasured:
    """One pass more."""
    taken = meter.measure(
        timed.model, session_entries=timed.session_entries, digest=timed.digest, effort=EFFORT, fresh=True
    )
    return Remeasured(
        passes=(*before, taken),
        machine=meter.machine,
        runtime=meter.runtime,
        overhead_s=meter.cost.overhead_s,
        inference_s=meter.cost.inference_s,
        speed=timed.speed,
    )


def _is_whole(found: Remeasured, size: int) -> bool:
    """Whether as many processes were asked as a measurement takes at the least; or, if it says too little, the most."""
    asked = len(found.passes) * size
    return asked >= WORKERS * (PASSES if _is_believed(found) else MOST_PASSES)


def _is_believed(found: Remeasured) -> bool:
    return found.whole.grade != "unreliable"


@contextmanager
def _started(meter: Meter, meanwhile: Callable[[], None], *, at_once: bool) -> Iterator[None]:
    """The meter, open. Its workers import their runtimes for a second; that time is used where it costs nobody else's.

    Args:
        meter: To be opened and closed.
        meanwhile: What there is to do besides; done before the block begins.
        at_once: Whether that may be done at the same time. A small board must not hold both.
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        opened = pool.submit(meter.__enter__) if at_once else None
        try:
            meanwhile()
            opened = opened or pool.submit(meter.__enter__)
            opened.result()
            yield
        finally:
            if opened is not None and opened.exception() is None:
                meter.__exit__(None, None, None)


@contextmanager
def engine_folder(engine: BuiltEngine | None, model: bytes) -> Iterator[Path]:
    """A folder of built engines with that of `model`, as meters and targets look for it: what ships is what runs.

    Args:
        engine: What was built of the model; None leaves the folder empty.
        model: The network's bytes.
    """
    with tempfile.TemporaryDirectory(prefix="paretune-engines-") as name:
        folder = Path(name)
        if engine is not None:
            digest = hashlib.sha256(model).hexdigest()
            (folder / f"{digest}.engine").write_bytes(engine.data)
            (folder / f"{digest}.json").write_text(json.dumps(dict(engine.facts)))
        yield folder


def require_as_confirmed(found: Measurement, confirmed: Sequence[float], name: str) -> None:
    """Raise RemeasuredOtherwiseError where the ratio's interval lies beyond the confirmed one, above or below.

    Args:
        found: Measured again.
        confirmed: The confirmed ratio, and the low and the high end of its interval.
        name: What the point is called.
    """
    ratio, low, high = confirmed
    if found.ratio_low <= high and low <= found.ratio_high:
        return
    raise RemeasuredOtherwiseError(
        f"{name} takes {_interval(found.ratio, found.ratio_low, found.ratio_high)} of FP32's time now, the search "
        f"confirmed {_interval(ratio, low, high)}; nothing was exported: keep the target as it was and free of other "
        "work, and export again"
    )


@dataclass(frozen=True, kw_only=True)
class Level:
    """Milliseconds with a 95% interval over the processes that took them."""

    ms: float
    ms_low: float
    ms_high: float


def level_of(found: Measurement, model: str = "candidate") -> Level:
    """How long an inference of the candidate or the baseline took, in ms, whatever the other one took.

    A process's own median is one observation of it (memory is laid out anew in each), so the interval is a t-interval
    over the logarithms of these medians. It is wider than the ratio's: processes share their machine's level.

    Args:
        found: The measurement.
        model: `candidate` or `baseline`.
    """
    import numpy as np

    medians = [float(np.median(getattr(process, model).milliseconds(found.clock))) for process in found.processes]
    logs = np.log(medians)
    center, count = float(np.mean(logs)), len(logs)
    half = math.inf
    if count > 1:
        half = t_quantile(count - 1, 0.975) * float(np.std(logs, ddof=1)) / math.sqrt(count)
    return Level(ms=math.exp(center), ms_low=math.exp(center - half), ms_high=math.exp(center + half))


def _interval(value: float, low: float, high: float) -> str:
    return f"{value:.3f} [{low:.3f}, {high:.3f}]"
