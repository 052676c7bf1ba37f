"""What the profiles that paretune ships have in common, and what their makers' documents say of each."""

from __future__ import annotations

import pytest

from hwprofiles import HardwareProfile, Machine, list_profiles, load_profile

BOARDS = {"raspberry-pi-4", "raspberry-pi-5", "jetson-orin"}
SERVERS = {"x86-avx2", "x86-avx512-vnni", "graviton3", "nvidia-t4", "nvidia-l4", "nvidia-h100"}
TENSORRT = {"jetson-orin", "nvidia-t4", "nvidia-l4", "nvidia-h100"}
RUNTIME_ONLY = {"int8-dynamic", "int8-weights", "int4-weights"}
"""Formats that are carried out by operators of ONNX Runtime's own."""


def machine(architecture: str = "x86_64", cpu: str = "A processor", **changes: object) -> Machine:
    values: dict[str, object] = {
        "flags": (),
        "physical_cores": 4,
        "logical_cores": 4,
        "memory_bytes": 2**33,
        "os": "Linux 6",
        "python": "3.11",
    }
    return Machine(cpu=cpu, architecture=architecture, **{**values, **changes})  # type: ignore[arg-type]


def test_the_targets_of_the_field_are_there() -> None:
    assert BOARDS | SERVERS | {"local-cpu"} <= set(list_profiles())


@pytest.mark.parametrize("name", list_profiles())
def test_shipped_profile_is_cited_and_claims_no_measurement(name: str) -> None:
    profile = load_profile(name)
    assert profile.sources
    assert [source for source in profile.sources if not source.startswith("https://")] == []
    assert not profile.probed


@pytest.mark.parametrize("name", list_profiles())
def test_scheme_formats_and_engine_agree(name: str) -> None:
    profile = load_profile(name)
    offered, scheme = set(profile.formats.offered), profile.formats.int8_scheme
    assert scheme != "auto", "only the machine that is at hand can be asked"
    assert bool(offered & {"int8", "int8-dynamic"}) == (scheme != "none")
    if profile.engine.name.startswith("tensorrt"):
        assert scheme in {"symmetric", "none"}
        assert not offered & RUNTIME_ONLY
    else:
        assert scheme != "symmetric"


@pytest.mark.parametrize("name", sorted(BOARDS))
def test_a_board_is_reached_over_ssh_and_has_no_hourly_price(name: str) -> None:
    profile = load_profile(name)
    assert profile.reach.transport == "ssh"
    assert profile.reach.user is None
    assert profile.price_per_hour_usd is None
    moved = profile.with_host("me@10.0.0.7:2222").reach
    assert moved.transport == "ssh"
    assert (moved.user, moved.host, moved.port) == ("me", "10.0.0.7", 2222)


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_a_server_is_where_one_stands(name: str) -> None:
    assert load_profile(name).reach.transport == "local"


@pytest.mark.parametrize("name", sorted(TENSORRT))
def test_sparse_tensor_cores_came_after_turing(name: str) -> None:
    profile = load_profile(name)
    assert profile.engine.name == "tensorrt"
    assert profile.engine.runs_on_gpu
    assert ("2:4" in profile.sparsity.patterns) == (name != "nvidia-t4")


def test_cortex_a72_has_no_8_bit_dot_product_and_cortex_a76_has() -> None:
    older, newer = load_profile("raspberry-pi-4").formats, load_profile("raspberry-pi-5").formats
    assert older.offered == ("fp32", "int8-weights", "int4-weights")
    assert older.weight_only_compute == "float"
    assert newer.int8_scheme == "u8s8"
    assert {"fp16", "int8"} <= set(newer.offered)


def test_without_vnni_weights_have_7_bits() -> None:
    assert load_profile("x86-avx2").formats.int8_scheme == "u8s7"
    assert load_profile("x86-avx512-vnni").formats.int8_scheme == "u8s8"


@pytest.mark.parametrize(
    ("name", "found", "missing"),
    [
        ("local-cpu", machine(), ()),
        ("x86-avx2", machine(flags=("avx2",)), ()),
        ("x86-avx512-vnni", machine(flags=("avx2",)), ("avx512f", "avx512_vnni")),
        ("graviton3", machine(flags=("avx2",)), ("aarch64", "asimddp", "i8mm", "bf16", "sve")),
        ("raspberry-pi-4", machine("aarch64", "Raspberry Pi 4 Model B Rev 1.4"), ()),
        ("raspberry-pi-4", machine("aarch64", "Raspberry Pi 5 Model B Rev 1.0"), ("Raspberry Pi 4",)),
        ("jetson-orin", machine("aarch64", "NVIDIA Jetson AGX Orin Developer Kit"), ()),
        ("nvidia-h100", machine(accelerator="NVIDIA H100 80GB HBM3, driver 570.1"), ()),
        ("nvidia-h100", machine(accelerator="NVIDIA L4, driver 570.1"), ("H100",)),
        ("nvidia-t4", machine(), ("T4",)),
    ],
)
def test_a_profile_knows_its_machine(name: str, found: Machine, missing: tuple[str, ...]) -> None:
    profile: HardwareProfile = load_profile(name)
    assert profile.missing_on(found) == missing
