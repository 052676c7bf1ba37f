"""What we export is what TensorRT takes: NVIDIA's TensorRT-RTX parses and builds it, which needs no GPU.

Its own description of what it built says that a layer which the policy has in 8 bits computes in 8 bits.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

from compress.policy import FORMATS, Policy
from compress.stitch import Compressor
from latency.worker.engine import EngineError
from latency.worker.onnx_model import read_facts
from latency.worker.tensorrt_build import ParsedNetwork, build_engine, make_log
from latency.worker.tensorrt_rtx_engine import TensorRtRtxEngine
from tests.latency.gpu.write_models import NAMES, build, prepare

pytestmark = pytest.mark.tensorrt

SHAPES = {"image": (1, 1, 28, 28)}


@pytest.fixture(scope="module")
def trt() -> ModuleType:
    return pytest.importorskip("tensorrt_rtx", reason="no tensorrt_rtx on this machine; install the extra dev")


@pytest.fixture(scope="module")
def compressor() -> Compressor:
    return prepare()[1]


class BuiltLayer(NamedTuple):
    """What TensorRT says of one layer that it built."""

    nodes: set[str]
    kind: str
    inputs: set[str]


def build_telling(trt: ModuleType, model: bytes, *, sparse: bool = False) -> tuple[bytes, list[BuiltLayer]]:
    """The engine, and its layers as the builder's log describes them: no GPU, no inspector."""
    lines: list[str] = []
    log = make_log(trt, lambda severity, text: lines.append(text))
    data = build_engine(trt, model, SHAPES, sparse_weights=sparse, log=log)
    text = next(line for line in lines if line.startswith("Layers:\n"))
    return data, [
        BuiltLayer(
            nodes=set(re.findall(r"\[ONNX Layer: ([^\]]*)\]", line)),
            kind=re.findall(r"LayerType: (\w+)", line)[0],
            inputs=set(re.findall(r"Datatype: (\w+)", line.partition("Outputs:")[0])),
        )
        for line in text.splitlines()[1:]
        if "LayerType" in line
    ]


def computing(layers: list[BuiltLayer]) -> list[BuiltLayer]:
    """The layers that multiply, rather than move or round."""
    return [layer for layer in layers if layer.kind in {"correlation", "gemm", "convolution"}]


@pytest.mark.parametrize("name", NAMES)
def test_what_we_export_is_built(trt: ModuleType, compressor: Compressor, name: str) -> None:
    data, layers = build_telling(trt, build(compressor, name).onnx_bytes, sparse="2:4" in name)
    assert len(data) > 100_000
    assert computing(layers)


@pytest.mark.parametrize("capability", ["SM86", "SM89", "SM120"])
def test_engine_can_be_for_one_kind_of_gpu(trt: ModuleType, compressor: Compressor, capability: str) -> None:
    data = build_engine(trt, build(compressor, "int8").onnx_bytes, SHAPES, capability=capability)
    assert len(data) > 100_000


def test_kind_of_gpu_that_cannot_run_the_network_says_why(trt: ModuleType, baseline: bytes, tmp_path: Path) -> None:
    """TensorRT-RTX has no 32-bit matrix product for Turing, which a T4 is.

    In a process of its own: after such a refusal TensorRT-RTX 1.7 builds 8-bit convolutions in 32 bits.
    """
    (tmp_path / "model.onnx").write_bytes(baseline)
    program = (
        "import sys, tensorrt_rtx; from latency.worker.tensorrt_build import build_engine;"
        "build_engine(tensorrt_rtx, open(sys.argv[1], 'rb').read(), {'x': (1, 8)}, capability='SM75')"
    )
    arguments = [sys.executable, "-c", program, str(tmp_path / "model.onnx")]
    root = Path(__file__).parents[3]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=root, check=False, timeout=120)
    assert "EngineError: TensorRT did not build the model: " in done.stderr
    assert "SM75" in done.stderr


def test_layers_in_8_bits_compute_in_8_bits(trt: ModuleType, compressor: Compressor) -> None:
    model = build(compressor, "int8").onnx_bytes
    _, layers = build_telling(trt, model)
    multiplying = [name for name, operator in read_facts(model).operators.items() if operator in {"Conv", "Gemm"}]
    in_8_bits = {node for layer in computing(layers) if layer.inputs & {"Int8"} for node in layer.nodes}
    assert len(multiplying) == len(compressor.network.layers)
    assert set(multiplying) - in_8_bits == set()


def test_no_layer_computes_in_8_bits_unasked(trt: ModuleType, compressor: Compressor) -> None:
    """Strongly typed: with one layer in 8 bits, the others stay as the policy says."""
    first, *others = compressor.network.layers
    policy = Policy({first.name: FORMATS["int8"], **{layer.name: FORMATS["fp16"] for layer in others}})
    model = compressor.build(policy).onnx_bytes
    _, layers = build_telling(trt, model)
    asked = {name for name in read_facts(model).operators if "quantize" in name}
    with_8_bits = [layer for layer in computing(layers) if "Int8" in layer.inputs]
    assert len(with_8_bits) == 1
    assert with_8_bits[0].nodes & asked
    assert sum("Half" in layer.inputs for layer in computing(layers)) >= 1


def test_asymmetric_activations_are_refused_with_the_reason(trt: ModuleType, compressor: Compressor) -> None:
    """Why the profile's scheme must be symmetric: other 8-bit networks do not parse."""
    from compress.formats.scheme import SCHEMES

    asymmetric = Compressor(compressor.network, compressor.calibration, SCHEMES["u8s8"], formats=("fp32", "int8"))
    policy = Policy({layer.name: FORMATS["int8"] for layer in compressor.network.layers})
    with pytest.raises(
        EngineError, match=r"zero point is not supported.* at QuantizeLinear 'image@quantize'"
    ) as caught:
        build_engine(trt, asymmetric.build(policy).onnx_bytes, SHAPES)
    assert caught.value.kind == "model_refused"


def test_same_model_gives_engines_of_the_same_size(trt: ModuleType, compressor: Compressor) -> None:
    model = build(compressor, "int8").onnx_bytes
    first, second = (build_engine(trt, model, SHAPES) for _ in range(2))
    assert abs(len(first) - len(second)) < 0.01 * len(first)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"image": (1, 3, 28, 28)}, r"input 'image' has shape \(-1, 1, 28, 28\) in the model, got \(1, 3, 28, 28\)"),
        ({"picture": (1, 1, 28, 28)}, r"inputs are \['image'\], got \['picture'\]"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(
    trt: ModuleType, compressor: Compressor, shapes: dict[str, tuple[int, ...]], words: str
) -> None:
    with pytest.raises(EngineError, match=words) as caught:
        build_engine(trt, compressor.network.onnx_bytes, shapes)
    assert caught.value.kind == "inputs"


def test_broken_models_are_refused_with_the_parsers_words(trt: ModuleType, broken_model: bytes) -> None:
    for model, words in ((broken_model, "Plugin not found.* at NoSuchOperator"), (b"not a model", "parse the ONNX")):
        with pytest.raises(EngineError, match=words) as caught:
            ParsedNetwork(trt, model, make_log(trt))
        assert caught.value.kind == "model_refused"


def test_engine_without_a_gpu_says_what_is_missing(trt: ModuleType, baseline: bytes) -> None:
    """Building works without one; running must not pretend to."""
    engine = TensorRtRtxEngine()
    try:
        engine.accelerator(0)
    except EngineError:
        settings = {"provider": "TensorRT-RTX", "threads": 1, "spinning": True, "session_entries": {}}
        with pytest.raises(EngineError, match=r"no NVIDIA driver|nvidia-smi|this machine has 0 GPUs") as caught:
            engine.load(baseline, settings)
        assert caught.value.kind == "accelerator_missing"
    else:
        pytest.skip("this machine has a GPU; tests/latency/gpu runs there")
