"""Workers on an emulated processor of another architecture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from latency.emulation.command import emulator_command
from latency.emulation.root import find_root
from latency.transports.local import LocalTransport

if TYPE_CHECKING:
    from typing import Self

    from hwprofiles import EmulatedReach


class EmulatedTransport(LocalTransport):
    """Starts the worker archive with the root's Python under qemu, in a private folder that disappears with it.

    Each process's instruction counts are written into that folder (``latency.emulation.counts``).

    Args:
        reach: the processor, and where the root is.

    Raises:
        TargetError: emulator or root are missing; the error names the command that builds the root.
    """

    def __init__(self, reach: EmulatedReach) -> None:
        super().__init__()
        self._root = find_root(reach.root, reach.cpu)
        self._cpu = reach.cpu

    def __enter__(self) -> Self:
        super().__enter__()
        words = emulator_command(self._root, self._cpu, counts_folder=Path(self.path("worker.pyz")).parent)
        self._command = (*words, "-X", "faulthandler", "{archive}")
        return self
