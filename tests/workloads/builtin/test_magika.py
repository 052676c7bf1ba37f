"""The magika workload asks the network what magika asks it, about files that are what they are called."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import pickle
import plistlib
import sqlite3
import tarfile
import zipfile
import zlib
from collections import Counter
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads.builtin.magika_features import features, is_long_enough
from workloads.builtin.magika_made_files import WRITERS, made_files
from workloads.builtin.magika_shipped_files import stdlib_sources

CONTENTS = st.one_of(
    st.binary(max_size=64),
    st.builds(
        lambda before, unit, times, after: before + unit * times + after,
        st.text(" \n\t", max_size=6).map(str.encode),
        st.binary(min_size=1, max_size=9),
        st.integers(1, 1500),
        st.text(" \n\t", max_size=6).map(str.encode),
    ),
)


@pytest.fixture(scope="module")
def official() -> Any:
    return pytest.importorskip("magika", reason="pip install 'paretune[benchmarks]'").Magika()


@given(CONTENTS)
def test_tokens_are_bytes_and_padding(content: bytes) -> None:
    """Stripped of white space, the beginning stands first and the end last; between them is nothing but padding."""
    tokens = features(content)
    beginning, end = content[:4096].lstrip()[:1024], content[-4096:].rstrip()[-1024:]
    assert (tokens.dtype, tokens.shape) == (np.int32, (2048,))
    assert tokens[: len(beginning)].tolist() == list(beginning)
    assert tokens[2048 - len(end) :].tolist() == list(end)
    assert set(tokens[len(beginning) : 2048 - len(end)].tolist()) <= {256}


@settings(max_examples=25, deadline=None)
@given(content=CONTENTS.filter(is_long_enough))
def test_the_network_is_asked_what_magika_asks_it(official: Any, content: bytes) -> None:
    """The same probability of the same type, magika's own reading of the file against ours."""
    from workloads import onnx_predictor
    from workloads.builtin import magika as workload

    result = official.identify_bytes(content)
    predict = onnx_predictor(workload.model().read_bytes())
    scores = predict({"bytes": features(content)[None]})["target_label"][0]
    assert scores.max() == pytest.approx(result.score, abs=1e-4)


def test_validation_is_balanced_over_the_types() -> None:
    pytest.importorskip("magika", reason="pip install 'paretune[benchmarks]'")
    from workloads import load

    workload = load("magika")
    parts = [
        Counter(np.concatenate([targets for _, targets in part.batches(1000)]).tolist())
        for part in (workload.search_part, workload.confirmation_part)
    ]
    assert parts[0] == parts[1]
    assert len(parts[0]) >= 35
    assert max(parts[0].values()) == 8
    assert sum(parts[0].values()) >= 200


def test_made_files_open_as_what_they_are_called() -> None:
    from PIL import Image

    source = stdlib_sources()[0]
    name, content = source.name, source.read_bytes()
    file = {label: write(name, content) for label, write in WRITERS.items()}
    assert gzip.decompress(file["gzip"]) == content
    assert bz2.decompress(file["bzip"]) == content
    assert lzma.decompress(file["xz"]) == content
    assert zlib.decompress(file["zlibstream"]) == content
    assert zipfile.ZipFile(io.BytesIO(file["zip"])).read(name) == content
    with tarfile.open(fileobj=io.BytesIO(file["tar"])) as archive:
        assert archive.getnames() == [name]
    assert plistlib.loads(file["appleplist"])["module"] == name
    assert pickle.loads(file["pickle"])  # noqa: S301  # written three lines above
    assert len(np.load(io.BytesIO(file["npy"]))) == len(content)
    assert len(np.load(io.BytesIO(file["npz"])).files) == 1
    with sqlite3.connect(":memory:") as database:
        database.deserialize(file["sqlite"])
        assert database.execute("SELECT count(*) FROM lines").fetchone()[0] > 0
    database.close()
    for kind in ("bmp", "gif", "ico", "jpeg", "tiff", "webp"):
        with Image.open(io.BytesIO(file[kind])) as image:
            assert image.format == kind.upper()


def test_each_type_is_made_of_different_modules() -> None:
    made = list(made_files(3))
    assert Counter(label for label, _, _ in made) == dict.fromkeys(WRITERS, 3)
    assert len({content for _, _, content in made}) == len(made)
    assert made == list(made_files(3))
