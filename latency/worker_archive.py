"""The worker as one file: what is started here is byte for byte what travels to a board."""

from __future__ import annotations

import io
import zipfile
from importlib import resources

# Reads as any Python: an old one has to get as far as its refusal.
_MAIN = b"""\
import sys

if sys.version_info < (3, 9):
    found = (sys.executable,) + sys.version_info[:2]
    sys.exit("the worker needs Python 3.9 or newer, and %s is Python %d.%d" % found)

from latency.worker.__main__ import main

main(sys.argv[1:])
"""
_OLDEST_DATE = (1980, 1, 1, 0, 0, 0)  # the first that a zip file can hold; the same bytes on every day


def build_archive() -> bytes:
    """A zip application of ``latency.worker`` that any Python from 3.9 with numpy and an engine can run.

    The same sources give the same bytes. ``latency`` itself is empty in there, so that none of its imports travel.
    """
    files = {"__main__.py": _MAIN, "latency/__init__.py": b""}
    for item in resources.files("latency.worker").iterdir():
        if item.name.endswith(".py"):
            files[f"latency/worker/{item.name}"] = item.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _OLDEST_DATE)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3  # Unix, whatever system builds it
            archive.writestr(entry, files[name])
    return buffer.getvalue()
