"""A search on a target at the other end of a real SSH connection, and what becomes of it when the target goes away."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import search
from hwprofiles import HardwareProfile
from latency import TargetError
from latency.transports.ssh import SshTransport
from latency.transports.ssh.link import LinkSettings
from search import SearchError
from search.cli.app import run_app
from search.progress import Progress
from search.report.target_words import summary_of


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """A link that is lost is tried again at once, and once; three failures in a row end a search."""
    settings = LinkSettings(attempts=1, keepalive_s=1.0, keepalives=2, grace_s=1.0, silence_s=3.0)
    monkeypatch.setattr("latency.transports.ssh.SshTransport", partial(SshTransport, settings=settings))
    monkeypatch.setattr("search.loop._FAILURES_IN_A_ROW", 3)


def test_accuracy_is_taken_on_the_target_too_and_both_figures_are_reported(
    quick: None, workload: Path, board: HardwareProfile, tmp_path: Path
) -> None:
    result = search.run(workload, board, out=tmp_path / "run", trials=3, sampler="random", target_samples=10)
    assert result.is_confirmed
    assert not result.facts.target_is_host
    for point in result.front:
        assert point.target_samples == 10
        # The same processor and runtime: the same answers, and so no difference that a rounding could explain.
        assert point.target_metric == pytest.approx(point.host_metric, abs=1e-6)
        assert point.target_differs is False
        assert point.reason == ""
    assert summary_of(result.front) in " ".join(result.page_path.read_text().replace("&#x27;", "'").split())
    rows = pd.read_csv(result.folder / "pareto.csv")
    assert (rows["target_samples"] == 10).all()
    environment = json.loads((result.folder / "environment.json").read_text())
    assert environment["device"].endswith(", over SSH")
    assert environment["host"]["architecture"]


def test_nobody_there_is_one_line_before_anything_is_searched(
    workload: Path, board: HardwareProfile, ssh_server: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ssh_server.stop()
    with pytest.raises(TargetError, match="cannot reach"):
        search.run(workload, board, out=tmp_path / "run", trials=3, sampler="random")
    assert not (tmp_path / "run" / "study.db").exists()


def test_a_target_unplugged_in_the_search_loses_nothing_and_the_same_command_goes_on(
    quick: None, workload: Path, board: HardwareProfile, ssh_server: Any, tmp_path: Path
) -> None:
    def unplug(step: Progress) -> None:
        if step.stage == "search" and step.done == 2:
            ssh_server.stop()

    said = r"the target went away: the link to .* did not come back .*; what was found before is reported, unconfirmed"
    with pytest.raises(SearchError, match=said):
        search.run(workload, board, out=tmp_path / "run", trials=20, sampler="random", listener=unplug)
    result = search.read_result(tmp_path / "run")
    assert [point.state for point in result.points] == ["complete"] * 2, "what the target did is no candidate's fault"
    assert not result.is_confirmed
    assert "not yet confirmed" in result.page_path.read_text()
    ssh_server.start()
    again = search.run(workload, board, out=tmp_path / "run", trials=4, sampler="random")
    assert again.is_confirmed
    assert [point.state for point in again.points] == ["complete"] * 4


def test_a_target_unplugged_in_the_confirmation_leaves_a_report(
    quick: None, workload: Path, board: HardwareProfile, ssh_server: Any, tmp_path: Path
) -> None:
    def unplug(step: Progress) -> None:
        if step.stage == "confirmation" and step.done == 1:
            ssh_server.stop()

    with pytest.raises(SearchError, match=r"went away in the confirmation: .*; what was found before is reported"):
        search.run(workload, board, out=tmp_path / "run", trials=4, sampler="random", listener=unplug)
    result = search.read_result(tmp_path / "run")
    assert len(result.points) == 4
    assert not result.is_confirmed
    assert result.page_path.is_file()
    assert run_app(["status", str(tmp_path / "run")]) in (None, 0)
