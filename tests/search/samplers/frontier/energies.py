"""Random sums over small graphs, and all their assignments."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from search.samplers.frontier.energy import Choices, Energy


def all_assignments(sizes: Choices) -> Choices:
    return np.array(list(product(*(range(size) for size in sizes))), np.int64)


def random_energy(rng: np.random.Generator, sizes: Choices, edges: Choices) -> Energy:
    width = int(sizes.max())
    # What lies beyond a variable's choices must never be read: it would win every minimum.
    unary, pair = (np.full((n, *(width,) * axes), -1e9) for n, axes in ((len(sizes), 1), (len(edges), 2)))
    for variable, size in enumerate(sizes):
        unary[variable, :size] = rng.normal(size=size)
    for position, (u, v) in enumerate(edges):
        pair[position, : sizes[u], : sizes[v]] = rng.normal(size=(sizes[u], sizes[v]))
    return Energy(sizes=sizes, edges=edges, constant=float(rng.normal()), unary=unary, pair=pair)


@st.composite
def graphs(draw: st.DrawFn, most_variables: int = 6) -> tuple[Choices, Choices, np.random.Generator]:
    """Sizes and edges: a chain with random skips, or any graph, with or without a lonely variable."""
    count = draw(st.integers(1, most_variables))
    sizes = np.array(draw(st.lists(st.integers(1, 4), min_size=count, max_size=count)), np.int64)
    pairs = list(combinations(range(count), 2))
    chain = [(v, v + 1) for v in range(count - 1)] if draw(st.booleans()) else []
    skips = draw(st.lists(st.sampled_from(pairs), unique=True, max_size=5)) if pairs else []
    edges = dict.fromkeys([*chain, *skips])
    turned = [(v, u) if draw(st.booleans()) else (u, v) for u, v in edges]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return sizes, np.array(turned, np.int64).reshape(-1, 2), rng
