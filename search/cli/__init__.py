"""The command line: a thin skin over the calls of `search`, `hwprofiles` and `compress`."""

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `paretune` and exit.

    Exit codes: 0 done, 1 a promise is broken, 2 the call or its input is wrong, 130 stopped by Ctrl-C.
    """
    from search.cli.app import run_app

    sys.exit(run_app(arguments))
