"""optuna-dashboard answers for a run's study, to this machine alone."""

from __future__ import annotations

import json
import socket
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from search.cli.app import run_app
from search.dashboard import HOST, Dashboard, open_dashboard
from search.errors import NoResultYetError, SearchError
from search.folder.run_folder import RunFolder

if TYPE_CHECKING:
    import subprocess

    from search import RunResult


@contextmanager
def served(dashboard: Dashboard) -> Iterator[None]:
    thread = threading.Thread(target=dashboard.serve, daemon=True)
    thread.start()
    yield
    dashboard.server.shutdown()
    thread.join()


def ask(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=60) as answer:  # noqa: S310  # our own server
        body: bytes = answer.read()
    return body


@pytest.mark.filterwarnings("ignore::DeprecationWarning:bottle", "ignore::optuna.exceptions.ExperimentalWarning")
def test_it_shows_the_trials_of_the_run(run_copy: Path, finished: RunResult) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: the extra 'dashboard'")
    with open_dashboard(RunFolder(run_copy)) as dashboard, served(dashboard):
        base, study = dashboard.url.split("/dashboard/studies/")
        assert base.startswith(f"http://{HOST}:")
        assert b"<html" in ask(dashboard.url).lower()
        shown = json.loads(ask(f"{base}/api/studies/{study}"))
    assert shown["name"] == "paretune"
    complete = [trial for trial in shown["trials"] if trial["state"] == "Complete"]
    assert len(complete) == len(finished.points)
    assert shown["objective_names"] == ["latency_ms", "metric"]


@pytest.mark.filterwarnings("ignore::DeprecationWarning:bottle")
def test_a_port_that_is_taken_is_said(run_copy: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: the extra 'dashboard'")
    with socket.create_server((HOST, 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(SearchError, match=f"port {port} cannot be listened on .*give another --port"):  # noqa: SIM117
            with open_dashboard(RunFolder(run_copy), port):
                pass


def test_without_the_package_the_extra_is_named(
    run_copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "optuna_dashboard", None)
    assert run_app(["dashboard", str(run_copy), "--no-browser"]) == 2
    assert "pip install 'paretune[dashboard]'" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore::DeprecationWarning:bottle")
def test_a_run_without_a_study_is_no_traceback(run_copy: Path) -> None:
    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: the extra 'dashboard'")
    (run_copy / "study.db").unlink()
    with pytest.raises(NoResultYetError, match="has no study yet"), open_dashboard(RunFolder(run_copy)):
        pass


def test_the_command_says_where_it_is_and_ends_with_ctrl_c(start: Callable[..., Any], run_copy: Path) -> None:
    import os
    import signal

    pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed: the extra 'dashboard'")
    process: subprocess.Popen[str] = start("dashboard", run_copy, "--no-browser")
    assert process.stdout is not None
    url = process.stdout.readline().split()[0]
    assert b"<html" in ask(url).lower()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=60) == 0
