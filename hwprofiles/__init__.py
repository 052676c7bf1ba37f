"""What a target is: hardware profiles, their catalog, and the detector of this machine."""

from __future__ import annotations

from hwprofiles.catalog import list_profiles, load_profile, write_profile
from hwprofiles.detect import Machine, detect_machine, int8_scheme, machine_of
from hwprofiles.engine import Engine
from hwprofiles.errors import ProfileError
from hwprofiles.probed import LayerShape, Probe, ProbedChoice, ProbedLayer
from hwprofiles.profile import Formats, HardwareProfile, Sparsity
from hwprofiles.reach import EmulatedReach, LocalReach, SshReach

__all__ = [
    "EmulatedReach",
    "Engine",
    "Formats",
    "HardwareProfile",
    "LayerShape",
    "LocalReach",
    "Machine",
    "Probe",
    "ProbedChoice",
    "ProbedLayer",
    "ProfileError",
    "Sparsity",
    "SshReach",
    "detect_machine",
    "int8_scheme",
    "list_profiles",
    "load_profile",
    "machine_of",
    "write_profile",
]
