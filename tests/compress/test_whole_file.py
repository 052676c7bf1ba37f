"""A file is there whole or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.whole_file import whole_file


@pytest.mark.parametrize("durable", [True, False])
def test_it_takes_its_name_at_the_end_and_replaces_what_was_there(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with whole_file(path, durable=durable) as file:
        file.write(b"after")
        assert path.read_bytes() == b"before"
    assert path.read_bytes() == b"after"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_what_fails_leaves_nothing_behind_and_what_was_there_stays(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"before")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.write("no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"before"
    assert [each.name for each in tmp_path.iterdir()] == ["file"]
