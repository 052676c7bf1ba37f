"""Inferences between marks that an instruction counter outside of this process sees (``latency.emulation``)."""

from __future__ import annotations

import contextlib
import gc
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from latency.worker.engine import Engine

# A process number of no process: the system call that names it changes nothing and stands out. instructions.c knows it.
_MARK = 0x70740000
_NUMBERS = 0x10000


class Marks:
    """Numbers marks one after another, so that none is taken for an earlier one."""

    def __init__(self) -> None:
        self._last = -1

    def set(self) -> int:
        """Sets the next mark and returns its number."""
        self._last = (self._last + 1) % _NUMBERS
        with contextlib.suppress(ProcessLookupError):
            os.getpriority(os.PRIO_PROCESS, _MARK + self._last)
        return self._last


def count_marked(engine: Engine, inputs: Mapping[str, np.ndarray], marks: Marks, inferences: int) -> dict[str, Any]:
    """Runs ``inferences`` with a mark before, between and after them.

    There is no warm-up: whoever reads the counts leaves out the first ones, since what surrounds an inference here
    gets faster during the first calls too.
    """
    collects = gc.isenabled()
    gc.disable()  # a collection in the midst would be counted with the inference it fell into
    try:
        numbers = [marks.set()]
        for _ in range(inferences):
            engine.infer(inputs)
            numbers.append(marks.set())
    finally:
        if collects:
            gc.enable()
    return {"pid": os.getpid(), "marks": numbers}
