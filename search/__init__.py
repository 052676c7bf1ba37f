"""What to try next, what is best so far, the overnight loop, the reports and the command line.

Everything that the command line does is a call here: `run` searches, `read_result` reads a run back,
`write_report` writes its reports again.
"""

from typing import TYPE_CHECKING, Any

from search.errors import RunFolderError, SearchError

if TYPE_CHECKING:
    from search.job import run
    from search.results import RunResult, read_result, write_report

__all__ = ["RunFolderError", "RunResult", "SearchError", "read_result", "run", "write_report"]

_PLACES = {
    "run": "search.job",
    "RunResult": "search.results",
    "read_result": "search.results",
    "write_report": "search.results",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `paretune --help` must not wait for ONNX Runtime and Optuna."""
    if name not in _PLACES:
        raise AttributeError(f"module 'search' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)
