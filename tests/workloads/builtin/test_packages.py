"""A package that brings a workload's weights is found without being run, and missed in one line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from workloads import WorkloadError, load
from workloads.builtin.packages import require_package


def test_an_installed_package_is_found_and_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "explosive").mkdir()
    (tmp_path / "explosive" / "__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(tmp_path)
    assert require_package("explosive") == tmp_path / "explosive"
    assert "explosive" not in sys.modules


def test_a_missing_package_is_named_with_the_command_that_installs_it() -> None:
    with pytest.raises(WorkloadError, match=r"'no_such_package'.*pip install 'paretune\[benchmarks\]'") as caught:
        require_package("no_such_package")
    assert "\n" not in str(caught.value)


def test_a_workload_without_its_package_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchcrepe", None)
    with pytest.raises(WorkloadError, match="'torchcrepe', which is not installed; pip install"):
        load("crepe-tiny")
