"""The meter that fits a target: of time where there is a device, of instructions where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from latency.cache import MeasurementLog
from latency.measure import Meter

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from hwprofiles import HardwareProfile
    from latency.emulation.instruction_meter import InstructionMeter

MEASUREMENTS = "measurements.jsonl"
INSTRUCTIONS = "instructions.jsonl"
ENGINES = "engines"


def open_meter(
    profile: HardwareProfile,
    baseline: bytes,
    feeds: Mapping[str, NDArray[Any]],
    *,
    baseline_session_entries: Mapping[str, str] | None = None,
    log_folder: Path | None = None,
) -> Meter | InstructionMeter:
    """The meter for a profile, ready to be entered; both have ``measure``, ``runtime``, ``machine`` and ``cost``.

    What an ``InstructionMeter`` gives back are instruction counts: another type, with another grade and no time in it.

    Args:
        profile: the target.
        baseline: the frozen FP32 model's ONNX bytes.
        feeds: input name to array, first axis the profile's batch size.
        baseline_session_entries: session entries that the baseline needs.
        log_folder: where everything measured goes and is found again, in ``measurements.jsonl`` or, for instructions,
            ``instructions.jsonl``; engines that a runtime builds lie in ``engines/``. None keeps nothing.

    Raises:
        ValueError: feeds and batch size disagree.
        ProfileError: the target is emulated, with an engine whose instructions cannot be counted.
        MeasurementFormatError: a line in the log is none of its kind.
    """
    if profile.reach.transport != "emulated":
        log = None if log_folder is None else MeasurementLog(log_folder / MEASUREMENTS)
        built = None if log_folder is None else log_folder / ENGINES
        return Meter(profile, baseline, feeds, baseline_session_entries=baseline_session_entries, log=log, built=built)
    from latency.emulation.instruction_log import InstructionLog
    from latency.emulation.instruction_meter import InstructionMeter

    counts = None if log_folder is None else InstructionLog(log_folder / INSTRUCTIONS)
    return InstructionMeter(profile, baseline, feeds, baseline_session_entries=baseline_session_entries, log=counts)
