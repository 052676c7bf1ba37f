"""Fake quantization in torch and ONNX Runtime's integer kernels give the same answers, on real networks and data."""

import numpy as np
import pytest

from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import INT8, Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.lessons import Lesson
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from tests.compress.policies import narrowed
from tests.compress.recovery.rehearsal import rehearse_untrained
from workloads import load

LEAST_AGREEMENT = 0.995
MOST_DIFFERENCE = 0.01


@pytest.mark.parametrize(("name", "ratio", "samples"), [("mnist-resnet", 0.625, 1000), ("chars-transformer", 0.0, 40)])
def test_both_answer_alike_on_validation_samples(name: str, ratio: float, samples: int) -> None:
    """The residual network has lost five channels of eight, the transformer none: both are good at their task."""
    workload = load(name)
    batch = workload.calibration[0]
    network = load_network(workload.network(), batch)
    compressor = Compressor(network, calibrate(network, [batch]), SCHEMES["u8s8"], channel_multiple=16)
    policy = Policy.uniform([layer.name for layer in network.layers], INT8)
    training, recovered = rehearse_untrained(
        compressor, narrowed(compressor, ratio, start=policy) if ratio else policy, batch
    )
    candidate = build_recovered(compressor, recovered)
    session = open_session(candidate.onnx_bytes, session_entries=candidate.session_entries)
    feeds, targets = next(workload.search_part.take(samples).batches(samples))
    wanted = session.run(None, dict(feeds))[0]
    rehearsed = training.answers(Lesson(feeds=feeds))[0]
    assert (wanted.argmax(axis=-1) == rehearsed.argmax(axis=-1)).mean() >= LEAST_AGREEMENT
    assert np.abs(wanted - rehearsed).mean() < MOST_DIFFERENCE * np.ptp(wanted)
    assert (wanted.argmax(axis=-1) == targets).mean() > 0.6
