"""Studies on a real PostgreSQL: addresses, passwords, drivers, and a server that is away."""

from __future__ import annotations

import importlib.util
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

import search.study.storage
from search.errors import NoResultYetError, StorageError, StorageLostError
from search.folder.run_folder import RunFolder
from search.study.address import StudyAddress, choose_address
from search.study.study import has_study, load_study, open_study

IDENTITY = {"workload": "w", "target": {"engine": {"threads": 1}}}


@pytest.fixture
def address(postgres: Any) -> StudyAddress:
    return StudyAddress.parse(postgres.url, "mine")


def test_one_server_keeps_the_studies_of_many_runs(postgres: Any, tmp_path: Path) -> None:
    folders = [RunFolder(tmp_path / name) for name in "ab"]
    first, second = (
        choose_address(folder, postgres.url, None, {**IDENTITY, "workload": name}, "tiny-local-cpu")
        for folder, name in zip(folders, "ab", strict=True)
    )
    assert first.name.startswith("tiny-local-cpu-")
    assert first.name != second.name
    assert not has_study(first)
    with open_study(first, "random", 0) as study:
        study.tell(study.ask(), (1.0, 2.0))
    assert has_study(first)
    assert not has_study(second)
    with load_study(first) as study:
        assert [trial.values for trial in study.trials] == [[1.0, 2.0]]
    with pytest.raises(NoResultYetError, match="is empty; run its search command again"), load_study(second):
        pass


def test_the_same_run_finds_its_study_again_and_another_name_is_another_study(tmp_path: Path) -> None:
    url = "postgresql://me@server/db"
    found = {choose_address(RunFolder(tmp_path / name), url, None, IDENTITY, "w-t") for name in ("a", "b")}
    assert len(found) == 1
    other = choose_address(RunFolder(tmp_path / "c"), url, "mine", IDENTITY, "w-t")
    assert other.name == "mine"
    assert other not in found


def test_a_password_is_used_and_never_shown_or_kept(guarded_postgres: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    given = StudyAddress.parse(guarded_postgres.url_with_password, "mine")
    with open_study(given, "random", 0):
        pass
    assert guarded_postgres.password not in f"{given} {given.shown} {given.to_config()}"
    kept = StudyAddress.parse(given.to_config()["url"], given.to_config()["study"])
    with pytest.raises(StorageError, match=r"does not work as a storage: .*PGPASSWORD") as refused:
        has_study(kept)
    assert guarded_postgres.password not in str(refused.value)
    monkeypatch.setenv("PGPASSWORD", guarded_postgres.password)
    assert has_study(kept)


@pytest.mark.parametrize("key", ["password", "sslpassword"])
def test_a_password_in_the_query_is_not_kept_either(key: str) -> None:
    address = StudyAddress.parse(f"postgresql://me@server/db?{key}=hush&sslmode=require", "s")
    assert address.shown == "postgresql+psycopg://me@server/db?sslmode=require"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("results/study.db", "takes a database's URL such as sqlite:///study.db or postgresql"),
        ("sqlite://", "takes a file that lasts"),
        ("oracledb9://me@server/db", "no database is called 'oracledb9'"),
    ],
)
def test_what_is_no_storage_is_named(url: str, said: str) -> None:
    with pytest.raises(StorageError, match=said):
        has_study(StudyAddress.parse(url, "s"))


def test_an_absent_driver_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)  # as where the extra was not installed
    with pytest.raises(StorageError, match=r"needs the driver 'psycopg': pip install 'paretune\[postgresql\]'"):
        has_study(StudyAddress.parse("postgresql://me@127.0.0.1/db", "s"))


@pytest.mark.skipif(importlib.util.find_spec("MySQLdb") is not None, reason="MySQL's driver is installed here")
def test_another_databases_absent_driver_is_named() -> None:
    with pytest.raises(StorageError, match=r"needs the driver 'MySQLdb': pip install MySQLdb"):
        has_study(StudyAddress.parse("mysql://me@127.0.0.1/db", "s"))


def test_a_server_that_is_not_there_is_an_error_at_once(free_port: int) -> None:
    address = StudyAddress.parse(f"postgresql://me@127.0.0.1:{free_port}/db", "s")
    with pytest.raises(StorageError, match=r"does not work as a storage: .*refused"):
        has_study(address)


def test_a_server_that_restarts_between_two_transactions_is_not_noticed(postgres: Any, address: StudyAddress) -> None:
    with open_study(address, "random", 0) as study:
        trial = study.ask()
        postgres.stop()
        back = threading.Timer(1.0, postgres.start)
        back.start()
        trial.set_user_attr("a", 1)
        study.tell(trial, (1.0, 2.0))
        back.join()
        assert [(t.state.name, t.user_attrs) for t in study.trials] == [("COMPLETE", {"a": 1})]


def test_a_server_that_stays_away_is_one_line(
    postgres: Any, address: StudyAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search.study.storage, "PATIENCE_S", 0.5)
    with open_study(address, "random", 0) as study:
        postgres.stop()
        with pytest.raises(StorageLostError, match=r"has not come back: .*refused.* are safe in it") as lost:
            study.ask()
        postgres.start()
        assert study.trials == []
    assert "\n" not in str(lost.value)


def test_a_folders_run_stays_where_it_was_begun(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    table = {"url": "postgresql+psycopg://me@server/db", "study": "s"}
    config = {
        "started_at": "2026-01-01T00:00:00+00:00",
        "workload": {"name": "w", "digest": "d", "metric": "m", "samples_search": 1, "samples_confirmation": 1},
        "target": {"name": "t", "profile": {}},
    }
    folder.adopt({**config, "storage": table}, has_study=False)
    again = choose_address(folder, None, None, IDENTITY, "w-t")
    assert again.to_config() == table
    assert choose_address(folder, "postgresql://me:hush@server/db", None, IDENTITY, "w-t").name == "s"
    for url in ("postgresql://me@elsewhere/db", "sqlite:///other.db"):
        with pytest.raises(StorageError, match=r"keeps its study in 's' at postgresql.*server/db, not in"):
            choose_address(folder, url, None, IDENTITY, "w-t")


def test_a_study_in_a_folder_stays_in_it(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert choose_address(folder, None, None, IDENTITY, "w-t") == StudyAddress.in_file(folder.study_path)
    folder.path.mkdir()
    folder.study_path.touch()
    with pytest.raises(StorageError, match=r"keeps its study in study\.db; leave --storage out"):
        choose_address(folder, "postgresql://me@server/db", None, IDENTITY, "w-t")
    with pytest.raises(StorageError, match="--study 'x' names a study in a database; give its URL"):
        choose_address(folder, None, "x", IDENTITY, "w-t")
