"""Runs a program with this machine's Python as if it were emulated and counted: a thousand instructions per mark."""

from __future__ import annotations

import json
import os
import runpy
import sys
from pathlib import Path

NAMES = "total dot i8mm bf16 fmla32 fmla16 mlal sve sme load_store_simd load_store".split()  # noqa: SIM905
MARK = 0x70740000


def main() -> None:
    program, folder = sys.argv[1:3]
    lines: list[str] = []

    def getpriority(which: int, who: int) -> int:
        assert (which, who & 0x7FFF0000) == (os.PRIO_PROCESS, MARK)
        counts = {**dict.fromkeys(NAMES, 0), "total": 1000 * len(lines), "dot": 10 * len(lines)}
        lines.append(json.dumps({"mark": who & 0xFFFF, **counts}))
        if folder != "none":
            (Path(folder) / f"counts-{os.getpid()}.jsonl").write_text("\n".join(lines) + "\n")
        raise ProcessLookupError

    os.getpriority = getpriority
    sys.argv = [program]
    runpy.run_path(program, run_name="__main__")


if __name__ == "__main__":
    main()
