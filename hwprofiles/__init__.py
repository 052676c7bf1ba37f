"""What a target is: hardware profiles, their catalog, and the detector of this machine."""

from __future__ import annotations

from hwprofiles.catalog import list_profiles, load_profile
from hwprofiles.detect import Machine, detect_machine, int8_scheme
from hwprofiles.errors import ProfileError
from hwprofiles.profile import Engine, Formats, HardwareProfile, Reach, Sparsity

__all__ = [
    "Engine",
    "Formats",
    "HardwareProfile",
    "Machine",
    "ProfileError",
    "Reach",
    "Sparsity",
    "detect_machine",
    "int8_scheme",
    "list_profiles",
    "load_profile",
]
