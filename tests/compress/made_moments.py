"""Inputs and weights for tests of the solvers, drawn from a given generator."""

import numpy as np


def correlated(rng: np.random.Generator, groups: int, inputs: int, samples: int) -> np.ndarray:
    """E[x xᵀ] of inputs that mix a few sources, as a layer's do, with powers over four orders of magnitude."""
    sources = rng.normal(size=(groups, samples, max(1, inputs // 3)))
    mixing = rng.normal(size=(groups, sources.shape[2], inputs))
    values = sources @ mixing + 0.3 * rng.normal(size=(groups, samples, inputs))
    values *= 10.0 ** rng.uniform(-1, 1, size=(groups, 1, inputs))
    return np.einsum("gni,gnj->gij", values, values) / samples


def random_rows(rng: np.random.Generator, groups: int, rows: int, inputs: int) -> np.ndarray:
    """Weights (G, R, K) whose rows differ in magnitude."""
    weights = rng.normal(size=(groups, rows, inputs)) * 10.0 ** rng.uniform(-2, 2, size=(groups, rows, 1))
    return weights.astype(np.float32)


def exact_errors(rows: np.ndarray, others: np.ndarray, second: np.ndarray) -> np.ndarray:
    """(w − ŵ)ᵀ E[x xᵀ] (w − ŵ) in double precision, shape (G, R)."""
    difference = rows.astype(np.float64) - others
    return np.einsum("gri,gij,grj->gr", difference, second.astype(np.float64), difference)
