"""Everything that a board takes part in, without a board: OpenSSH's server, and an aarch64 Python behind it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile
from latency.emulation.command import emulator_command
from latency.emulation.root import Root
from latency.target import Target

CPU = "cortex-a76"


def small_network() -> bytes:
    """A convolution, a clip and a matrix product, on images of 8 × 8."""
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(4, 1, 3, 3)).astype(np.float32)
    weights = rng.normal(size=(4 * 36, 10)).astype(np.float32)
    nodes = [
        helper.make_node("Conv", ["x", "kernel"], ["c"]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Flatten", ["r"], ["f"]),
        helper.make_node("MatMul", ["f", "weights"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 1, 8, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.arm
def test_arm_over_ssh_end_to_end(sshd: Any, arm_root: Root, profile: HardwareProfile) -> None:
    """The real aarch64 runtime answers over SSH as x86 does here, takes samples, and leaves nothing behind."""
    import onnxruntime

    model = small_network()
    samples = {"x": np.random.default_rng(1).normal(size=(3, 1, 8, 8)).astype(np.float32)}
    here = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    reach = sshd.reach(python_command=tuple(emulator_command(arm_root, CPU)))
    board = profile.model_copy(update={"reach": reach})
    with Target(board) as target:
        assert target.runtime.startswith("onnxruntime ")
        assert target.machine.architecture == "aarch64"
        assert "asimddp" in target.machine.flags
        target.load(model, {"x": samples["x"][:1]})
        np.testing.assert_allclose(target.predict(samples)["y"], here.run(None, samples)[0], rtol=1e-5, atol=1e-5)
        fields = {"slots": ["model", "model"], "budget_s": 0.0, "min_rounds": 1, "limit_s": 60.0}
        answer = target.request("time_interleaved", **fields)
        assert all(len(rows) == 2 * stay for rows, stay in zip(answer["samples"], answer["stays"], strict=True))
        assert all(row[0] > 0 for rows in answer["samples"] for row in rows)
    assert sshd.sessions() == []
