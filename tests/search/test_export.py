"""What a run's folder gives to be exported: the bytes that were confirmed, and all that is known of them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from compress.policy import Policy
from deploy.reapply import apply_policy, read_fp32, read_recipe_calibration
from latency import combine
from search import RunResult
from search.choosing.named_point import find_confirmed
from search.errors import SearchError
from search.export import exportable
from search.point import TrialPoint


@pytest.fixture
def confirmed(finished: RunResult) -> TrialPoint:
    """The fastest point of the confirmed front."""
    return finished.front[-1]


def test_a_confirmed_point_comes_with_all_that_the_run_knows(finished: RunResult, confirmed: TrialPoint) -> None:
    found = exportable(finished.folder, str(confirmed.number))
    assert found.trial == confirmed.number
    assert (found.confirmed.ratio, found.confirmed.ratio_high) == (
        confirmed.latency_ratio,
        confirmed.latency_ratio_high,
    )
    assert found.accuracy.confirmed.drop == confirmed.metric_drop
    assert found.accuracy.on_target is None  # this host is the target
    assert found.fp32 == (finished.folder / "network.onnx").read_bytes()
    assert found.workload.digest in (finished.folder / "run.toml").read_text()
    assert len(found.feeds["x"]) == found.profile.engine.batch_size
    assert found.notes == ()
    assert found.calibration is None
    assert found.name == "tiny"


def test_the_raw_samples_are_those_of_the_confirmation(finished: RunResult, confirmed: TrialPoint) -> None:
    """The search measured the candidate, too; its samples are not what was confirmed."""
    found = exportable(finished.folder, confirmed.digest[:10])
    assert found.confirmed.lines == tuple(range(len(found.passes)))
    whole = combine(found.passes, found.speed)
    assert whole.ratio == pytest.approx(confirmed.latency_ratio, rel=1e-12)
    assert whole.model_digest == confirmed.digest
    log = (finished.folder / "measurements.jsonl").read_text()
    assert log.count(f'"model_digest":"{confirmed.digest}"') > len(found.passes)


def test_a_run_that_lost_its_log_is_exported_and_says_so(run_copy: Path, confirmed: TrialPoint) -> None:
    (run_copy / "measurements.jsonl").unlink()
    found = exportable(run_copy, confirmed.digest)
    assert (found.passes, found.confirmed.lines) == ((), ())
    assert found.notes == ("the raw samples of the confirmation are no longer in the run's measurements.jsonl",)


@pytest.mark.parametrize("damage", [shutil.rmtree, lambda folder: (folder / "model.onnx").write_bytes(b"other")])
def test_bytes_that_are_not_kept_are_built_again(
    run_copy: Path, confirmed: TrialPoint, damage: Callable[[Path], Any]
) -> None:
    kept = exportable(run_copy, confirmed.digest)
    damage(run_copy / "candidates" / confirmed.digest)
    rebuilt = exportable(run_copy, confirmed.digest)
    assert rebuilt.onnx_bytes == kept.onnx_bytes
    assert rebuilt.session_entries == kept.session_entries


def test_the_recipe_makes_every_confirmed_point_again(finished: RunResult) -> None:
    for point in finished.points:
        if point.confirmed:
            found = exportable(finished.folder, point.digest, with_calibration=True)
            statistics = read_recipe_calibration(finished.folder / "calibration.npz", found.recipe)
            network = read_fp32(found.fp32, found.recipe)
            assert apply_policy(found.policy, found.recipe, network, statistics).digest == point.digest
            assert Policy.from_json(found.policy.to_json()) == found.policy
            assert found.calibration == (finished.folder / "calibration.npz").read_bytes()


def test_an_unconfirmed_or_unknown_point_is_refused_with_the_confirmed_ones(finished: RunResult) -> None:
    best = next(point for point in finished.points if point.confirmed)
    lost = replace(
        best,
        number=40,
        digest="ab" * 32,
        confirmed=False,
        search_latency_ratio=None,
        search_metric_drop=None,
    )
    failed = TrialPoint(number=41, digest="", state="failed", reason="it does not load")
    points = [*finished.points, lost, failed]
    assert find_confirmed(points, f"#{best.number}") is best
    named = f"#{best.number} \\({best.digest[:8]}\\)"
    for wanted, reason in (
        ("40", "#40 is not confirmed; only confirmed points can be exported, and choose one of"),
        ("ababab", "#40 is not confirmed"),
        ("41", "#41 failed: it does not load"),
        ("99", "no point '99' in this run"),
        ("", "no point '' in this run"),
        (best.digest[:5], f"no point '{best.digest[:5]}'"),
    ):
        with pytest.raises(SearchError, match=f"{reason}.*{named}"):
            find_confirmed(points, wanted)
    with pytest.raises(SearchError, match="none of this run is yet: run its search command again"):
        find_confirmed([lost], "40")
    twin = replace(lost, number=42, digest="ab" * 31 + "cd")
    with pytest.raises(SearchError, match="'ababab' begins several digests"):
        find_confirmed([lost, twin], "ababab")


def test_a_workload_that_has_changed_is_refused(
    run_copy: Path, finished: RunResult, confirmed: TrialPoint, workload: Path
) -> None:
    from workloads import load

    same = load(workload)  # another folder, the same content
    assert exportable(run_copy, confirmed.digest, workload=same).workload.origin == str(workload)
    workload.write_text(workload.read_text() + "\n# changed\n")
    with pytest.raises(SearchError, match=r"is not what the run searched .*its data have changed since; restore them"):
        exportable(run_copy, confirmed.digest, workload=load(workload))


def test_a_run_of_files_asks_for_them_again(run_copy: Path, confirmed: TrialPoint) -> None:
    config = (run_copy / "run.toml").read_text()
    origin = next(line for line in config.splitlines() if line.startswith("origin ="))
    (run_copy / "run.toml").write_text(config.replace(origin, 'origin = "/data/model.onnx"'))
    with pytest.raises(SearchError, match="give --model, --data and --metric again"):
        exportable(run_copy, confirmed.digest)


def test_instructions_promise_no_latency(
    finished: RunResult, confirmed: TrialPoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = replace(finished.facts, fp32_latency_ms=None, fp32_instructions=1000)
    monkeypatch.setattr("search.export.read_result", lambda path: replace(finished, facts=counted))
    with pytest.raises(SearchError, match="measured no latency, so there is nothing to promise; search on the device"):
        exportable(finished.folder, confirmed.digest)
