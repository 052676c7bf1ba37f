"""Layers refitted one after another answer more like the original network, and just like it where that is possible."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.faithfulness import open_checked, relative_difference
from compress.graph import operand
from compress.narrowing import sparse
from compress.network import load_network
from compress.policy import INT8, LayerPolicy, Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.float_structure import FloatStructure
from compress.recovery.lessons import Lessons
from compress.recovery.reconstruct import METHOD, reconstruct
from compress.recovery.settings import RecoverySettings
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import joint, names_of, vanished
from tests.compress.zoo import write
from tests.compress.zoo.case import Case, GraphBuilder, images

SETTINGS = RecoverySettings()
_SAMPLES = 24


def _lessons(loaded: Loaded, batches: int = 8) -> Lessons:
    """Inputs like the example's, of which calibration has seen none."""
    random = np.random.default_rng(3)
    example = loaded.case.example
    return Lessons.of(
        {
            name: random.normal(0, 1, array.shape).astype(np.float32)
            if np.issubdtype(array.dtype, np.floating)
            else random.permutation(array.reshape(-1)).reshape(array.shape)
            for name, array in example.items()
        }
        for _ in range(batches)
    )


def _difference(loaded: Loaded, candidate: Candidate, lessons: Lessons) -> float:
    feeds = dict(lessons.runs[0].feeds)
    session = open_session(candidate.onnx_bytes, session_entries=candidate.session_entries)
    return relative_difference(session.run(None, feeds), open_session(loaded.network.onnx_bytes).run(None, feeds))


@pytest.mark.parametrize("name", ["residual", "depthwise_clip", "grouped_between", "transformer_block"])
def test_outputs_come_closer_to_the_original(load: Callable[[str], Loaded], name: str) -> None:
    """Branches gone; channels, ranks, masks and number formats together."""
    loaded = load(name)
    compressor, lessons = loaded.compressor(), _lessons(loaded)
    policies = [joint(compressor, 3)]
    if name in ("residual", "depthwise_clip"):  # there, something is left beside them
        policies.append(vanished(compressor, start=Policy.uniform(names_of(loaded.network), INT8)))
    for policy in policies:
        plain = compressor.build(policy)
        recovered = reconstruct(compressor, policy, lessons, SETTINGS, samples=_SAMPLES)
        candidate = build_recovered(compressor, recovered)
        assert _difference(loaded, candidate, lessons) <= _difference(loaded, plain, lessons)
        assert recovered.lineage.method == METHOD
        assert (recovered.lineage.epochs, recovered.lineage.recovered_from) == (0, plain.digest)
        assert recovered.lineage.steps > 0
        checked = open_checked(candidate, loaded.network, loaded.case.example, loaded.outputs)
        assert checked.faithfulness.problems == ()


def _expanded() -> Case:
    """Four channels blown up to twelve by one convolution, and read by another: eight of them can be spared."""
    g = GraphBuilder(seed=7)
    x = g.conv("image", 4, 4, to="four")
    x = g.conv(g.node("Relu", x), 4, 12, kernel=1, to="twelve")
    g.conv(x, 12, 5, to="map")
    proto = g.build({"image": ["batch", 4, 8, 8]}, {"map": ["batch", 5, 8, 8]})
    return Case(proto=proto, example={"image": images(4, batch=32)}, layers=3)


def test_channels_that_are_linear_combinations_of_others_cost_nothing(tmp_path: Path) -> None:
    """The reader's borders excepted: beyond them every channel is zero, and no combination has a constant part."""
    case = _expanded()
    network = load_network(write(case, tmp_path), case.example)
    compressor = Compressor(network, calibrate(network, [case.example]), None, formats=("fp32",))
    (group,) = [group for group in compressor.groups.values() if group.unit_count == 12]
    policy = sparse(compressor, {group.name: 0.5})
    lessons = Lessons.of([{"image": images(4, batch=64, seed=9)}])
    recovered = reconstruct(compressor, policy, lessons, SETTINGS)
    (wanted,) = open_session(network.onnx_bytes).run(None, dict(case.example))
    candidate = build_recovered(compressor, recovered)
    (found,) = open_session(candidate.onnx_bytes).run(None, dict(case.example))
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))
    assert relative_difference([found[inner]], [wanted[inner]]) < 0.02


def test_later_layers_make_good_what_went_wrong_before_them(load: Callable[[str], Loaded]) -> None:
    """With half of one layer's weights gone, refitting those behind it, FP32 in themselves, brings outputs closer."""
    loaded = load("residual")
    compressor, lessons = loaded.compressor(), _lessons(loaded)
    first = loaded.network.layers[1].name
    masked = LayerPolicy(sparsity=0.75, sparsity_pattern="unstructured")
    policy = Policy({name: masked if name == first else LayerPolicy() for name in names_of(loaded.network)})
    recovered = reconstruct(compressor, policy, lessons, SETTINGS)
    assert _difference(loaded, build_recovered(compressor, recovered), lessons) < 0.8 * _difference(
        loaded, compressor.build(policy), lessons
    )
    structure = FloatStructure.of(compressor, policy)
    node = next(node for node in structure.model.graph if node.name == loaded.network.layer(first).node_name)
    name = operand(node, 1).name or ""
    assert np.array_equal(recovered.weights[name] == 0, structure.learnable()[name] == 0)


def test_the_same_call_gives_the_same_weights(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor, lessons = loaded.compressor(), _lessons(loaded)
    policy = vanished(compressor, start=Policy.uniform(names_of(loaded.network), INT8))
    first, second = (reconstruct(compressor, policy, lessons, SETTINGS) for _ in range(2))
    assert first.digest == second.digest
    fewer = reconstruct(compressor, policy, lessons, SETTINGS, samples=16)
    assert fewer.digest != first.digest


def test_a_time_limit_leaves_fewer_samples_and_still_an_answer(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    compressor, lessons = loaded.compressor(), _lessons(loaded)
    policy = vanished(compressor)
    ticks = iter(range(10**6))
    limited = reconstruct(
        compressor, policy, lessons, RecoverySettings(time_limit_s=3.0), clock=lambda: float(next(ticks))
    )
    unlimited = reconstruct(compressor, policy, lessons, SETTINGS)
    assert limited.lineage.steps == unlimited.lineage.steps
    assert limited.digest != unlimited.digest


def test_what_has_lost_nothing_is_refused(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    untouched = Policy.uniform(names_of(loaded.network), LayerPolicy())
    with pytest.raises(CompressionError, match=r"closed-form reconstruction won nothing: .* keep it as it is"):
        reconstruct(loaded.compressor(), untouched, _lessons(loaded), SETTINGS)


def test_torch_is_not_needed() -> None:
    code = "import sys; sys.modules['torch'] = None; import compress.recovery.reconstruct"
    subprocess.run([sys.executable, "-c", code], check=True)
