"""Durations and times of day as people type them."""

import datetime as dt
import re

import typer

_UNITS = {"d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0}


def parse_duration_s(text: str, option: str = "--time") -> float:
    """`8h`, `1h30m`, `45s` or plain seconds, in seconds.

    Args:
        text: What was typed.
        option: The option that it was typed for.

    Raises:
        typer.BadParameter: It is none of these, or not above zero.
    """
    compact = text.replace(" ", "").lower()
    parts = re.findall(r"(\d+(?:\.\d+)?)([dhms]?)", compact)
    if not parts or "".join(number + unit for number, unit in parts) != compact:
        raise typer.BadParameter(f"{option} takes a duration such as 8h, 90m or 1h30m, got {text!r}")
    seconds = sum(float(number) * _UNITS[unit or "s"] for number, unit in parts)
    if seconds <= 0:
        raise typer.BadParameter(f"{option} must be above zero, got {text!r}")
    return seconds


def seconds_until(text: str, now: dt.datetime | None = None) -> float:
    """Seconds until the next time the clock on the wall shows `text` (`07:00`).

    Raises:
        typer.BadParameter: It is no time of day.
    """
    now = now or dt.datetime.now().astimezone()
    try:
        wanted = dt.time.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"--until takes a time of day such as 07:00, got {text!r}") from error
    # On the wall's own clock, and only then as a moment: summer time may begin or end in between.
    wall = now.replace(tzinfo=None)
    moment = dt.datetime.combine(wall.date(), wanted.replace(tzinfo=None))
    if moment <= wall:
        moment += dt.timedelta(days=1)
    return (moment.astimezone() - now).total_seconds()
