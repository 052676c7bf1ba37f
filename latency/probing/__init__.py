"""What pays on a target, found out by measuring: groups of choices against their FP32 baselines, and what follows."""

from __future__ import annotations

from latency.probing.bench import Bench, Built, ChoiceRefused, ProbeGroup
from latency.probing.conclusions import conclude
from latency.probing.prober import QUICK, THOROUGH, ProbeEffort, ProbeOutcome, ProbeStep, probe

__all__ = [
    "QUICK",
    "THOROUGH",
    "Bench",
    "Built",
    "ChoiceRefused",
    "ProbeEffort",
    "ProbeGroup",
    "ProbeOutcome",
    "ProbeStep",
    "conclude",
    "probe",
]
