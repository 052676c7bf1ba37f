"""A ``python_command`` that is odd in one way. Arguments: the way, its own arguments up to ``--``, those of Python.

It runs the archive that Python's arguments name, as Python would.
"""

from __future__ import annotations

import itertools
import runpy
import sys
import time
from pathlib import Path

way, *rest = sys.argv[1:]
own, arguments = rest[: rest.index("--")], rest[rest.index("--") + 1 :]
if arguments[:2] == ["-X", "faulthandler"]:
    arguments = arguments[2:]

if way == "notes_words":
    Path(own[0]).write_text(repr(own[1:]))
elif way == "is_old":
    sys.version_info = (3, 8, 10, "final", 0)
elif way == "has_no_engine":
    sys.modules["onnxruntime"] = None
elif way == "clock_jumps":
    wall_clock, jumps = time.time, itertools.cycle([0.0, 1e6, -1e6])
    time.time = lambda: wall_clock() + next(jumps)

sys.argv = arguments
runpy.run_path(arguments[0], run_name="__main__")
