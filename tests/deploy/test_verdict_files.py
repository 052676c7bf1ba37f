"""Reports that machines read."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from deploy.verdict import Check, Verdict
from deploy.verdict_files import to_json, to_junit, write_reports

KEPT = Check(name="files", status="kept", promised="as exported", found="7 files", seconds=0.25)
BROKEN = Check(name="latency", status="broken", promised="at most 1 ms", found="2 ms", reason="too <slow> & \x1b[31m")
UNDECIDED = Check(name="accuracy", status="undecided", promised="at most 1", found="1.2", reason="within the interval")


def verdict(*checks: Check, strict: bool = False) -> Verdict:
    return Verdict(bundle="b", name="n", checks=checks, figures={"latency": {"ratio": 0.5}}, strict=strict)


def test_json_tells_every_check_and_the_figures() -> None:
    document = json.loads(to_json(verdict(KEPT, BROKEN)))
    assert (document["format_version"], document["verdict"]) == (1, "broken")
    assert [check["status"] for check in document["checks"]] == ["kept", "broken"]
    assert document["checks"][1]["reason"] == BROKEN.reason
    assert document["figures"] == {"latency": {"ratio": 0.5}}
    assert json.loads(to_json(verdict(KEPT, UNDECIDED)))["verdict"] == "kept"


def test_junit_has_a_case_for_each_check_and_a_failure_for_each_broken_one() -> None:
    root = ET.fromstring(to_junit(verdict(KEPT, BROKEN, UNDECIDED)))  # noqa: S314 - our own text
    suite = root.find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "0")
    cases = {case.get("name"): case for case in suite}
    assert cases["files"].find("failure") is None
    assert cases["files"].get("time") == "0.250"
    failure = cases["latency"].find("failure")
    assert failure is not None
    assert failure.get("message") == "too <slow> & \N{REPLACEMENT CHARACTER}[31m"
    assert "promised: at most 1 ms" in (failure.text or "")
    assert cases["accuracy"].find("failure") is None
    strict = ET.fromstring(to_junit(verdict(KEPT, UNDECIDED, strict=True)))  # noqa: S314 - our own text
    assert strict.get("failures") == "1"


def test_reports_are_written_whole_where_they_are_wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_reports(verdict(KEPT), tmp_path / "v.json", None)
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        write_reports(verdict(BROKEN), tmp_path / "v.json", tmp_path / "v.xml")
    assert [path.name for path in tmp_path.iterdir()] == ["v.json"]
    assert json.loads((tmp_path / "v.json").read_text())["verdict"] == "kept"
