"""A verdict as files for machines: JSON, and JUnit's XML, which CI systems show test by test."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from xml.etree import ElementTree as ET  # only written with, never parsed

from deploy.verdict import FORMAT_VERSION, Check, Verdict
from deploy.whole_folder import write_file

_CLASS = "paretune.verify"


def to_json(verdict: Verdict) -> str:
    """The verdict as a JSON object: `kept` or `broken`, every check, and what was measured."""
    document = {
        "format_version": FORMAT_VERSION,
        "bundle": verdict.bundle,
        "name": verdict.name,
        "verdict": "kept" if verdict.is_kept else "broken",
        "strict": verdict.strict,
        "checks": [asdict(check) for check in verdict.checks],
        "figures": dict(verdict.figures),
    }
    return json.dumps(document, indent=1, allow_nan=False)


def to_junit(verdict: Verdict) -> str:
    """The verdict as JUnit XML: one test suite, one case for each check, what is broken as its failure."""
    failed = verdict.failed
    counts = {"tests": str(len(verdict.checks)), "failures": str(len(failed)), "errors": "0"}
    seconds = f"{sum(check.seconds for check in verdict.checks):.3f}"
    root = ET.Element("testsuites", counts)
    name = _printable(f"paretune verify {verdict.name or verdict.bundle}")
    suite = ET.SubElement(root, "testsuite", {"name": name, "time": seconds, "skipped": "0", **counts})
    for check in verdict.checks:
        case = ET.SubElement(
            suite, "testcase", {"classname": _CLASS, "name": check.name, "time": f"{check.seconds:.3f}"}
        )
        if check in failed:
            failure = ET.SubElement(case, "failure", {"type": check.status, "message": _printable(check.reason)})
            failure.text = _printable(_told(check))
        else:
            ET.SubElement(case, "system-out").text = _printable(_told(check))
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def write_reports(verdict: Verdict, json_path: Path | None, junit_path: Path | None) -> None:
    """Write those of the two reports that have a path, whole or not at all.

    Raises:
        OSError: One cannot be written.
    """
    for path, text in ((json_path, to_json), (junit_path, to_junit)):
        if path is not None:
            write_file(path, text(verdict).encode())


def _told(check: Check) -> str:
    parts: Sequence[tuple[str, str]] = (
        ("promised", check.promised),
        ("found", check.found),
        ("reason", check.reason),
    )
    return "\n".join(f"{name}: {text}" for name, text in parts if text)


def _printable(text: str) -> str:
    """XML has no control characters, not even escaped."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )
