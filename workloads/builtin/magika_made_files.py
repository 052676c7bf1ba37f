"""Files of known type, written here by the standard library and by Pillow out of the standard library's sources.

E-mails were tried and left out: the network took every one that quoted a source for that source.
"""

import bz2
import csv
import difflib
import gzip
import io
import json
import lzma
import pickle
import plistlib
import re
import sqlite3
import tarfile
import wave
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType

import numpy as np

from workloads.builtin.magika_shipped_files import stdlib_sources

_DATE = (2024, 1, 1, 0, 0, 0)
_PIXELS = 48
_MOST_NAMES = 80


def made_files(count: int) -> Iterator[tuple[str, str, bytes]]:
    """Type, name and content of `count` files of each type, each made of its own module of the standard library."""
    sources = [(path.name, path.read_bytes()) for path in stdlib_sources()]
    long_enough = [(name, content) for name, content in sources if len(content) >= _PIXELS * _PIXELS]
    for number, (label, write) in enumerate(WRITERS.items()):
        for index in range(count):
            name, content = long_enough[(number + index) % len(long_enough)]
            yield label, f"{name}.{label}", write(name, content)


def _zip(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(name, _DATE), content)
    return file.getvalue()


def _tar(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def _sqlite(name: str, content: bytes) -> bytes:
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE lines (module TEXT, number INTEGER, line TEXT)")
        rows = [(name, number, line) for number, line in enumerate(_lines(content))]
        database.executemany("INSERT INTO lines VALUES (?, ?, ?)", rows)
        database.commit()
        written = database.serialize()
    database.close()
    return written


def _wav(_name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as audio:
        audio.setparams((1, 2, 16000, 0, "NONE", "not compressed"))
        audio.writeframes(content[: len(content) // 2 * 2])
    return file.getvalue()


def _npy(_name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    np.save(file, np.frombuffer(content, dtype=np.uint8).astype(np.float32))
    return file.getvalue()


def _npz(name: str, content: bytes) -> bytes:
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **{name.partition(".")[0]: np.frombuffer(content, dtype=np.uint8)})
    return file.getvalue()


def _diff(name: str, content: bytes) -> bytes:
    """What it takes to remove the comments."""
    before = [f"{line}\n" for line in _lines(content)]
    after = [line for line in before if not line.lstrip().startswith("#")]
    return "".join(difflib.unified_diff(before, after, f"a/{name}", f"b/{name}")).encode()


def _names(content: bytes) -> list[tuple[str, int]]:
    """The module's names and how often each occurs."""
    counts = Counter(re.findall(r"[A-Za-z_]\w+", content.decode("utf-8", "replace")))
    return sorted(counts.items())[:_MOST_NAMES]


def _table(delimiter: str) -> Callable[[str, bytes], bytes]:
    def write(_name: str, content: bytes) -> bytes:
        file = io.StringIO()
        rows = [("name", "count", "length"), *((word, count, len(word)) for word, count in _names(content))]
        csv.writer(file, delimiter=delimiter).writerows(rows)
        return file.getvalue().encode()

    return write


def _notebook(name: str, content: bytes) -> bytes:
    cells = [
        {"cell_type": "markdown", "metadata": {}, "source": [f"# {name}\n"]},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "outputs": [],
            "source": [f"{line}\n" for line in _lines(content)[:40]],
        },
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}, indent=1).encode()


def _json_lines(_name: str, content: bytes) -> bytes:
    return "".join(json.dumps({"name": word, "count": count}) + "\n" for word, count in _names(content)).encode()


def _image(kind: str) -> Callable[[str, bytes], bytes]:
    def write(_name: str, content: bytes) -> bytes:
        from PIL import Image

        pixels = np.frombuffer(content[: _PIXELS * _PIXELS], dtype=np.uint8).reshape(_PIXELS, _PIXELS)
        file = io.BytesIO()
        Image.fromarray(pixels).convert("RGB").save(file, kind)
        return file.getvalue()

    return write


def _lines(content: bytes) -> list[str]:
    return content.decode("utf-8", "replace").splitlines()


WRITERS: Mapping[str, Callable[[str, bytes], bytes]] = MappingProxyType(
    {
        "appleplist": lambda name, content: plistlib.dumps({"module": name, "names": dict(_names(content))}),
        "bmp": _image("BMP"),
        "bzip": lambda _name, content: bz2.compress(content),
        "csv": _table(","),
        "diff": _diff,
        "gif": _image("GIF"),
        "gzip": lambda _name, content: gzip.compress(content, mtime=0),
        "ico": _image("ICO"),
        "ipynb": _notebook,
        "jpeg": _image("JPEG"),
        "jsonl": _json_lines,
        "npy": _npy,
        "npz": _npz,
        "pickle": lambda _name, content: pickle.dumps(dict(_names(content))),
        "sqlite": _sqlite,
        "tar": _tar,
        "tiff": _image("TIFF"),
        "tsv": _table("\t"),
        "wav": _wav,
        "webp": _image("WEBP"),
        "xz": lambda _name, content: lzma.compress(content),
        "zip": _zip,
        "zlibstream": lambda _name, content: zlib.compress(content),
    }
)
