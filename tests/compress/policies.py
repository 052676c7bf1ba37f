"""Policies to try on any network."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np

from compress.factorize import rank_of
from compress.network import Network
from compress.policy import INT8, UNTOUCHED, Policy


def mixed(network: Network, integer: Iterable[str] = (), low_rank: Iterable[str] = ()) -> Policy:
    """8 bits for `integer`, half the break-even rank for those of `low_rank` that have one."""
    integer, low_rank = set(integer), set(low_rank)
    layers = {}
    for layer in network.layers:
        choice = INT8 if layer.name in integer else UNTOUCHED
        halved = layer.name in low_rank and rank_of(layer, 0.5, 1) is not None
        layers[layer.name] = replace(choice, rank=0.5) if halved else choice
    return Policy(layers)


def assorted(network: Network, random_count: int = 4) -> Mapping[str, Policy]:
    """The corners of the space and some random points of it."""
    names = [layer.name for layer in network.layers]
    policies = {
        "fp32": mixed(network),
        "int8": mixed(network, names),
        "rank": mixed(network, (), names),
        "int8+rank": mixed(network, names, names),
    }
    random = np.random.default_rng(0)
    for index in range(random_count):
        chosen = [[n for n in names if random.random() < share] for share in (0.5, 0.4)]
        policies[f"random{index}"] = mixed(network, *chosen)
    return policies
