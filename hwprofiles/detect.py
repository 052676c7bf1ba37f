"""What this machine is, and which 8-bit scheme its instructions pay for."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

_X86 = frozenset({"x86_64", "amd64", "i686", "i386"})
_ARM = frozenset({"aarch64", "arm64", "armv8l"})
_X86_FLAGS = frozenset(
    {"sse4_1", "avx2", "avx512f", "avx512_vnni", "avx_vnni", "avx_vnni_int8", "avx512_bf16", "amx_int8", "amx_bf16"}
)
_ARM_FLAGS = frozenset({"asimd", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "sme"})
# py-cpuinfo spells some of Linux's names without the underscore.
_OTHER_SPELLINGS = {"avx512vnni": "avx512_vnni", "avxvnni": "avx_vnni", "dotprod": "asimddp"}

ResolvedScheme = Literal["u8s8", "u8s7", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """What decides how fast a network runs here.

    ``flags`` holds only the instruction sets that matter to compressed networks, sorted, in Linux's spelling.
    ``physical_cores`` and ``logical_cores`` are those this process may use. ``accelerator`` is the GPU with its driver,
    where the network runs on one.
    """

    cpu: str
    architecture: str
    flags: tuple[str, ...]
    physical_cores: int
    logical_cores: int
    memory_bytes: int
    os: str
    python: str
    accelerator: str | None = None

    @property
    def hardware_id(self) -> str:
        """Twelve hexadecimal digits of what decides how fast it is; measurements are kept under it."""
        parts = [self.cpu, self.architecture, ",".join(self.flags), str(self.physical_cores), str(self.logical_cores)]
        parts += [] if self.accelerator is None else [self.accelerator]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def detect_machine() -> Machine:
    """Reads this machine. Milliseconds on Linux; elsewhere py-cpuinfo takes about a second."""
    import psutil

    architecture = platform.machine().lower()
    cpu, flags = _processor(architecture)
    logical = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else psutil.cpu_count() or 1
    return Machine(
        cpu=cpu,
        architecture=architecture,
        flags=_relevant(flags, architecture),
        physical_cores=min(psutil.cpu_count(logical=False) or logical, logical),
        logical_cores=logical,
        memory_bytes=psutil.virtual_memory().total,
        os=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
    )


def machine_of(facts: Mapping[str, Any]) -> Machine:
    """The machine that a worker described by its ``machine`` operation, wherever it runs."""
    architecture = str(facts["architecture"])
    cpu, flags = parse_cpuinfo(str(facts["cpuinfo"]))
    return Machine(
        cpu=facts.get("board") or cpu or architecture,
        architecture=architecture,
        flags=_relevant(flags, architecture),
        physical_cores=min(int(facts["physical_cores"]), int(facts["logical_cores"])),
        logical_cores=int(facts["logical_cores"]),
        memory_bytes=int(facts["memory_bytes"] or 0),
        os=str(facts["os"]),
        python=str(facts["python"]),
        accelerator=facts.get("accelerator"),
    )


def int8_scheme(machine: Machine) -> tuple[ResolvedScheme, str]:
    """The 8-bit scheme that ONNX Runtime's kernels run fast and without overflow on ``machine``, and why.

    On x86 the kernels for unsigned activations and signed weights add two 8-bit products in 16 bits (VPMADDUBSW),
    which saturates, unless VNNI adds four in 32 bits; 7-bit weights cannot overflow. ARM has no such issue.
    From ONNX Runtime's "Quantize ONNX models", sections on reduce_range and on U8U8
    (https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html).
    """
    flags = set(machine.flags)
    if machine.architecture in _X86:
        return _x86_scheme(flags)
    if machine.architecture in _ARM:
        if flags & {"asimddp", "i8mm"}:
            return "u8s8", "ARM with 8-bit dot product: u8s8 takes the fewest instructions"
        return "none", "ARM without 8-bit dot product (asimddp): 8-bit arithmetic gains nothing over float"
    return "none", f"nothing is known about 8-bit kernels on '{machine.architecture}'; set formats.int8_scheme yourself"


def _x86_scheme(flags: set[str]) -> tuple[ResolvedScheme, str]:
    vnni = sorted(flags & {"avx512_vnni", "avx_vnni", "avx_vnni_int8", "amx_int8"})
    if vnni:
        return "u8s8", f"x86 with {', '.join(vnni)}: 8-bit products are added in 32 bits"
    wide = sorted(flags & {"avx2", "avx512f"})
    if wide:
        return "u8s7", f"x86 with {', '.join(wide)} and no VNNI: 8-bit weights can saturate, 7-bit ones cannot"
    return "none", "x86 without AVX2: 8-bit arithmetic gains nothing over float"


def _relevant(flags: set[str], architecture: str) -> tuple[str, ...]:
    known = _X86_FLAGS if architecture in _X86 else _ARM_FLAGS if architecture in _ARM else frozenset[str]()
    return tuple(sorted({_OTHER_SPELLINGS.get(flag, flag) for flag in flags} & known))


def _processor(architecture: str) -> tuple[str, set[str]]:
    """The processor's name and all of its flags."""
    if platform.system() == "Linux":
        model_file = Path("/proc/device-tree/model")
        board = model_file.read_text(errors="replace").strip("\0 \n") if model_file.exists() else ""
        cpu, flags = parse_cpuinfo(Path("/proc/cpuinfo").read_text(errors="replace"))
        return board or cpu or architecture, flags
    import cpuinfo

    info = cpuinfo.get_cpu_info()
    flags = set(info.get("flags", ()))
    if platform.system() == "Darwin" and architecture in _ARM:
        flags |= {"asimd", "asimddp"}  # every Apple processor that runs macOS is ARMv8.4 or newer; no flags are listed
    return str(info.get("brand_raw", architecture)), flags


def parse_cpuinfo(text: str) -> tuple[str, set[str]]:
    """The processor's name and flags from the text of Linux's ``/proc/cpuinfo``.

    Flags are those that every listed core has, since a thread may land on any of them. ARM kernels give no name;
    implementer and part numbers stand in for it.
    """
    values: dict[str, list[str]] = {}
    for line in text.splitlines():
        key, colon, value = line.partition(":")
        if colon:
            values.setdefault(key.strip(), []).append(value.strip())
    listed = [set(value.split()) for value in values.get("flags", []) + values.get("Features", [])]
    name = next(iter(values.get("model name", [])), "")
    if not name and "CPU part" in values:
        parts = dict.fromkeys(values["CPU part"])
        name = f"ARM implementer {values.get('CPU implementer', ['?'])[0]} part {'+'.join(parts)}"
    return name, set.intersection(*listed) if listed else set()
