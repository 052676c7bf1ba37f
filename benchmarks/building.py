"""How long one candidate takes to build: `python -m benchmarks.building`.

A residual network of five million parameters, random mixed policies (bits and rank per layer). Cold is the first
candidate of a run, when its layers' weights must be computed; warm is any later one, from the variant store.
"""

import argparse
import random
import statistics
import time

import numpy as np
import torch

from benchmarks.figures import Figure, report
from compress.calibration import calibrate
from compress.network import Network, load_network
from compress.policy import Policy
from compress.scheme import SCHEMES
from compress.stitch import Compressor
from search.space import build_space
from workloads.builtin.mnist_resnet_network import ResNet14

WIDTHS = (86, 172, 344)
RANK_MULTIPLE = 16


def main() -> None:
    """Build many candidates and report the median."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="10 candidates instead of 100")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    generator = np.random.default_rng(0)
    feeds = {"image": generator.standard_normal((16, 1, 28, 28), dtype=np.float32)}
    network = load_network(ResNet14(WIDTHS).eval(), feeds)
    compressor = Compressor(network, calibrate(network, [feeds]), SCHEMES["u8s8"], rank_multiple=RANK_MULTIPLE)
    policies = random_policies(network, 10 if arguments.quick else 100)
    cold = [seconds_to_build(compressor, policy) for policy in policies]
    warm = [seconds_to_build(compressor, policy) for policy in policies]
    figures = {
        "parameters": Figure(value=network.parameter_count / 1e6, unit="million", better="higher", asked=5.0),
        "build_median": Figure(value=statistics.median(warm) * 1e3, unit="ms", better="lower", asked=200.0),
        "build_slowest": Figure(value=max(cold + warm) * 1e3, unit="ms", better="lower"),
        "build_first": Figure(value=cold[0] * 1e3, unit="ms", better="lower", asked=200.0),
    }
    report("building", figures)


def random_policies(network: Network, count: int) -> list[Policy]:
    """Seeded draws from the network's search space."""
    space = build_space(network.layers, weight_bits=(32, 8), rank_multiple=RANK_MULTIPLE)
    generator = random.Random(0)
    return [space.policy({k.name: generator.choice(k.choices) for k in space.knobs}) for _ in range(count)]


def seconds_to_build(compressor: Compressor, policy: Policy) -> float:
    """Wall seconds from policy to bytes with their digest."""
    started = time.perf_counter()
    _ = compressor.build(policy).digest
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
