"""Which patterns of zeros pay: those that run faster than the same layer, in the same format, without them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from hwprofiles.probed import is_faster

if TYPE_CHECKING:
    from hwprofiles import ProbedLayer
    from hwprofiles.vocabulary import SparsityPattern


def paying_patterns(rows: Sequence[ProbedLayer], given: tuple[SparsityPattern, ...]) -> tuple[SparsityPattern, ...]:
    """The given patterns, 2:4 among them exactly when a layer gained by it; as given where it was not measured."""
    pairs = sparse_and_dense(rows)
    if not pairs:
        return given
    if any(is_faster(sparse, dense) for sparse, dense in pairs):
        return given if "2:4" in given else (*given, "2:4")
    return tuple(pattern for pattern in given if pattern != "2:4")


def sparse_and_dense(rows: Sequence[ProbedLayer]) -> list[tuple[ProbedLayer, ProbedLayer]]:
    """Each measured row with zeros beside its like without."""
    measured = [row for row in rows if row.ratio is not None]
    dense = {row.choice: row for row in measured if row.is_plain}
    found = [(row, dense.get(row.choice.model_copy(update={"sparsity": None}))) for row in measured if row.sparsity]
    return [(sparse, like) for sparse, like in found if like is not None]
