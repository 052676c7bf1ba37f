"""What MLCommons' LoadGen says at the end of a run, as values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from latency.errors import MeasurementError

Scenario = Literal["single-stream", "offline", "server"]

_NAMES: Mapping[str, Scenario] = MappingProxyType(
    {"SingleStream": "single-stream", "Offline": "offline", "Server": "server"}
)
# Where each scenario's rate stands: without LoadGen's own time between queries, where it tells both.
_RATES: Mapping[Scenario, str] = MappingProxyType(
    {
        "single-stream": "QPS w/o loadgen overhead",
        "offline": "Samples per second",
        "server": "Completed samples per second",
    }
)
_PERCENTILE = re.compile(r"^(\d+\.\d+) percentile latency \(ns\)\s*: (\d+)$", re.MULTILINE)
_CONDITION = re.compile(r"^ +(.+?) satisfied ?: (Yes|NO)$", re.MULTILINE)
_NS_PER_MS = 1e6


@dataclass(frozen=True, kw_only=True)
class LoadGenResult:
    """LoadGen's result.

    Attributes:
        scenario: What traffic it made.
        valid: Its verdict.
        conditions: What the verdict rests on, and whether each was met.
        advice: What it recommends, and what it says of stopping early.
        percentiles_ms: Latency of a sample by percentile, 50.0 among them. In the offline scenario all samples come at
            once, so that these are times since the beginning; in the server scenario they hold the wait in the queue.
        mean_ms: Mean latency of a sample.
        samples_per_s: Samples answered per second, without LoadGen's own time where it tells.
        version: Which LoadGen.
        summary: Its own summary, in full.
    """

    scenario: Scenario
    valid: bool
    conditions: Mapping[str, bool]
    advice: tuple[str, ...]
    percentiles_ms: Mapping[float, float]
    mean_ms: float
    samples_per_s: float
    version: str
    summary: str

    @property
    def median_ms(self) -> float:
        """The 50th percentile."""
        return self.percentiles_ms[50.0]

    @property
    def reasons(self) -> tuple[str, ...]:
        """The conditions that were not met."""
        return tuple(name for name, met in self.conditions.items() if not met)

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "scenario": self.scenario,
            "verdict": "VALID" if self.valid else "INVALID",
            "conditions": dict(self.conditions),
            "advice": list(self.advice),
            "percentiles_ms": {f"{percent:g}": value for percent, value in self.percentiles_ms.items()},
            "mean_ms": self.mean_ms,
            "samples_per_s": self.samples_per_s,
            "version": self.version,
            "summary": self.summary,
        }


def parse_summary(text: str, version: str) -> LoadGenResult:
    """Reads ``mlperf_log_summary.txt``.

    Args:
        text: the file.
        version: which LoadGen wrote it.

    Raises:
        MeasurementError: it is no such file, or of a LoadGen that writes it otherwise.
    """
    result, heading, _statistics = text.partition("Additional Stats")
    if not heading:
        raise _strange(version, f"{text[:80]!r}")
    name = _value(text, "Scenario", version)
    if name not in _NAMES:
        raise _strange(version, f"scenario '{name}'")
    scenario = _NAMES[name]
    percentiles = {float(percent): int(ns) / _NS_PER_MS for percent, ns in _PERCENTILE.findall(text)}
    if 50.0 not in percentiles:
        raise _strange(version, "no 50th percentile")
    return LoadGenResult(
        scenario=scenario,
        valid=_value(result, "Result is", version) == "VALID",
        conditions={condition: met == "Yes" for condition, met in _CONDITION.findall(result)},
        advice=_advice(result),
        percentiles_ms=percentiles,
        mean_ms=_number(text, "Mean latency (ns)", version) / _NS_PER_MS,
        samples_per_s=_number(text, _RATES[scenario], version),
        version=version,
        summary=text,
    )


def _value(text: str, name: str, version: str) -> str:
    found = re.search(rf"^{re.escape(name)}\s*: (.+?)\s*$", text, re.MULTILINE)
    if found is None:
        raise _strange(version, f"no '{name}'")
    return found[1]


def _number(text: str, name: str, version: str) -> float:
    value = _value(text, name, version)
    try:
        return float(value)
    except ValueError:
        raise _strange(version, f"'{name}: {value}'") from None


def _advice(result: str) -> tuple[str, ...]:
    """The starred sentences, each on one line, however LoadGen broke them."""
    sentences: list[str] = []
    for line in result.splitlines():
        if line.startswith(" * "):
            sentences.append(line.removeprefix(" * ").strip())
        elif sentences and line.startswith(" ") and line.strip():
            sentences[-1] += f" {line.strip()}"
    return tuple(sentences)


def _strange(version: str, what: str) -> MeasurementError:
    return MeasurementError(
        f"the summary of {version} cannot be read: {what}; paretune reads those of mlcommons-loadgen 5 and 6"
    )
