"""Triton's own message definitions read what we write, and what it serves is what was measured."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from compress.runtime import open_session
from deploy.errors import BundleError
from deploy.exportable import Exportable
from deploy.manifest import TensorSpec
from deploy.tensor_specs import read_specs
from deploy.triton import Served, triton_repository
from hwprofiles import Engine


@pytest.fixture(scope="session")
def definitions() -> ModuleType:
    """`model_config_pb2` of tritonclient, by itself: its package wants gRPC, which messages do not need."""
    try:
        files = importlib.metadata.files("tritonclient") or []
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("tritonclient, which ships Triton's message definitions, is not installed")
    path = next(file for file in files if str(file) == "tritonclient/grpc/model_config_pb2.py").locate()
    spec = importlib.util.spec_from_file_location("model_config_pb2", str(path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def served(point_before: Exportable) -> Served:
    inputs, outputs = read_specs(point_before.onnx_bytes)
    return Served(
        name="tiny",
        onnx_bytes=point_before.onnx_bytes,
        session_entries=point_before.session_entries,
        inputs=inputs,
        outputs=outputs,
        engine=point_before.profile.engine,
        feeds=point_before.feeds,
    )


def config_of(definitions: ModuleType, served: Served) -> Any:
    from google.protobuf import text_format

    files = triton_repository(served)
    (path,) = [path for path in files if path.endswith("config.pbtxt")]
    return text_format.Parse(files[path].decode(), definitions.ModelConfig())


def test_the_configuration_says_how_it_was_measured(definitions: ModuleType, served: Served) -> None:
    config = config_of(definitions, replace(served, engine=Engine(threads=3, batch_size=4)))
    assert (config.name, config.backend, config.max_batch_size) == ("tiny", "onnxruntime", 4)
    assert config.default_model_filename == "model.onnx"
    assert [(each.name, each.data_type, list(each.dims)) for each in config.input] == [
        ("x", definitions.TYPE_FP32, [3, 24, 24])
    ]
    assert [(each.name, each.data_type, list(each.dims)) for each in config.output] == [
        ("y", definitions.TYPE_FP32, [4])
    ]
    (group,) = config.instance_group
    assert (group.count, group.kind) == (1, definitions.ModelInstanceGroup.KIND_CPU)
    assert config.parameters["intra_op_thread_count"].string_value == "3"
    assert config.parameters["inter_op_thread_count"].string_value == "1"
    assert not config.HasField("dynamic_batching")


def test_session_entries_that_triton_cannot_set_are_in_the_graph_that_it_serves(
    definitions: ModuleType, served: Served
) -> None:
    """Triton's backend passes few entries on: the graph is as ONNX Runtime optimized it with them."""
    assert served.session_entries
    network = triton_repository(served)["triton/tiny/1/model.onnx"]
    assert network != served.onnx_bytes
    assert config_of(definitions, served).optimization.graph.level == 2
    as_measured = open_session(served.onnx_bytes, session_entries=served.session_entries)
    as_served = open_session(network, optimize=False)
    feeds = {"x": np.random.default_rng(5).normal(size=(3, 3, 24, 24)).astype(np.float32)}
    np.testing.assert_array_equal(as_measured.run(None, feeds)[0], as_served.run(None, feeds)[0])


def test_a_network_that_needs_no_entry_is_served_byte_for_byte(definitions: ModuleType, served: Served) -> None:
    plain = replace(served, session_entries={})
    assert triton_repository(plain)["triton/tiny/1/model.onnx"] == served.onnx_bytes
    assert not config_of(definitions, plain).HasField("optimization")


def test_a_fixed_batch_is_no_batching_to_triton(definitions: ModuleType, served: Served) -> None:
    fixed = replace(
        served,
        session_entries={},
        inputs=(TensorSpec(name="x", dtype="int64", shape=(1, 128)),),
        outputs=(TensorSpec(name='an "odd" name', dtype="float16", shape=(1, "length", -1)),),
    )
    config = config_of(definitions, fixed)
    assert config.max_batch_size == 0
    assert (config.input[0].data_type, list(config.input[0].dims)) == (definitions.TYPE_INT64, [1, 128])
    assert config.output[0].name == 'an "odd" name'
    assert (config.output[0].data_type, list(config.output[0].dims)) == (definitions.TYPE_FP16, [1, -1, -1])


def test_one_number_per_sample_is_reshaped(definitions: ModuleType, served: Served) -> None:
    score = replace(served, session_entries={}, outputs=(TensorSpec(name="s", dtype="float32", shape=("n",)),))
    (output,) = config_of(definitions, score).output
    assert list(output.dims) == [1]
    assert output.HasField("reshape")
    assert list(output.reshape.shape) == []


def test_a_gpu_gets_its_accelerator_and_its_device(definitions: ModuleType, served: Served) -> None:
    engine = Engine(name="onnxruntime-cuda", device=1, options=(("cudnn_conv_use_max_workspace", "1"),))
    config = config_of(definitions, replace(served, engine=engine))
    (group,) = config.instance_group
    assert (group.kind, list(group.gpus)) == (definitions.ModelInstanceGroup.KIND_GPU, [1])
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert accelerator.name == "cuda"
    assert dict(accelerator.parameters) == {"cudnn_conv_use_max_workspace": "1"}


def test_a_built_engine_is_served_by_tensorrt(definitions: ModuleType, served: Served) -> None:
    built = replace(served, engine=Engine(name="tensorrt"), plan=b"plan")
    assert triton_repository(built)["triton/tiny/1/model.plan"] == b"plan"
    config = config_of(definitions, built)
    assert (config.backend, config.default_model_filename) == ("tensorrt", "model.plan")
    assert not config.parameters


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": Engine(name="tensorrt-rtx")}, "Triton has no backend for TensorRT for RTX"),
        ({"engine": Engine(name="tensorrt")}, "the engine that was timed was not kept"),
        ({"inputs": (TensorSpec(name="x", dtype="complex64", shape=(1,)),)}, "no type for input 'x' of complex64"),
    ],
)
def test_what_triton_cannot_serve_is_refused(served: Served, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(BundleError, match=reason):
        triton_repository(replace(served, **changes))


def test_a_name_becomes_one_that_a_folder_takes(served: Served) -> None:
    files = triton_repository(replace(served, name="my net/ü", session_entries={}))
    assert set(files) == {"triton/my_net__/config.pbtxt", "triton/my_net__/1/model.onnx"}
