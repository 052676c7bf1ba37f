"""What Linux would say of an emulated processor in ``/proc/cpuinfo``.

Under emulation a program sees the host's file, which is of another architecture; libraries that read it then crash or
choose wrong kernels. The features come from the emulator itself: it tells programs in the auxiliary vector what the
processor can do, and Linux prints the same bits by name.
"""

from __future__ import annotations

import struct
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Main ID register: implementer and part number, from Arm's Technical Reference Manual of each processor. "max" has
# whatever qemu can do and a number of qemu's own, at which ONNX Runtime crashes; it passes for a Neoverse V2, which has
# most of that too.
_PARTS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "cortex-a53": (0x41, 0xD03),
        "cortex-a72": (0x41, 0xD08),
        "cortex-a76": (0x41, 0xD0B),
        "neoverse-n1": (0x41, 0xD0C),
        "max": (0x41, 0xD4F),
    }
)
CPUS: tuple[str, ...] = tuple(_PARTS)
"""The processors that can be emulated, as qemu names them."""

# Bit by bit, Linux's arch/arm64/include/uapi/asm/hwcap.h (https://docs.kernel.org/arch/arm64/elf_hwcaps.html).
# fmt: off
_HWCAP = (
    "fp", "asimd", "evtstrm", "aes", "pmull", "sha1", "sha2", "crc32", "atomics", "fphp", "asimdhp", "cpuid",
    "asimdrdm", "jscvt", "fcma", "lrcpc", "dcpop", "sha3", "sm3", "sm4", "asimddp", "sha512", "sve", "asimdfhm",
    "dit", "uscat", "ilrcpc", "flagm", "ssbs", "sb", "paca", "pacg",
)
_HWCAP2 = (
    "dcpodp", "sve2", "sveaes", "svepmull", "svebitperm", "svesha3", "svesm4", "flagm2", "frint", "svei8mm",
    "svef32mm", "svef64mm", "svebf16", "i8mm", "bf16", "dgh", "rng", "bti", "mte", "ecv", "afp", "rpres", "mte3",
    "sme", "smei16i64", "smef64f64", "smei8i32", "smef16f32", "smeb16f32", "smef32f32", "smefa64", "wfxt", "ebf16",
    "sveebf16", "cssc", "rprfm", "sve2p1", "sme2", "sme2p1", "smei16i32", "smebi32i32", "smeb16b16", "smef16f16",
    "mops", "hbc", "sveb16b16", "lrcpc3", "lse128",
)
# fmt: on
_AT_HWCAP, _AT_HWCAP2 = 16, 26

READ_AUXILIARY_VECTOR = "import sys; sys.stdout.write(open('/proc/self/auxv', 'rb').read().hex())"
"""A Python program that prints the auxiliary vector in hexadecimal."""


def features(auxiliary_vector: bytes) -> tuple[str, ...]:
    """The processor's features by Linux's names.

    Args:
        auxiliary_vector: pairs of 64-bit words in little-endian order, as in ``/proc/self/auxv``.

    Raises:
        ValueError: it is no such thing.
    """
    if not auxiliary_vector or len(auxiliary_vector) % 16:
        msg = f"an auxiliary vector is made of pairs of 64-bit words, got {len(auxiliary_vector)} bytes"
        raise ValueError(msg)
    values = dict(struct.iter_unpack("<QQ", auxiliary_vector))
    words = ((_HWCAP, values.get(_AT_HWCAP, 0)), (_HWCAP2, values.get(_AT_HWCAP2, 0)))
    return tuple(name for names, bits in words for bit, name in enumerate(names) if bits >> bit & 1)


def cpuinfo(cpu: str, names: tuple[str, ...]) -> str:
    """The text of ``/proc/cpuinfo`` for one core of ``cpu`` with these features."""
    implementer, part = _PARTS[cpu]
    return (
        "processor\t: 0\n"
        "BogoMIPS\t: 50.00\n"
        f"Features\t: {' '.join(names)}\n"
        f"CPU implementer\t: 0x{implementer:02x}\n"
        "CPU architecture: 8\n"
        "CPU variant\t: 0x0\n"
        f"CPU part\t: 0x{part:03x}\n"
        "CPU revision\t: 0\n\n"
    )
