"""One worker with models side by side."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from hwprofiles import load_profile
from latency import MeasurementError, Target

FEEDS = {"x": np.ones((1, 8), np.float32)}


def scaled(factor: float) -> bytes:
    weight = numpy_helper.from_array((factor * np.eye(8)).astype(np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], f"times{factor:g}")],
        "scaled",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 8])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def test_models_in_other_slots_stay() -> None:
    with Target(load_profile("local-cpu")) as target:
        target.load(scaled(2.0), FEEDS, slot="first")
        target.load(scaled(3.0), FEEDS)
        assert target.predict(FEEDS)["y"] == pytest.approx(3.0 * FEEDS["x"])
        assert [row["name"] for row in target.layers(2)] == ["times3"]
        assert [row["name"] for row in target.layers(2, slot="first")] == ["times2"]
        assert target.ratio("first", warm_up_s=0.01, budget_s=0.01) > 0


def test_a_baseline_that_was_never_loaded_is_named() -> None:
    with Target(load_profile("local-cpu")) as target:
        target.load(scaled(2.0), FEEDS)
        with pytest.raises(MeasurementError, match="slot 'first' is empty"):
            target.ratio("first", warm_up_s=0.01, budget_s=0.01)
