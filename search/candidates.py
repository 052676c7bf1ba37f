"""The front's candidates, each as a small bundle in the run's folder."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from compress.policy import Policy
from compress.stitch import Compressor
from deploy import BundleContent, is_bundle, remove_bundle, write_bundle
from search.disk_errors import disk_errors
from search.point import TrialPoint
from search.rebuild import rebuild
from search.results import RunResult
from search.run_folder import RunFolder


def write_candidates(
    folder: RunFolder, compressor: Compressor, policies: Mapping[str, Policy], result: RunResult
) -> None:
    """Write `candidates/DIGEST/` for every point of the confirmed front that is not there yet.

    Points that left the front are removed. What is no point of the run, or what somebody has put a file into, stays.

    Args:
        folder: The run's folder.
        compressor: Builds the points' bytes again: the same policy gives the same bytes.
        policies: Policy by candidate digest.
        result: The run.
    """
    if not result.is_confirmed:
        return
    for point in result.front:
        path = folder.candidate_path(point.digest)
        if not path.is_dir():
            candidate = rebuild(point, policies[point.digest], compressor.build)
            content = BundleContent(
                onnx_bytes=candidate.onnx_bytes,
                policy_json=candidate.policy.to_json(),
                session_entries=candidate.session_entries,
                facts=_facts(point, result),
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
    figures = asdict(point)
    figures.pop("layers")
    return {
        "digest": point.digest,
        "confirmed": figures,
        "run": {**facts, "started_at": facts["started_at"].isoformat()},
    }
