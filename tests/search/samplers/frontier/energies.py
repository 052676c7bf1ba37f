"""Random sums over small graphs, and all their assignments."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
from hypothesis import strategies as st

from search.samplers.frontier.energy import Choices, Energy, Layout


def all_assignments(sizes: Choices) -> Choices:
    return np.array(list(product(*(range(size) for size in sizes))), np.int64)


def random_energy(rng: np.random.Generator, layout: Layout) -> Energy:
    return Energy(layout=layout, constant=float(rng.normal()), table=rng.normal(size=layout.offsets[-1]))


def chain(sizes: list[int], skips: list[tuple[int, int]] = []) -> Layout:  # noqa: B006  # never changed
    """A table per variable and per pair of neighbours."""
    pairs = [(v, v + 1) for v in range(len(sizes) - 1)] + skips
    return Layout(sizes=np.array(sizes, np.int64), scopes=(*((v,) for v in range(len(sizes))), *pairs))


@st.composite
def layouts(draw: st.DrawFn, most_variables: int = 6) -> tuple[Layout, np.random.Generator]:
    """A chain with random skips, or any graph, with or without lonely variables, and tables of three and four."""
    count = draw(st.integers(1, most_variables))
    sizes = draw(st.lists(st.integers(1, 4), min_size=count, max_size=count))
    pairs = list(combinations(range(count), 2))
    scopes: list[tuple[int, ...]] = [(v, v + 1) for v in range(count - 1)] if draw(st.booleans()) else []
    scopes += draw(st.lists(st.sampled_from(pairs), unique=True, max_size=5)) if pairs else []
    for axes in (3, 4):
        larger = list(combinations(range(count), axes))
        scopes += draw(st.lists(st.sampled_from(larger), unique=True, max_size=2)) if larger else []
    if draw(st.booleans()):
        scopes += [(v,) for v in range(count)]
    turned = {frozenset(scope): tuple(draw(st.permutations(scope))) for scope in scopes}
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return Layout(sizes=np.array(sizes, np.int64), scopes=tuple(turned.values())), rng
