"""A training begins with the weights of the candidate that shares most of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import FORMATS, LayerPolicy, Policy
from compress.recovery.float_structure import FloatStructure
from compress.recovery.recovered_weights import RecoveredWeights
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from search.recovery.relatives import Relatives
from workloads import load

from .conftest import write_learner
from .test_recoveries import LINEAGE


@pytest.fixture(scope="module")
def compressor(tmp_path_factory: pytest.TempPathFactory) -> Compressor:
    workload = load(write_learner(tmp_path_factory.mktemp("relatives")))
    network = load_network(workload.network(), workload.calibration[0])
    return Compressor(network, calibrate(network, workload.calibration), SCHEMES["u8s8"], channel_multiple=8)


def policy(compressor: Compressor, sparsities: dict[str, float], choice: LayerPolicy = FORMATS["int8"]) -> Policy:
    return Policy(
        {
            layer.name: replace(choice, sparsity=sparsities[layer.name], sparsity_pattern="channels")
            if layer.name in sparsities
            else choice
            for layer in compressor.network.layers
        }
    )


def recovered(compressor: Compressor, of: Policy) -> RecoveredWeights:
    structure = FloatStructure.of(compressor, of)
    network = compressor.network.digest
    return RecoveredWeights(
        policy=of, network_digest=network, weights=structure.learnable(), ranges={}, lineage=LINEAGE
    )


def known(compressor: Compressor, **policies: Policy) -> Relatives:
    relatives = Relatives(compressor)
    for name, each in policies.items():
        relatives.add(name, recovered(compressor, each))
    return relatives


def test_nobody_is_nearest_to_the_first(compressor: Compressor) -> None:
    assert Relatives(compressor).nearest(policy(compressor, {})) is None


def test_the_nearest_has_most_weights_in_common(compressor: Compressor) -> None:
    half, one, both = {"three": 0.25}, {"three": 0.5}, {"one": 0.75, "two": 0.75, "three": 0.75}
    relatives = known(compressor, one=policy(compressor, one), both=policy(compressor, both))
    assert relatives.nearest(policy(compressor, one)) == "one"
    assert relatives.nearest(policy(compressor, both)) == "both"
    assert relatives.nearest(policy(compressor, half)) == "one", "though no narrowed layer has its shapes"
    far = known(compressor, both=policy(compressor, both))
    assert far.nearest(policy(compressor, {})) is None, "less than half of their weights are of the same channels"


def test_of_equal_shapes_the_nearest_in_format_comes_first(compressor: Compressor) -> None:
    wide = policy(compressor, {}, FORMATS["fp32"])
    relatives = known(compressor, int8=policy(compressor, {}), fp32=wide)
    assert relatives.nearest(policy(compressor, {})) == "int8"
    assert relatives.nearest(wide) == "fp32"
