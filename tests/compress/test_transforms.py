"""What every transform promises on every kind of network, from no compression at all to as much as there is."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
import onnx
import pytest

from compress.candidate import Candidate
from compress.faithfulness import open_checked, relative_difference
from compress.network import Network, serialize
from compress.policy import Policy
from compress.stitch import Compressor
from compress.variants import VariantStore
from tests.compress.conftest import Loaded
from tests.compress.format_mixes import formats_for
from tests.compress.policies import in_format, masked, mixed, narrowed, uniform_format, uniform_rank
from tests.compress.zoo.case import Case, Feeds, GraphBuilder, vectors
from tests.compress.zoo.networks import read

_NETWORKS = (
    "plain_convolutions",
    "residual",
    "depthwise_clip",
    "concatenated",
    "grouped",
    "grouped_between",
    "one_dimensional",
    "transformer_block",
    "transposed_weight",
    "old_opset",
    "constant_nodes",
)


def _fewer_bits(compressor: Compressor, strength: int) -> Policy:
    """Every layer in the narrowest format down to 32, 8 and 4 bits that it can be in."""
    chain = ("fp32", "int8", "int4-weights")[: strength + 1]
    layers = mixed(compressor.network).layers
    chosen = {layer.name: [name for name in chain if name in formats_for(layer)] for layer in compressor.network.layers}
    return Policy({name: in_format(choice, chosen[name][-1]) for name, choice in layers.items()})


def _at(values: tuple[float, ...], make: Callable[[Compressor, float], Policy]) -> Callable[[Compressor, int], Policy]:
    return lambda compressor, strength: make(compressor, values[strength])


_TRANSFORMS: Mapping[str, Callable[[Compressor, int], Policy]] = MappingProxyType(
    {
        "bits": _fewer_bits,
        # Apart, for the scales of depthwise 8-bit weights take more than half precision saves.
        "half": lambda compressor, strength: uniform_format(compressor.network, ("fp32", "fp16")[strength]),
        "rank": _at((1.0, 0.75, 0.5, 0.25), uniform_rank),
        "channels": _at((0.0, 0.25, 0.5, 1.0), narrowed),
        "unstructured": _at((0.0, 0.3, 0.6, 0.9), lambda c, ratio: masked(c.network, "unstructured", ratio)),
        "2:4": _at((0.0, 0.5), lambda c, ratio: masked(c.network, "2:4", ratio)),
    }
)
_STRENGTHS = {"bits": 3, "half": 2, "2:4": 2}


@pytest.mark.parametrize("transform", _TRANSFORMS)
@pytest.mark.parametrize("name", _NETWORKS)
def test_transforms_keep_their_promises(load: Callable[[str], Loaded], name: str, transform: str) -> None:
    loaded = load(name)
    compressor, before = loaded.compressor(), onnx.load_model_from_string(loaded.network.onnx_bytes)
    strengths = range(_STRENGTHS.get(transform, 4))
    policies = [_TRANSFORMS[transform](compressor, strength) for strength in strengths]
    candidates = [compressor.build(policy) for policy in policies]
    identity = candidates[0]
    assert relative_difference(_outputs(loaded, identity), loaded.outputs) <= 1e-5
    for candidate in candidates:
        model = onnx.load_model_from_string(candidate.onnx_bytes)
        onnx.checker.check_model(model, full_check=True)
        for ours, theirs in ((model.graph.input, before.graph.input), (model.graph.output, before.graph.output)):
            assert [value.SerializeToString() for value in ours] == [value.SerializeToString() for value in theirs]
        assert np.isfinite(relative_difference(_outputs(loaded, candidate), loaded.outputs))
        assert _anew(loaded, candidate.policy).onnx_bytes == candidate.onnx_bytes
    measure = _weights_left if transform in ("unstructured", "2:4") else _constant_bytes
    sizes = [measure(candidate) for candidate in candidates]
    assert sizes == sorted(sizes, reverse=True)
    assert serialize(loaded.network.model) == loaded.network.onnx_bytes


def _outputs(loaded: Loaded, candidate: Candidate) -> list[np.ndarray]:
    """What the candidate answers, once it has been found to run as its policy says."""
    checked = open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs)
    assert checked.faithfulness.problems == ()
    outputs: list[np.ndarray] = checked.session.run(None, dict(loaded.case.example))
    return outputs


def _anew(loaded: Loaded, policy: Policy) -> Candidate:
    """The candidate, made without anything that was kept from others."""
    compressor = loaded.compressor(store=VariantStore(limit_bytes=0))
    return compressor.build(policy)


def _constant_bytes(candidate: Candidate) -> int:
    graph = onnx.load_model_from_string(candidate.onnx_bytes).graph
    return sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)


def _weights_left(candidate: Candidate) -> int:
    """Elements of weights that are not zero: what a mask leaves to store."""
    graph = onnx.load_model_from_string(candidate.onnx_bytes).graph
    weights = {node.input[1] for node in graph.node if node.op_type in ("Conv", "Gemm", "MatMul")}
    arrays = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer if tensor.name in weights]
    return sum(int(np.count_nonzero(array)) for array in arrays)


def test_every_transform_does_something(load: Callable[[str], Loaded]) -> None:
    """A suite whose policies are all FP32 would pass."""
    compressor = load("residual").compressor()
    for name, policy_of in _TRANSFORMS.items():
        found = {policy_of(compressor, strength).digest for strength in range(_STRENGTHS.get(name, 4))}
        assert len(found) == _STRENGTHS.get(name, 4), name


def wide_network() -> tuple[Network, Feeds]:
    """Products large enough for a BLAS to share them out among threads."""
    g = GraphBuilder(seed=90)
    x = g.node("Relu", g.node("Gemm", "x", g.weight("a.weight", 192, 384), g.bias("a.bias", 384)))
    x = g.node("Relu", g.node("Gemm", x, g.weight("b.weight", 384, 192), g.bias("b.bias", 192)))
    g.node("MatMul", x, g.weight("c.weight", 192, 96), to="y")
    proto = g.build({"x": ["batch", 192]}, {"y": ["batch", 96]})
    case = Case(proto=proto, example={"x": vectors(500, 192)}, layers=3)
    return read(case), case.example


_DIGESTS = """
from compress.statistics.calibration import calibrate
from compress.policy import FORMATS
from compress.formats.scheme import SCHEMES
from compress.stitch import Compressor
from tests.compress.policies import joint
from tests.compress.test_transforms import wide_network
from tests.compress.zoo.networks import network

for loaded, example in (network("residual"), network("transformer_block"), wide_network()):
    compressor = Compressor(loaded, calibrate(loaded, [example]), SCHEMES["u8s8"], formats=FORMATS, weight_block=16)
    print(*(compressor.build(joint(compressor, seed)).digest for seed in range(6)))
"""


@pytest.fixture(scope="module")
def digests_elsewhere() -> list[str]:
    """What processes with one and two threads print."""
    root = Path(__file__).parents[2]
    printed = []
    for threads in ("1", "2"):
        environment = {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads, "PYTHONHASHSEED": threads}
        done = subprocess.run(
            [sys.executable, "-c", _DIGESTS],
            cwd=root,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        printed.append(done.stdout)
    return printed


def test_the_same_policy_gives_the_same_bytes_in_every_process(digests_elsewhere: list[str]) -> None:
    """Whatever the number of threads and the order of hashes, calibration included."""
    one, two = digests_elsewhere
    assert len(set(one.split())) > 12
    assert one == two
