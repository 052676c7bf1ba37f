"""The archive's commands: none serves standard input, ``serve LOCK`` too, ``keep FOLDER CLAIM GRACE_S SILENCE_S``."""

from __future__ import annotations

import sys


def main(arguments: list[str]) -> None:
    """Serves standard input; under a lock file if one is given. Or keeps a folder.

    Raises:
        SystemExit: the arguments are none of these.
    """
    if arguments[:1] == ["keep"] and len(arguments) == 5:
        from latency.worker import keep

        keep.main(arguments[1], arguments[2], float(arguments[3]), float(arguments[4]))
    elif not arguments or (arguments[0] == "serve" and len(arguments) == 2):
        from latency.worker import serve

        serve.main(*arguments[1:])
    else:
        sys.exit(f"{__doc__} Got: {' '.join(arguments)}")


if __name__ == "__main__":
    main(sys.argv[1:])
