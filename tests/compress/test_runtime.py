"""Sessions on this machine: what runs once gives its cores back."""

from collections.abc import Callable

import numpy as np
import pytest

from compress.runtime import open_session
from tests.compress.conftest import Loaded


@pytest.mark.parametrize("optimize", [True, False])
def test_threads_that_do_not_spin_find_the_same(load: Callable[[str], Loaded], *, optimize: bool) -> None:
    loaded = load("residual")
    spinning, resting = (
        open_session(loaded.network.onnx_bytes, threads=2, optimize=optimize, spins=spins) for spins in (True, False)
    )
    entry = "session.intra_op.allow_spinning"
    assert resting.get_session_options().get_session_config_entry(entry) == "0"
    feeds = dict(loaded.case.example)
    for one, other in zip(spinning.run(None, feeds), resting.run(None, feeds), strict=True):
        np.testing.assert_array_equal(one, other)
