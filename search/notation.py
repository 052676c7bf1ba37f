"""How figures are written: the same in the table, the picture and the page."""

from __future__ import annotations

import math

MINUS = "−"
_NO_BREAK = "\u00a0"
DIGEST_SHOWN = 8


def speedup_text(speedup: float) -> str:
    """Write a speedup: '3.42×'."""
    return f"{_plain(speedup, 2 if speedup < 100 else 0)}×"


def metric_text(metric: float) -> str:
    """Write a metric in its own unit: '0.9850'."""
    return _plain(metric, 4) if abs(metric) < 10 else _plain(metric, 2)


def latency_text(latency_ms: float) -> str:
    """Write a latency in milliseconds with three or more digits and no unit: '1.67', '0.412', '34.5'."""
    if not math.isfinite(latency_ms) or latency_ms <= 0:
        return "–"
    return _plain(latency_ms, max(0, 2 - math.floor(math.log10(latency_ms))))


def instructions_text(instructions: float) -> str:
    """Write a number of instructions in millions with three or more digits and no unit: '533', '3.25'."""
    return latency_text(instructions / 1e6)


def drop_text(drop: float, *, is_fraction: bool) -> str:
    """Write a drop without its unit: in percentage points for a fraction ('0.42' for 0.0042)."""
    return _plain(100 * drop, 2) if is_fraction else metric_text(drop)


def drop_unit(*, is_fraction: bool) -> str:
    """Name the unit of `drop_text`, for a heading: 'points', or '' where drops keep the metric's unit."""
    return "points" if is_fraction else ""


def interval_text(low: str, high: str) -> str:
    """Write a 95% interval from its two ends, already written: '[0.10, 0.74]'."""
    return f"[{low}, {high}]"


def size_text(model_bytes: int | None) -> str:
    """Write a size with its decimal unit: '312 kB', '1.24 MB', with a space that does not break."""
    if model_bytes is None:
        return "–"
    for scale, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if model_bytes >= scale:
            shown = model_bytes / scale
            return f"{_plain(shown, max(0, 2 - math.floor(math.log10(shown))))}{_NO_BREAK}{unit}"
    return f"{model_bytes}{_NO_BREAK}B"


def duration_text(seconds: float) -> str:
    """Write a duration: '38 s', '12 min 5 s', '7 h 58 min'."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def shortened(text: str, length: int) -> str:
    """Cut the middle out of a text that is longer than `length` characters: both ends tell layers apart."""
    if len(text) <= length:
        return text
    head = (length - 1) // 2
    return f"{text[:head]}…{text[len(text) - (length - 1 - head) :]}"


def _plain(value: float, digits: int) -> str:
    if not math.isfinite(value):
        return "–"
    text = f"{value:.{digits}f}"
    if not text.startswith("-"):
        return text
    return f"{MINUS}{text[1:]}" if float(text) != 0 else text[1:]
