"""Least squares after channels have gone: what remains learns to say what the whole layer said.

He et al. 2017 (arXiv:1707.06168), equation 4, on second moments instead of samples; with the bias free, so that the
means of the removed channels are kept exactly.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import LinAlgError, cho_factor, cho_solve

# Ridge, as a share of the mean variance, towards the weights as they were: what the data leaves open stays.
_DAMPING = 1e-3


def refit(rows: NDArray[np.float32], second: NDArray[np.float32], kept: NDArray[np.int64]) -> NDArray[np.float32]:
    """The rows over the kept inputs that answer most like the whole rows.

    Minimizes E‖W x − W′ x_kept‖² + λ‖W′ − W_kept‖² row by row.

    Args:
        rows: W, shape (G, R, K).
        second: Second moments of the inputs, shape (G, K, K): their covariance where a bias keeps the means.
        kept: Indices into K, sorted, the same in every block.

    Returns:
        W′, shape (G, R, len(kept)).
    """
    if len(kept) == rows.shape[2]:
        return rows
    whole = rows.astype(np.float64)
    towards = whole[:, :, kept]
    # Taken in single precision first: of a large layer the whole moments in double precision are tens of megabytes.
    seen = np.take(second, kept, axis=2).astype(np.float64)
    among = np.take(seen, kept, axis=1)
    power = np.einsum("gkk->gk", second).astype(np.float64).sum(axis=1) / second.shape[1]
    damping = _DAMPING * np.maximum(power, np.finfo(np.float32).tiny)
    wanted = whole @ seen + damping[:, None, None] * towards
    np.einsum("gkk->gk", among)[...] += damping[:, None]
    fitted = [solve_symmetric(matrix, right.T).T for matrix, right in zip(among, wanted, strict=True)]
    return np.stack(fitted).astype(np.float32)


def solve_symmetric(matrix: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """The solution of matrix · x = right, of shapes (K, K) and (K, R), for a symmetric matrix.

    Moments with something on their diagonal have Cholesky factors, at half the price of others. Where roundoff in
    single precision has made them indefinite, the general solution is taken.
    """
    try:
        factor = cho_factor(matrix, lower=True, check_finite=False)
    except LinAlgError:
        return np.asarray(np.linalg.solve(matrix, right), np.float64)
    found: NDArray[np.float64] = cho_solve(factor, right, check_finite=False)
    return found


def response_error(rows: NDArray[np.float32], other: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    """E‖W x − W″ x‖² over E‖W x‖², all rows together; both of shape (G, R, K)."""
    size = _energy(rows.astype(np.float64), second)
    return _energy(rows.astype(np.float64) - other, second) / size if size else 0.0


def _energy(rows: NDArray[np.float64], second: NDArray[np.float32]) -> float:
    return float(np.einsum("grk,grk->", rows @ second.astype(np.float64), rows))
