"""A bundle verified on a device over SSH: measured and validated there, by a real server on loopback."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.verify import verify_bundle
from hwprofiles import load_profile


@pytest.fixture
def ssh_server(tmp_path: Path) -> Iterator[Any]:
    path = Path(__file__).parents[1] / "latency" / "ssh_servers.py"
    spec = importlib.util.spec_from_file_location("ssh_servers", path)
    assert spec is not None
    assert spec.loader is not None
    servers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(servers)
    folder = tmp_path / "ssh"
    folder.mkdir()
    with servers.AsyncsshServer(folder) as server:
        yield server


def test_the_named_target_runs_both_networks(bundle: Path, ssh_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.revalidate._REMOTE_SAMPLES", 12)
    profile = load_profile("local-cpu")
    board = profile.model_copy(update={"name": "board", "reach": ssh_server.reach(connect_timeout_s=5.0)})
    verdict = verify_bundle(bundle, profile=board)
    assert verdict.is_kept, verdict.failed
    assert verdict.figures["accuracy"]["samples"] == 12  # a board is slow
    # On loopback the board is this machine, which is the one that it was promised on.
    assert verdict.figures["latency"]["is_promised_device"]
