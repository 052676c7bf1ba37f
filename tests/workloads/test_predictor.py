"""ONNX Runtime as a function from feeds to outputs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from workloads import WorkloadError, onnx_predictor

Linear = Callable[..., bytes]


def batch_of(count: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(1).normal(size=(count, 3)).astype(dtype)


@pytest.mark.parametrize("batch", ["batch", 1, 4, 50])
@pytest.mark.parametrize("count", [1, 4, 10])
def test_batches_of_any_size_run_through_a_fixed_batch_axis(linear: Linear, batch: int | str, count: int) -> None:
    wanted = onnx_predictor(linear())({"x": batch_of(count)})["y"]
    outputs = onnx_predictor(linear(batch=batch, outputs=("y", "z")))({"x": batch_of(count)})
    assert sorted(outputs) == ["y", "z"]
    assert all(array.shape == (count, 2) for array in outputs.values())
    assert np.allclose(outputs["y"], wanted, atol=1e-6)


def test_a_file_runs_too(linear: Linear, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(linear())
    predict = onnx_predictor(path, threads=2, session_entries={"session.intra_op.allow_spinning": "0"})
    assert predict({"x": batch_of(2)})["y"].shape == (2, 2)


def test_session_entries_reach_the_session(linear: Linear) -> None:
    with pytest.raises(WorkloadError, match=r"ONNX Runtime does not load the network: .*Processor id must consist of"):
        onnx_predictor(linear(), threads=2, session_entries={"session.intra_op_thread_affinities": "nonsense"})


def test_what_cannot_be_loaded_is_refused(tmp_path: Path, linear: Linear) -> None:
    with pytest.raises(WorkloadError, match="ONNX Runtime does not load the network: ") as caught:
        onnx_predictor(b"not a network")
    assert "\n" not in str(caught.value)
    with pytest.raises(WorkloadError, match=r"there is no network at .*no\.onnx; give the path of an ONNX file"):
        onnx_predictor(tmp_path / "no.onnx")
    with pytest.raises(ValueError, match="threads must be positive, got 0"):
        onnx_predictor(linear(), threads=0)


@pytest.mark.parametrize(
    ("feeds", "message"),
    [
        ({"image": batch_of(2)}, r"the network takes the inputs \['x'\] but the data gives \['image'\]"),
        ({"x": batch_of(2), "y": batch_of(2)}, r"takes the inputs \['x'\] but the data gives \['x', 'y'\]"),
        (
            {"x": batch_of(2, np.float64)},
            r"input 'x' takes float32 \(batch, 3\) but the data gives float64 \(2, 3\); convert the data",
        ),
        ({"x": batch_of(2)[:, :2]}, r"takes float32 \(batch, 3\) but the data gives float32 \(2, 2\)"),
        ({"x": batch_of(2)[0]}, r"takes float32 \(batch, 3\) but the data gives float32 \(3\)"),
    ],
)
def test_feeds_that_do_not_fit_are_refused(linear: Linear, feeds: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        onnx_predictor(linear())(feeds)


def test_float16_inputs_are_known(linear: Linear) -> None:
    predict = onnx_predictor(linear(dtype=TensorProto.FLOAT16))
    assert predict({"x": batch_of(2, np.float16)})["y"].dtype == np.float16
    with pytest.raises(WorkloadError, match="takes float16"):
        predict({"x": batch_of(2)})


def model_of(nodes: list[Any], inputs: dict[str, list[Any]], output: list[Any]) -> bytes:
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, output)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_inputs_of_two_fixed_batch_sizes_are_refused() -> None:
    model = model_of([helper.make_node("Add", ["a", "b"], ["y"])], {"a": [1, 3], "b": [4, 3]}, [4, 3])
    with pytest.raises(WorkloadError, match=r"'a': '\(1, 3\)', 'b': '\(4, 3\)'.* differ in their first axis"):
        onnx_predictor(model)


def test_an_output_without_the_batch_axis_cannot_be_put_together() -> None:
    model = model_of([helper.make_node("ReduceSum", ["x"], ["y"], keepdims=0)], {"x": [2, 3]}, [])
    with pytest.raises(WorkloadError, match=r"output 'y' has shape \(\) for a batch of 2; the first axis must be"):
        onnx_predictor(model)({"x": batch_of(4)})


def test_a_run_that_fails_says_so_in_one_line() -> None:
    model = model_of([helper.make_node("Add", ["a", "b"], ["y"])], {"a": ["n", "p"], "b": ["n", "q"]}, ["n", "r"])
    with pytest.raises(WorkloadError, match=r"ONNX Runtime failed on feeds of shapes {'a': \(2, 3\), 'b': \(2, 2\)}"):
        onnx_predictor(model)({"a": batch_of(2), "b": batch_of(2)[:, :2]})
