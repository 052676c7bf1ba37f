"""The store of finished weights: made once, never larger than its limits, shared by processes, and never in the way."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.variants import VariantStore


def _arrays(size: int) -> tuple[np.ndarray]:
    return (np.zeros(size, np.uint8),)


def _never() -> tuple[np.ndarray]:
    raise AssertionError("made anew")


def _files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.npz"))


def test_each_is_made_once() -> None:
    store, made = VariantStore(), []

    def make() -> tuple[np.ndarray]:
        made.append(1)
        return _arrays(8)

    assert store.get("a", make) is store.get("a", make)
    assert len(made) == 1
    assert store.size_bytes == 8


def test_threads_that_make_the_same_share_what_was_there_first() -> None:
    store, both = VariantStore(), Barrier(2)

    def make() -> tuple[np.ndarray]:
        both.wait(30)
        return _arrays(8)

    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: store.get("a", make), range(2))
    assert one is other
    assert "a" in store
    assert store.size_bytes == 8


def test_the_least_recently_used_goes_first() -> None:
    store = VariantStore(limit_bytes=20)
    first, second = store.get("a", lambda: _arrays(8)), store.get("b", lambda: _arrays(8))
    store.get("a", lambda: _arrays(8))
    store.get("c", lambda: _arrays(8))
    assert store.get("a", lambda: _arrays(8)) is first
    assert store.get("b", lambda: _arrays(8)) is not second


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(0, 9), st.integers(0, 30)), max_size=30))
def test_the_limit_holds(limit: int, requests: list[tuple[int, int]]) -> None:
    store = VariantStore(limit_bytes=limit)
    for key, size in requests:
        assert len(store.get((key, size), lambda size=size: _arrays(size))[0]) == size  # type: ignore[misc]
        assert store.size_bytes <= limit


@pytest.mark.parametrize("name", ["limit_bytes", "disk_limit_bytes"])
def test_a_negative_limit_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must not be negative, got -1"):
        VariantStore(**{name: -1})  # type: ignore[arg-type]


def test_what_python_calls_equal_is_not_the_same_key() -> None:
    store = VariantStore()
    keys = [(1,), (1.0,), ("1",), (None,), ("a", "b"), ("a,b",), "a"]
    for index, key in enumerate(keys):
        store.get(key, lambda index=index: (np.array(index),))  # type: ignore[misc]
    assert [store.get(key, _never)[0].item() for key in keys] == list(range(len(keys)))


def test_a_key_whose_text_is_not_certain_is_refused() -> None:
    with pytest.raises(TypeError, match=r"made of str, int, float and None, got \(1, 2\) of type tuple"):
        VariantStore().get(("a", (1, 2)), lambda: _arrays(1))  # type: ignore[arg-type]


@pytest.mark.parametrize("with_folder", [False, True])
def test_nobody_can_change_what_others_will_get(tmp_path: Path, *, with_folder: bool) -> None:
    """What `make` was built from stays writable, and changing it changes nothing in the store."""
    source = np.arange(8)
    store = VariantStore(folder=tmp_path if with_folder else None)
    for _ in range(2):
        found = store.get("a", lambda: (source[:4],))[0]
        with pytest.raises(ValueError, match="read-only"):
            found[0] = 1
    source[0] = 9
    assert store.get("a", _never)[0][0] == 0


def test_making_one_may_ask_for_others() -> None:
    store = VariantStore()
    outer = store.get("a", lambda: (store.get("b", lambda: _arrays(8))[0] + 1,))
    assert outer[0][0] == 1
    assert store.size_bytes == 16


class TestFolder:
    """What several stores share."""

    def test_another_store_finds_it(self, tmp_path: Path) -> None:
        """Types, shapes, values: two arrays, one of no elements, one without axes, and float16."""
        made = (np.arange(6, dtype=np.int8).reshape(2, 3), np.zeros((0, 4)), np.array(3.5, np.float16))
        VariantStore(folder=tmp_path / "deep" / "er").get(("a", 0.5, None), lambda: made)
        found = VariantStore(folder=tmp_path / "deep" / "er").get(("a", 0.5, None), _never)  # type: ignore[arg-type]
        assert len(found) == len(made)
        for array, wanted in zip(found, made, strict=True):
            assert array.dtype == wanted.dtype
            assert not array.flags.writeable
            np.testing.assert_array_equal(array, wanted, strict=True)

    def test_what_memory_has_dropped_is_read_again(self, tmp_path: Path) -> None:
        store = VariantStore(limit_bytes=0, folder=tmp_path)
        store.get("a", lambda: _arrays(8))
        assert len(store.get("a", _never)[0]) == 8
        assert store.size_bytes == 0

    @pytest.mark.parametrize("damage", ["torn", "empty", "foreign", "another key's", "an array", "flipped"])
    def test_what_is_not_whole_and_ours_is_made_and_written_again(self, tmp_path: Path, damage: str) -> None:
        VariantStore(folder=tmp_path).get("a", lambda: (np.arange(300),))
        (path,) = _files(tmp_path)
        whole = path.read_bytes()
        if damage == "torn":
            path.write_bytes(whole[:-200])
        elif damage == "flipped":
            path.write_bytes(whole[:1500] + bytes([whole[1500] ^ 1]) + whole[1501:])
        elif damage == "another key's":
            other = VariantStore(folder=tmp_path / "other")
            other.get("b", lambda: _arrays(8))
            path.write_bytes(_files(tmp_path / "other")[0].read_bytes())
        elif damage == "an array":
            with path.open("wb") as file:
                np.save(file, np.arange(3))
        else:
            path.write_bytes(b"" if damage == "empty" else b"hello")
        np.testing.assert_array_equal(VariantStore(folder=tmp_path).get("a", lambda: (np.arange(300),))[0], range(300))
        np.testing.assert_array_equal(VariantStore(folder=tmp_path).get("a", _never)[0], range(300))

    def test_no_byte_of_a_file_can_be_changed_unnoticed(self, tmp_path: Path) -> None:
        VariantStore(folder=tmp_path).get("a", lambda: (np.arange(5),))
        (path,) = _files(tmp_path)
        whole = path.read_bytes()
        for position in range(0, len(whole), 3):
            path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
            found = VariantStore(folder=tmp_path).get("a", lambda: (np.arange(5),))
            assert len(found) == 1
            np.testing.assert_array_equal(found[0], np.arange(5))

    def test_the_disk_limit_holds_and_what_was_read_longest_ago_goes_first(self, tmp_path: Path) -> None:
        store = VariantStore(limit_bytes=0, folder=tmp_path, disk_limit_bytes=8000)
        for index in range(3):
            store.get(_key(index), lambda: _arrays(2000))
            os.utime(_newest(tmp_path), (index, index))
        store.get(_key(0), _never)
        store.get(_key(3), lambda: _arrays(2000))
        assert sum(path.stat().st_size for path in _files(tmp_path)) <= 8000
        store.get(_key(0), _never)
        store.get(_key(3), _never)
        with pytest.raises(AssertionError, match="made anew"):
            store.get(_key(1), _never)

    def test_writing_a_file_does_not_list_all_others(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """Thousands of files lie in a night's folder: far from the limit it is listed at the first write only."""
        listed, scandir = [], os.scandir
        monkeypatch.setattr(os, "scandir", lambda path: listed.append(path) or scandir(path))
        store = VariantStore(folder=tmp_path)
        for index in range(50):
            store.get(_key(index), lambda: _arrays(100))
        monkeypatch.undo()
        assert len(listed) <= 2  # finished files and partial ones
        assert len(_files(tmp_path)) == 50

    def test_two_writers_keep_close_to_the_limit(self, tmp_path: Path) -> None:
        """Neither sees what the other has written since it last looked: a sixteenth of the room it found then."""
        limit = 200_000
        stores = [VariantStore(limit_bytes=0, folder=tmp_path, disk_limit_bytes=limit) for _ in range(2)]
        largest = 0
        for index in range(200):
            stores[index % 2].get(_key(index), lambda: _arrays(2000))
            largest = max(largest, sum(path.stat().st_size for path in _files(tmp_path)))
        assert limit / 2 < largest <= limit * 17 / 16

    def test_what_is_larger_than_the_disk_limit_is_not_written(self, tmp_path: Path) -> None:
        store = VariantStore(folder=tmp_path, disk_limit_bytes=100)
        assert len(store.get("a", lambda: _arrays(2000))[0]) == 2000
        assert not _files(tmp_path)

    def test_what_dead_writers_left_goes_and_what_is_not_ours_stays(self, tmp_path: Path) -> None:
        store = VariantStore(folder=tmp_path, disk_limit_bytes=3000)
        left, fresh = (tmp_path / f".{'a' * 64}.npz.{name}.partial" for name in ("left", "fresh"))
        theirs = tmp_path / "theirs.npz"
        for path in (left, fresh, theirs):
            path.write_bytes(bytes(5000))
        os.utime(left, (0, 0))
        os.utime(theirs, (0, 0))
        store.get("a", lambda: _arrays(2000))
        assert not left.exists()
        assert fresh.exists()
        assert theirs.exists()
        VariantStore(folder=tmp_path).get("a", _never)

    def test_a_folder_that_cannot_be_written_is_reported_once(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        (tmp_path / "file").write_text("in the way")
        store = VariantStore(folder=tmp_path / "file" / "folder")
        with caplog.at_level(logging.WARNING):
            for key in ("a", "b"):
                assert len(store.get(key, lambda: _arrays(8))[0]) == 8
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "in memory only" in caplog.text
        assert len(store.get("a", _never)[0]) == 8

    def test_a_full_disk_leaves_nothing_half_written(self, tmp_path: Path) -> None:
        script = (
            "import resource, sys; from pathlib import Path; import numpy as np\n"
            "from compress.variants import VariantStore\n"
            "folder = Path(sys.argv[1]); store = VariantStore(limit_bytes=0, folder=folder)\n"
            "store.get('small', lambda: (np.arange(10),))\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))\n"
            "assert len(store.get('large', lambda: (np.arange(10**5),))[0]) == 10**5\n"
            "store.get('small', lambda: 1 / 0)\n"
        )
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", script, str(tmp_path)], capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        assert result.stderr.count("in memory only") == 1
        assert len(result.stderr.splitlines()) == 1
        assert len(list(tmp_path.iterdir())) == 1

    def test_processes_share_a_folder(self, tmp_path: Path) -> None:
        """Four at once ask for the same keys in a folder with room for a third of them; nobody gets anything wrong."""
        script = (
            "import sys; from pathlib import Path; import numpy as np\n"
            "from compress.variants import VariantStore\n"
            "rng = np.random.default_rng(int(sys.argv[2]))\n"
            "store = VariantStore(limit_bytes=0, folder=Path(sys.argv[1]), disk_limit_bytes=30_000)\n"
            "made = 0\n"
            "def make(key):\n"
            "    global made\n"
            "    made += 1\n"
            "    return (np.full(1000, key, np.int16), np.array(key))\n"
            "for key in rng.integers(0, 40, 300).tolist():\n"
            "    first, second = store.get(('layer', key), lambda: make(key))\n"
            "    assert first.shape == (1000,) and (first == key).all() and second == key, key\n"
            "assert made < 300, made\n"
        )
        processes = [
            subprocess.Popen(
                [sys.executable, "-W", "error", "-c", script, str(tmp_path), str(seed)],
                stderr=subprocess.PIPE,
                text=True,
            )
            for seed in range(4)
        ]
        for process in processes:
            assert (process.communicate()[1], process.returncode) == ("", 0)
        assert sum(path.stat().st_size for path in _files(tmp_path)) <= 30_000
        assert not list(tmp_path.glob("*.partial"))


def _key(index: int) -> tuple[str, int]:
    return ("layer", index)


def _newest(folder: Path) -> Path:
    return max(_files(folder), key=lambda path: path.stat().st_mtime_ns)
