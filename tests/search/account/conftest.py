"""The runs that reports are tested with."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.search.report.conftest import MadeUpRun, made_up_run


@pytest.fixture(scope="session")
def make_run() -> Callable[..., MadeUpRun]:
    """Give the function that makes a run up."""
    return made_up_run
