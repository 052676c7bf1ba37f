"""Linear algebra in the thread that asks for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  # its BLAS is another than NumPy's, and must be loaded to be found
from threadpoolctl import ThreadpoolController


@cache
def _loaded() -> ThreadpoolController:
    # Looking for the libraries takes a millisecond or two, limiting those that were found next to nothing.
    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """The block's matrices are multiplied and factorized by the threads that ask for it, each by itself.

    BLAS adds in another order when it has other threads: bytes must not depend on how many cores there are. And
    LAPACK's threads spin while they wait for one another, which on a busy machine takes thirty times as long as one.

    The limit is the whole process's, as long as the outermost block lasts.
    """
    with _loaded().limit(limits=1, user_api="blas"):
        yield
