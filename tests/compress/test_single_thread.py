"""Linear algebra in one thread, and what the user set comes back."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from threadpoolctl import threadpool_info

from compress.single_thread import single_threaded


def blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_numpys_and_scipys_libraries_are_limited_for_the_block_only() -> None:
    assert np.linalg.cholesky(np.eye(2)).tolist() == scipy.linalg.cholesky(np.eye(2)).tolist()
    before = blas_threads()
    assert before
    with single_threaded():
        assert set(blas_threads()) == {1}
        with single_threaded():
            assert set(blas_threads()) == {1}
        assert set(blas_threads()) == {1}
    assert blas_threads() == before
