"""How long one candidate takes to build: `python -m benchmarks.building`.

A residual network of five million parameters, or a workload's; random mixed policies (bits and rank per layer). Cold is
the first candidate of a run, when its layers' weights must be computed; warm is any later one, from the variant store.
"""

import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from benchmarks.figures import Figure, parser, report
from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import Policy
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from search.space.space import build_space
from workloads import Feeds, load
from workloads.builtin.mnist_resnet_network import ResNet14

WIDTHS = (86, 172, 344)
CHANNEL_MULTIPLE = 16


def main() -> None:
    """Build many candidates and report the median."""
    arguments = parser(__doc__, quick="10 candidates instead of 100").parse_args()
    module, calibration = own_network() if arguments.workload is None else network_of(arguments.workload)
    network = load_network(module, calibration[0])
    compressor = Compressor(
        network, calibrate(network, calibration), SCHEMES["u8s8"], channel_multiple=CHANNEL_MULTIPLE
    )
    policies = random_policies(compressor, 10 if arguments.quick else 100)
    cold = [seconds_to_build(compressor, policy) for policy in policies]
    warm = [seconds_to_build(compressor, policy) for policy in policies]
    # What is asked is asked of the benchmark's own network.
    size, limit_ms = (5.0, 200.0) if arguments.workload is None else (None, None)
    figures = {
        "parameters": Figure(value=network.parameter_count / 1e6, unit="million", better="higher", asked=size),
        "build_median": Figure(value=statistics.median(warm) * 1e3, unit="ms", better="lower", asked=limit_ms),
        "build_slowest": Figure(value=max(cold + warm) * 1e3, unit="ms", better="lower"),
        "build_first": Figure(value=cold[0] * 1e3, unit="ms", better="lower"),
    }
    report("building", figures)


def own_network() -> "tuple[torch.nn.Module | Path, Sequence[Feeds]]":
    """A residual network of five million parameters with random weights, and one batch to calibrate on."""
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    feeds = {"image": generator.standard_normal((16, 1, 28, 28), dtype=np.float32)}
    return ResNet14(WIDTHS).eval(), [feeds]


def network_of(workload: str) -> "tuple[torch.nn.Module | Path, Sequence[Feeds]]":
    """A workload's network, and the first batch of its calibration data."""
    loaded = load(workload)
    return loaded.network(), loaded.calibration[:1]


def random_policies(compressor: Compressor, count: int) -> list[Policy]:
    """Seeded draws from the network's search space."""
    space = build_space(
        compressor.network.layers,
        compressor.groups.values(),
        formats=compressor.formats,
        patterns=("channels",),
        channel_multiple=CHANNEL_MULTIPLE,
    )
    generator = random.Random(0)
    return [space.policy({k.name: generator.choice(k.choices) for k in space.knobs}) for _ in range(count)]


def seconds_to_build(compressor: Compressor, policy: Policy) -> float:
    """Wall seconds from policy to bytes with their digest."""
    started = time.perf_counter()
    _ = compressor.build(policy).digest
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
