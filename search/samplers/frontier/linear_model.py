"""Bayesian linear regression, each observation with its own noise: fitted to many at once, or one at a time."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg import solve_triangular
from scipy.linalg.blas import dger

Array = NDArray[np.float64]

Rows = sparse.csr_array
"""A design: one row per observation, one column per feature."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Observations:
    """Some of what was observed.

    Attributes:
        rows: The features, one row each.
        values: What was observed.
        variances: Of each observation's noise, above 0.
    """

    rows: Rows
    values: Array
    variances: Array


@dataclass(kw_only=True, eq=False)
class LinearModel:
    """The posterior of the weights: normal, with covariance `root @ root.T`.

    Attributes:
        mean: Of the weights.
        root: A square root of their covariance, which stays one under updates whatever the rounding.
    """

    mean: Array
    root: Array

    @classmethod
    def fit(cls, mean: Array, deviation: Array, blocks: Iterable[Observations]) -> Self:
        """The posterior after all observations (Bishop 2006, equations 3.49 to 3.51).

        Args:
            mean: Prior means of the weights.
            deviation: Their prior standard deviations, above 0; the weights are independent.
            blocks: The observations, in blocks small enough to be written out.
        """
        # In units of the prior's deviations the precision is the identity plus what was seen: well conditioned.
        precision, pull = np.eye(len(mean)), np.zeros(len(mean))
        for block in blocks:
            noise = np.sqrt(block.variances)
            scaled = block.rows.toarray() * (deviation / noise[:, None])
            precision += scaled.T @ scaled
            pull += scaled.T @ ((block.values - block.rows @ mean) / noise)
        factor = np.linalg.cholesky(precision)
        whitened = solve_triangular(factor, pull, lower=True)
        inverse = solve_triangular(factor, np.eye(len(mean)), lower=True, overwrite_b=True)
        root = np.asfortranarray(inverse.T * deviation[:, None])  # as BLAS updates it
        return cls(mean=mean + root @ whitened, root=root)

    def update(self, row: Rows, value: float, variance: float) -> None:
        """Take one more observation in (Potter's square-root filter, 1963): quadratic in the number of features."""
        features = row.toarray()[0]
        seen = features @ self.root
        innovation = float(seen @ seen) + variance
        gain = self.root @ seen / innovation
        self.mean = self.mean + gain * (value - float(features @ self.mean))
        # In place: the root is by far the largest thing that a model has.
        dger(-1.0 / (1.0 + np.sqrt(variance / innovation)), gain, seen, a=self.root, overwrite_a=1)

    def draw(self, generator: np.random.Generator, temperature: float = 1.0) -> Array:
        """One sample of the weights, of their distribution with its deviations times `temperature`."""
        sample: Array = self.mean + temperature * (self.root @ generator.standard_normal(len(self.mean)))
        return sample

    def predict(self, rows: Rows) -> tuple[Array, Array]:
        """Means and standard deviations of the noiseless values."""
        spread = rows @ self.root
        return rows @ self.mean, np.sqrt(np.square(spread).sum(axis=1))


def log_evidence(covariance: Array, residuals: Array) -> float:
    """The log density of `residuals` under a normal with mean 0 and this covariance, without its constant."""
    try:
        factor = np.linalg.cholesky(covariance)
    except np.linalg.LinAlgError:
        return -np.inf
    whitened = solve_triangular(factor, residuals, lower=True)
    return float(-0.5 * whitened @ whitened - np.log(np.diag(factor)).sum())
