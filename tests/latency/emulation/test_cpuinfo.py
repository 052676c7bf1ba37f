"""What a processor can do is read from the emulator, bit by bit, and told in Linux's words."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwprofiles.detect import parse_cpuinfo
from latency.emulation.cpuinfo import CPUS, cpuinfo, features


def vector(hwcap: int, hwcap2: int) -> bytes:
    return struct.pack("<8Q", 6, 4096, 16, hwcap, 26, hwcap2, 0, 0)


def test_cortex_a76_has_the_8_bit_dot_product() -> None:
    names = features(vector(0x119FFB, 0))  # what qemu 7.2 says of it
    assert {"asimd", "asimddp", "asimdhp", "atomics", "crc32"} <= set(names)
    assert not {"sve", "i8mm", "bf16"} & set(names)


@given(hwcap=st.integers(0, 2**64 - 1), hwcap2=st.integers(0, 2**64 - 1))
def test_each_known_bit_is_one_name(hwcap: int, hwcap2: int) -> None:
    names = features(vector(hwcap, hwcap2))
    assert len(set(names)) == len(names)
    assert ("asimddp" in names) == bool(hwcap >> 20 & 1)
    assert ("sve" in names) == bool(hwcap >> 22 & 1)
    assert ("i8mm" in names) == bool(hwcap2 >> 13 & 1)
    assert ("bf16" in names) == bool(hwcap2 >> 14 & 1)
    assert ("sme" in names) == bool(hwcap2 >> 23 & 1)


@pytest.mark.parametrize("data", [b"", b"12345678"])
def test_what_is_no_vector_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match=f"got {len(data)} bytes"):
        features(data)


@pytest.mark.parametrize("cpu", CPUS)
def test_the_text_reads_back(cpu: str) -> None:
    name, flags = parse_cpuinfo(cpuinfo(cpu, ("asimd", "asimddp")))
    assert name.startswith("ARM implementer 0x41 part 0xd")
    assert flags == {"asimd", "asimddp"}
