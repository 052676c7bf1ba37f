"""The record of recoveries: it reads back what it was given, and makes points of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.recovery.lineage import Lineage
from search.errors import RunFolderError
from search.folder.run_folder import RunFolder
from search.recovery.recoveries import (
    Recovery,
    read_recoveries,
    recovered_points,
    said_of_recovery,
    with_recovered,
    write_recoveries,
)
from search.study.trials import Outcome

from .points import point

BEFORE = point(12, 0.05, 0.4, label="all 8-bit", reason="")
LINEAGE = Lineage(
    recovered_from=BEFORE.digest, method="distillation", epochs=3, steps=9, seed=1, data_digest="d" * 64,
    started_from=None, seconds=41.0,
)  # fmt: skip
OUTCOME = Outcome(
    latency_ms=0.1, latency_ratio=0.051, latency_ratio_low=0.05, latency_ratio_high=0.052, grade="clean", metric=0.99,
    metric_drop=0.01, metric_drop_low=0.0, metric_drop_high=0.02, digest="e" * 64, grade_reason="", divergence=0.1,
    model_bytes=900, kernels={"conv": ["QLinearConv"]},
)  # fmt: skip
DONE = Recovery(recovered_from=BEFORE.digest, epochs=3, seed=1, data_digest="d" * 64, lineage=LINEAGE, outcome=OUTCOME)
FAILED = Recovery(recovered_from="f" * 64, epochs=3, seed=1, data_digest="d" * 64, reason="no finite numbers")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder(tmp_path / "run")


def test_recoveries_read_back_in_their_order(folder: RunFolder) -> None:
    assert read_recoveries(folder) == []
    write_recoveries(folder, [FAILED, DONE])
    assert read_recoveries(folder) == [FAILED, DONE]
    assert json.loads(folder.recoveries_path.read_text())["format_version"] == 1


def test_a_recovered_candidate_is_a_point_of_its_own(folder: RunFolder) -> None:
    write_recoveries(folder, [FAILED, DONE])
    before, after = with_recovered([BEFORE], folder)
    assert before is BEFORE
    assert (after.name, after.number, after.digest, after.label) == ("#12r", 12, OUTCOME.digest, "")
    assert (after.recovered_from, after.recovery) == (BEFORE.digest, "distillation, 3 epochs, seed 1")
    assert (after.latency_ratio, after.metric_drop, after.model_bytes) == (0.051, 0.01, 900)
    assert (after.layers, after.policy_summary) == (BEFORE.layers, BEFORE.policy_summary)


def test_what_was_refitted_says_no_epochs() -> None:
    refitted = replace(DONE, lineage=replace(LINEAGE, method="closed-form reconstruction", epochs=0, steps=0))
    assert recovered_points([BEFORE], [refitted])[0].recovery == "closed-form reconstruction"
    cut_off = replace(DONE, lineage=replace(LINEAGE, epochs=0))
    assert recovered_points([BEFORE], [cut_off])[0].recovery == "distillation, less than an epoch, seed 1"


def test_a_trial_that_the_study_no_longer_has_gives_no_point() -> None:
    assert recovered_points([point(3, 0.2, 0.1)], [DONE]) == []


def test_what_became_of_it_is_said_in_a_line() -> None:
    assert said_of_recovery(BEFORE, DONE) == (
        "#12r: drop 40.00 → 1.00 points at 0.051 of FP32's cost (distillation, 3 epochs, seed 1, 41 s)"
    )
    assert said_of_recovery(BEFORE, FAILED) == "#12 is not recovered: no finite numbers"


def test_a_recovery_has_figures_or_a_reason() -> None:
    for changes in ({"outcome": None}, {"reason": "why"}, {"lineage": None}):
        with pytest.raises(ValueError, match="has an outcome with its lineage, or a reason"):
            replace(DONE, **changes)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ({"format_version": 99, "recoveries": []}, "has format_version 99, this paretune reads up to 1; upgrade"),
        ({"format_version": 1, "recoveries": [{"recovered_from": "d"}]}, "is damaged: KeyError: 'epochs'"),
        ({"format_version": 1, "recoveries": 3}, "is damaged: TypeError"),
        ({"format_version": 1, "recoveries": [{**FAILED.to_json(), "reason": ""}]}, "is damaged: ValueError"),
        (
            {"format_version": 1, "recoveries": [{**DONE.to_json(), "lineage": {"epochs": 3}}]},
            "is damaged: CompressionError: a lineage has the fields",
        ),
    ],
)
def test_a_record_that_cannot_be_read_is_named(folder: RunFolder, document: dict[str, Any], said: str) -> None:
    folder.write(folder.recoveries_path, json.dumps(document))
    with pytest.raises(RunFolderError, match=r"recoveries\.json' " + said):
        read_recoveries(folder)
