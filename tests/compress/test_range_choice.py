"""The way of choosing ranges that leaves a network's answers closest to FP32."""

import numpy as np
import pytest

from compress.faithfulness import relative_difference
from compress.formats.scheme import SCHEMES
from compress.policy import INT8, Policy
from compress.range_choice import DEFAULT_SAMPLES, choose_range_method
from compress.runtime import open_session
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from tests.compress.zoo.case import Case, GraphBuilder
from tests.compress.zoo.networks import read


def _case(outlier: float) -> Case:
    """Two products; one element in 32,768 of what the first reads is an outlier."""
    g = GraphBuilder(seed=80)
    x = g.node("Gemm", "x", g.weight("a.weight", 32, 32), g.bias("a.bias", 32))
    g.node("Gemm", x, g.weight("b.weight", 32, 8), g.bias("b.bias", 8), to="y")
    samples = np.random.default_rng(0).uniform(-1, 1, (1024, 32)).astype(np.float32)
    # Behind the samples that are compared.
    samples[500, 9] = outlier
    return Case(proto=g.build({"x": ["batch", 32]}, {"y": ["batch", 8]}), example={"x": samples}, layers=2)


def _differences(compressor: Compressor, x: np.ndarray) -> dict[str, float]:
    feeds = {"x": x[:DEFAULT_SAMPLES]}
    wanted = open_session(compressor.network.onnx_bytes).run(None, feeds)
    policy = Policy.uniform([layer.name for layer in compressor.network.layers], INT8)
    found = {}
    for method in RANGE_METHODS:
        candidate = compressor.with_range_method(method).build(policy)
        session = open_session(candidate.onnx_bytes, session_entries=candidate.session_entries)
        found[method] = relative_difference(session.run(None, feeds), wanted)
    return found


@pytest.mark.parametrize(("outlier", "rules_out"), [(300.0, "minmax"), (1.0, None)])
def test_the_closest_method_is_chosen(outlier: float, rules_out: str | None) -> None:
    """With a rare value 300 times as large as the others, the widest range rounds all of them away."""
    case = _case(outlier)
    network = read(case)
    compressor = Compressor(network, calibrate(network, [case.example]), SCHEMES["u8s8"])
    chosen = choose_range_method(compressor, [case.example])
    differences = _differences(compressor, case.example["x"])
    assert differences[chosen] == min(differences.values())
    assert chosen != rules_out
    if rules_out:
        assert differences[chosen] < 0.5 * differences[rules_out]
    assert compressor.range_method == "minmax"
