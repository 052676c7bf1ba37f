"""The scheme follows from the instructions, and a machine's identity from what decides its speed."""

from __future__ import annotations

import dataclasses
import os

import pytest

from hwprofiles import Machine, detect_machine, int8_scheme
from hwprofiles.detect import parse_cpuinfo

SERVER = Machine(
    cpu="A CPU",
    architecture="x86_64",
    flags=("avx2", "avx512_vnni", "avx512f"),
    physical_cores=4,
    logical_cores=8,
    memory_bytes=1 << 34,
    os="Linux 6.1",
    python="3.11.7",
)


@pytest.mark.parametrize(
    ("architecture", "flags", "scheme", "word"),
    [
        ("x86_64", ("avx2", "avx512_vnni", "avx512f"), "u8s8", "avx512_vnni"),
        ("amd64", ("avx2", "avx_vnni"), "u8s8", "avx_vnni"),
        ("x86_64", ("amx_int8", "avx2"), "u8s8", "amx_int8"),
        ("x86_64", ("avx2", "avx512f"), "u8s7", "no VNNI"),
        ("x86_64", ("avx2",), "u8s7", "saturate"),
        ("x86_64", ("sse4_1",), "none", "without AVX2"),
        ("aarch64", ("asimd", "asimddp"), "u8s8", "dot product"),
        ("arm64", ("i8mm",), "u8s8", "dot product"),
        ("aarch64", ("asimd",), "none", "without 8-bit dot product"),
        ("riscv64", (), "none", "riscv64"),
    ],
)
def test_scheme_follows_from_the_instructions(
    architecture: str, flags: tuple[str, ...], scheme: str, word: str
) -> None:
    found, reason = int8_scheme(dataclasses.replace(SERVER, architecture=architecture, flags=flags))
    assert found == scheme
    assert word in reason


def test_this_machine_is_seen_as_it_is() -> None:
    machine = detect_machine()
    assert machine.cpu
    assert 1 <= machine.physical_cores <= machine.logical_cores
    if hasattr(os, "sched_getaffinity"):
        assert machine.logical_cores == len(os.sched_getaffinity(0))
    assert machine.memory_bytes > 1 << 28
    assert machine == detect_machine()


def test_identity_is_what_decides_the_speed() -> None:
    assert len(SERVER.hardware_id) == 12
    same = dataclasses.replace(SERVER, os="Linux 9", python="3.14.0", memory_bytes=1)
    assert same.hardware_id == SERVER.hardware_id
    for change in ({"cpu": "B"}, {"architecture": "aarch64"}, {"flags": ("avx2",)}, {"logical_cores": 4}):
        assert dataclasses.replace(SERVER, **change).hardware_id != SERVER.hardware_id  # type: ignore[arg-type]


def test_cpuinfo_of_an_x86_machine() -> None:
    core = "processor\t: {}\nmodel name\t: Fast CPU\nflags\t\t: fpu avx2 {}\n\n"
    name, flags = parse_cpuinfo(core.format(0, "avx512_vnni") + core.format(1, ""))
    assert name == "Fast CPU"
    assert flags == {"fpu", "avx2"}, "an instruction that one core lacks cannot be used"


def test_cpuinfo_of_an_arm_machine_names_its_parts() -> None:
    core = "processor\t: {}\nFeatures\t: asimd asimddp\nCPU implementer\t: 0x41\nCPU part\t: {}\n\n"
    name, flags = parse_cpuinfo(core.format(0, "0xd05") + core.format(1, "0xd0b") + core.format(2, "0xd0b"))
    assert name == "ARM implementer 0x41 part 0xd05+0xd0b"
    assert flags == {"asimd", "asimddp"}


def test_cpuinfo_without_anything_known_is_empty() -> None:
    assert parse_cpuinfo("isa : rv64imafdc\n") == ("", set())
