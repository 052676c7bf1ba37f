"""Labels of channels: which have to be removed together, and which not at all."""

import numpy as np
from numpy.typing import NDArray

# Stands where a label would, for a channel that has none: it stays.
FIXED = -1


class Labels:
    """Disjoint sets of labels (Tarjan 1975), some of them blocked with a reason.

    A label is a number that stands for one output channel of one layer. Channels whose labels are united can only be
    removed together; where one of them is blocked, all are.
    """

    def __init__(self) -> None:
        self._parents: list[int] = []
        self._reasons: dict[int, str] = {}
        self._blocked = np.zeros(0, bool)
        self._roots = np.zeros(0, np.int64)
        self._stale = True

    @property
    def count(self) -> int:
        """How many labels there are."""
        return len(self._parents)

    def fresh(self, count: int) -> NDArray[np.int64]:
        """`count` labels that nothing else has, shape (count,)."""
        first = len(self._parents)
        self._parents.extend(range(first, first + count))
        self._stale = True
        return np.arange(first, first + count)

    def unite(self, these: NDArray[np.int64], those: NDArray[np.int64], reason: str) -> bool:
        """Unite two arrays of labels element by element, broadcast; whether that changed anything.

        A label that meets `FIXED` is blocked with `reason`.
        """
        pairs = np.stack([a.reshape(-1) for a in np.broadcast_arrays(these, those)], axis=1)
        changed = False
        for a, b in pairs[pairs[:, 0] != pairs[:, 1]].tolist():
            if FIXED in {a, b}:
                changed |= self._block(max(a, b), reason)
            else:
                changed |= self._unite(a, b)
        return changed

    def block(self, labels: NDArray[np.int64], reason: str) -> bool:
        """Block labels; the first reason stays. Whether that changed anything."""
        blocked = [self._block(label, reason) for label in np.unique(labels).tolist() if label != FIXED]
        return any(blocked)

    def roots(self, labels: NDArray[np.int64]) -> NDArray[np.int64]:
        """One representative per set in the shape of `labels`; `FIXED` for what is blocked."""
        if self._stale:
            self._refresh()
        found: NDArray[np.int64] = np.where(labels == FIXED, FIXED, self._roots[labels] if labels.size else labels)
        return found

    def reason(self, label: int) -> str:
        """Why `label` is blocked; empty if it is not."""
        return self._reasons.get(self._find(label), "")

    def _refresh(self) -> None:
        roots = np.array(self._parents, np.int64)
        while not np.array_equal(roots, roots[roots]):
            roots = roots[roots]
        blocked = np.isin(roots, np.array(list(self._reasons), np.int64))
        self._roots = np.where(blocked, FIXED, roots)
        self._stale = False

    def _find(self, label: int) -> int:
        parents = self._parents
        while parents[label] != label:
            parents[label] = parents[parents[label]]
            label = parents[label]
        return label

    def _unite(self, a: int, b: int) -> bool:
        low, high = sorted((self._find(a), self._find(b)))
        if low == high:
            return False
        # The lowest label represents its set, whatever the order of the calls.
        self._parents[high] = low
        if high in self._reasons:
            reason = self._reasons.pop(high)
            self._reasons.setdefault(low, reason)
        self._stale = True
        return True

    def _block(self, label: int, reason: str) -> bool:
        root = self._find(label)
        if root in self._reasons:
            return False
        self._reasons[root] = reason
        self._stale = True
        return True
