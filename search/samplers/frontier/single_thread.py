"""Linear algebra in one thread."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401  # its BLAS is another than numpy's, and must be loaded to be found
from threadpoolctl import ThreadpoolController


@cache
def _loaded() -> ThreadpoolController:
    # Looking for the libraries takes a millisecond or two, limiting those that were found next to nothing.
    return ThreadpoolController()


@contextmanager
def single_threaded() -> Iterator[None]:
    """The block's matrices are multiplied and factorized by the calling thread alone.

    They are small: threads cost more than they save, and spin while they wait for one another, which on a machine that
    is busy besides takes thirty times as long. And BLAS adds in another order when it has other threads: what is
    proposed must not depend on how many cores there are.
    """
    with _loaded().limit(limits=1, user_api="blas"):
        yield
