"""Rows of a runtime's profiler are put down to the network's layers, whatever the runtime has made of their names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from compress.formats.scheme import SCHEMES
from compress.network import Network, load_network
from compress.policy import INT8, Policy
from compress.runtime import FAITHFUL_SESSION_ENTRIES
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from hwprofiles import EmulatedReach, HardwareProfile
from latency import MeasurementError, Samples
from search.layers.times import LayerTimes, collect, time_layers

WHOLE = Samples(wall_ms=(0.004, 0.005, 0.009), cpu_ms=(0.004, 0.005, 0.005), switches=(0, 0, 1))
FEEDS = {"x": np.ones((1, 3, 8, 8), np.float32)}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    """Two convolutions with a residual sum, and a head."""
    rng = np.random.default_rng(0)
    shapes = {"conv1.weight": (32, 3, 3, 3), "conv2.weight": (32, 32, 3, 3), "head.weight": (4, 32)}
    weights = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes = [
        helper.make_node("Conv", ["x", "conv1.weight"], ["a"], "c1", pads=[1] * 4),
        helper.make_node("Relu", ["a"], ["b"], "r1"),
        helper.make_node("Conv", ["b", "conv2.weight"], ["c"], "c2", pads=[1] * 4),
        helper.make_node("Add", ["b", "c"], ["d"], "sum"),
        helper.make_node("GlobalAveragePool", ["d"], ["e"], "pool"),
        helper.make_node("Flatten", ["e"], ["f"], "flat"),
        helper.make_node("Gemm", ["f", "head.weight"], ["y"], "fc", transB=1),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 8, 8])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4])]
    graph = helper.make_graph(nodes, "net", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = tmp_path_factory.mktemp("network") / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return load_network(Path(path), FEEDS)


def row(name: str, median_ns: float = 1000.0, **changes: Any) -> dict[str, Any]:
    return {"name": name, "operator": "Conv", "kernel": "Conv", "median_ns": median_ns, "calls": 1, **changes}


def collected(network: Network, *rows: dict[str, Any]) -> LayerTimes:
    return collect(network, rows, whole=WHOLE, threads=1, repeats=3, runtime="onnxruntime 1.32.0")


def test_shares_sum_and_order(network: Network) -> None:
    times = collected(network, row("c1", 1000.0), row("pool", 500.0), row("c2", 2500.0))
    assert [one.share for one in times.rows] == [0.25, 0.125, 0.625]
    assert [one.order for one in times.by_time()] == [2, 0, 1]
    assert (times.sum_ms, times.whole_ms) == (0.004, 0.005)
    assert times.unmatched == ("head",)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("c1", ("conv1",)),
        ("b_nchwc", ("conv1",)),  # ONNX Runtime, fused with its Relu and laid out in blocks of channels
        ("c1_token_7_nchwc_kernel_time", ("conv1",)),
        ("c2_quant", ("conv2",)),
        ("c1@first_token_4", ("conv1",)),  # the first of the two factors that it has become
        ("c1 + r1", ("conv1",)),  # TensorRT
        ("c2 + sum", ("conv2",)),
        ("{ForeignNode[c1...fc]}", ()),  # three dots hide what is in between
        ("pool", ()),
        ("c11", ()),
    ],
)
def test_what_runtimes_make_of_a_name(network: Network, name: str, layers: tuple[str, ...]) -> None:
    assert collected(network, row(name)).rows[0].layers == layers


def test_a_fused_row_carries_out_several_layers(network: Network) -> None:
    assert collected(network, row("c1 + r1 || c2")).rows[0].layers == ("conv1", "conv2")


def test_where_others_had_the_processor_a_whole_inference_is_its_processor_time(network: Network) -> None:
    crowded = Samples(wall_ms=(0.010, 0.012, 0.030), cpu_ms=(0.005, 0.006, 0.006), switches=(1, 1, 1))
    for threads, expected in ((1, (0.006, True)), (2, (0.012, False))):
        times = collect(network, [row("c1")], whole=crowded, threads=threads, repeats=3, runtime="onnxruntime 1.32.0")
        assert (times.whole_ms, times.crowded) == expected


def test_a_compressed_network_is_named_after_its_operators_or_after_where_it_comes_from(
    network: Network, profile: HardwareProfile
) -> None:
    names = [layer.name for layer in network.layers]
    calibration = calibrate(network, [FEEDS])
    compressor = Compressor(network, calibration, SCHEMES["u8s8"], formats=("fp32", "int8"))
    candidate = compressor.build(Policy.uniform(names, INT8))
    alone = load_network(candidate.onnx_bytes, FEEDS)
    for named_by, expected in ((network, {"conv1", "conv2", "head"}), (alone, {"c1", "c2", "fc"})):
        times = time_layers(
            candidate.onnx_bytes, named_by, FEEDS, profile, repeats=3, session_entries=FAITHFUL_SESSION_ENTRIES
        )
        assert {layer for one in times.rows for layer in one.layers} == expected
        assert {one.kernel for one in times.rows if one.layers} <= {"QLinearConv", "QGemm"}


def test_nothing_is_timed_where_time_says_nothing(network: Network, profile: HardwareProfile) -> None:
    emulated = profile.model_copy(update={"reach": EmulatedReach()})
    with pytest.raises(MeasurementError, match="is emulated"):
        time_layers(network.onnx_bytes, network, FEEDS, emulated, repeats=3, session_entries={})


def test_rows_of_a_real_worker_name_every_layer(network: Network, profile: HardwareProfile) -> None:
    times = time_layers(
        network.onnx_bytes, network, FEEDS, profile, repeats=3, session_entries=FAITHFUL_SESSION_ENTRIES
    )
    assert times.unmatched == ()
    assert {layer for one in times.rows for layer in one.layers} == {"conv1", "conv2", "head"}
    assert sum(one.share for one in times.rows) == pytest.approx(1.0)
    assert all(one.median_ms >= 0 and one.calls >= 1 for one in times.rows)
    assert times.whole_ms > 0
    assert times.runtime.startswith("onnxruntime ")
