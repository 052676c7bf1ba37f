"""The processes that a verification looks with first, and how they start before it is known what they will time."""

from latency.transports.head_start import HeadStart
from latency.transports.local import LocalTransport

PROCESSES = 2
"""An interval over processes needs two. Where their verdict is not clear, others look again."""


def start_ahead() -> HeadStart:
    """Workers of this machine that start as soon as this is entered: nothing of a bundle decides what they run."""
    return HeadStart(LocalTransport(), workers=PROCESSES)
