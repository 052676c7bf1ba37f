"""The front's candidates, each as a small bundle in the run's folder."""

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from compress.candidate import Candidate
from deploy import ENGINE_FILE, BundleContent, is_bundle, remove_bundle, write_bundle
from search.cost import without_missing
from search.folder.disk_errors import disk_errors
from search.folder.engine_files import read_engine
from search.folder.run_folder import RunFolder
from search.point import TrialPoint
from search.report.target_words import said_of_target
from search.results import RunResult

_NO_ENGINE = (
    "the engine that was timed was not kept; build one of model.onnx on the target, and measure that: builds of the "
    "same network differ in speed"
)
_NOT_TIME = "instructions per inference, counted under emulation; they are not time, and no latency was measured"


def write_candidates(
    folder: RunFolder,
    remake: Callable[[TrialPoint], Candidate],
    result: RunResult,
    *,
    builds_engines: bool = False,
) -> None:
    """Write `candidates/DIGEST/` for every point of the confirmed front that is not there yet.

    Points that left the front are removed. What is no point of the run, or what somebody has put a file into, stays.

    Args:
        folder: The run's folder.
        remake: Gives the candidate that a point was measured as.
        result: The run.
        builds_engines: Whether what runs on the target is built of the network there: then a bundle holds what was
            timed, or says that it is absent.
    """
    if not result.is_confirmed:
        return
    for point in result.front:
        path = folder.candidate_path(point.digest)
        engine = read_engine(folder, point.digest)
        if not path.is_dir() or (engine is not None and is_bundle(path) and not (path / ENGINE_FILE).is_file()):
            candidate = remake(point)
            facts = _facts(point, result)
            if builds_engines and engine is None:
                facts["engine"] = {"file": None, "absent": _NO_ENGINE}
            content = BundleContent(
                onnx_bytes=candidate.onnx_bytes,
                policy_json=candidate.policy.to_json(),
                session_entries=candidate.session_entries,
                facts=facts,
                engine=engine,
            )
            with disk_errors(folder.path):
                write_bundle(path, content)
    on_front = {point.digest for point in result.front}
    for point in result.points:
        path = folder.candidate_path(point.digest)
        if point.digest and point.digest not in on_front and is_bundle(path):
            remove_bundle(path)


def _facts(point: TrialPoint, result: RunResult) -> dict[str, Any]:
    facts = asdict(result.facts)
    figures = without_missing(asdict(point))
    figures.pop("layers")
    found = {
        "digest": point.digest,
        "confirmed": figures,
        "run": {**without_missing(facts), "started_at": facts["started_at"].isoformat()},
    }
    said = said_of_target(point)
    problems = [point.reason] if point.reason else []
    notes = [*([said] if said and point.target_differs else []), *problems]
    if notes:
        found["notes"] = notes
    if point.is_emulated:
        found["cost"] = _NOT_TIME
    return found
