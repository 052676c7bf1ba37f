"""How long a network takes on a target, and how sure we are."""

from __future__ import annotations

from latency.cache import MeasurementLog
from latency.combine import combine
from latency.cost import Cost
from latency.effort import CONFIRM, RETRY, SEARCH, Effort
from latency.emulation.instruction_count import InstructionCount
from latency.errors import MeasurementError, MeasurementFormatError, OperationError, TargetError, WorkerError
from latency.measure import Meter
from latency.measurement import Measurement, MeasurementKey
from latency.meters import open_meter
from latency.samples import ProcessSamples, Samples
from latency.target import Target

__all__ = [
    "CONFIRM",
    "RETRY",
    "SEARCH",
    "Cost",
    "Effort",
    "InstructionCount",
    "Measurement",
    "MeasurementError",
    "MeasurementFormatError",
    "MeasurementKey",
    "MeasurementLog",
    "Meter",
    "OperationError",
    "ProcessSamples",
    "Samples",
    "Target",
    "TargetError",
    "WorkerError",
    "combine",
    "open_meter",
]
