"""Candidates on the bench run as what they are called, on this machine's own runtime, or say what runs instead."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from compress.runtime import open_session
from hwprofiles import HardwareProfile, LayerShape, ProbedChoice, SshReach
from latency.probing import ChoiceRefused
from search.probing.bench import BlockBench
from search.probing.blocks import Block
from search.probing.shapes import SizedLayer
from tests.hwprofiles.probed_rows import profile_with

PROFILE = profile_with()


def sized(operator: str, weight: tuple[int, ...], positions: tuple[int, ...]) -> SizedLayer:
    shape = LayerShape.model_validate(
        {"operator": operator, "weight_shape": weight, "macs": math.prod(weight) * math.prod(positions)}
    )
    return SizedLayer(shape=shape, positions=positions)


CONV, MATMUL = sized("Conv", (16, 16, 3, 3), (6, 6)), sized("MatMul", (32, 32), (4,))


def bench(layer: SizedLayer, *, profile: HardwareProfile = PROFILE, batch_size: int = 1) -> BlockBench:
    return BlockBench(Block(layer=layer), profile=profile, batch_size=batch_size)


def choice(layer: SizedLayer, number_format: str, **changes: Any) -> ProbedChoice:
    values = {**layer.shape.model_dump(), "batch_size": 1, "chain": 4, "format": number_format}
    if number_format in ("int8", "int8-dynamic"):
        values["scheme"] = "u8s8"
    if number_format.endswith("-weights"):
        values |= {"weight_only_compute": "int8", "weight_block_size": 16}
    return ProbedChoice.model_validate(values | changes)


@pytest.mark.parametrize(
    ("layer", "number_format", "changes", "kernels"),
    [
        (CONV, "int8", {}, {"QLinearConv"}),
        (CONV, "int8", {"mixed": True}, {"QLinearConv", "Conv"}),
        (CONV, "int8", {"width": 12}, {"QLinearConv"}),
        (CONV, "int8", {"rank": 4}, {"QLinearConv"}),
        (CONV, "int8", {"sparsity": "2:4"}, {"QLinearConv"}),
        (MATMUL, "int8", {}, {"MatMulIntegerToFloat"}),
        (MATMUL, "int8", {"scheme": "symmetric"}, {"MatMulIntegerToFloat"}),
        (MATMUL, "int8-dynamic", {}, {"DynamicQuantizeMatMul"}),
        (MATMUL, "int4-weights", {}, {"MatMulNBits:4:int8"}),
        (MATMUL, "int4-weights", {"weight_only_compute": "float"}, {"MatMulNBits:4:float"}),
        (MATMUL, "int8-weights", {}, {"MatMulNBits:8:int8"}),
    ],
)
def test_candidates_run_as_they_are_called_and_answer_like_fp32(
    layer: SizedLayer, number_format: str, changes: dict[str, Any], kernels: set[str]
) -> None:
    made = bench(layer)
    built = made.build(choice(layer, number_format, **changes))
    assert built.instead == ""
    assert {kernel.removeprefix("Fused") for kernel in built.kernels} == kernels
    (found,) = open_session(built.onnx_bytes, session_entries=built.session_entries).run(None, made.feeds)
    if not {"width", "rank", "sparsity"} & set(changes):
        (wanted,) = open_session(made.baseline).run(None, made.feeds)
        assert np.linalg.norm(found - wanted) < 0.25 * np.linalg.norm(wanted)


def test_the_same_choice_is_the_same_bytes_on_another_bench() -> None:
    """Or a later session would not find its measurement."""
    for number_format in ("int8", "int8-dynamic", "int4-weights", "fp16"):
        wanted = choice(MATMUL, number_format)
        assert bench(MATMUL).build(wanted).onnx_bytes == bench(MATMUL).build(wanted).onnx_bytes
    assert bench(MATMUL).baseline == bench(MATMUL, batch_size=8).baseline


def test_inputs_have_the_batch_size() -> None:
    assert bench(CONV, batch_size=5).feeds["x"].shape == (5, 16, 6, 6)


def test_what_runs_in_other_kernels_says_which() -> None:
    """A Relu behind a symmetric convolution cannot be absorbed, so the runtime keeps it in float."""
    built = bench(CONV).build(choice(CONV, "int8", scheme="s8s8"))
    assert built.instead == f"the runtime runs it in {', '.join(built.kernels)}"
    assert not any(kernel.startswith("QLinear") for kernel in built.kernels)


def test_nobody_looks_at_kernels_of_another_machine() -> None:
    remote = PROFILE.model_copy(update={"reach": SshReach(host="board")})
    built = bench(CONV, profile=remote).build(choice(CONV, "int8", scheme="s8s8"))
    assert (built.kernels, built.instead) == ((), "")


def test_a_choice_that_the_layer_cannot_have_is_refused_with_the_reason() -> None:
    with pytest.raises(ChoiceRefused, match="a convolution has no int8-dynamic"):
        bench(CONV).build(choice(CONV, "int8-dynamic"))
