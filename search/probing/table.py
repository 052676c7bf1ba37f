"""A probe as tables for the terminal: what each format is worth for each layer, scheme by scheme, width by width."""

from collections.abc import Iterable, Sequence
from typing import get_args

from rich.console import Group
from rich.table import Table
from rich.text import Text

from hwprofiles import HardwareProfile, ProbedLayer
from hwprofiles.vocabulary import DecidedScheme, NumberFormat
from latency.probing.wording import layer_key, names_of, shape_key, times

_STYLES = {"pays": "green", "cannot pay": "red", "undecided": "dim", "refused": "dim"}
_COLUMNS: tuple[NumberFormat, ...] = ("int8", "int8-dynamic", "int8-weights", "int4-weights", "fp16")


def probe_tables(profile: HardwareProfile) -> Group:
    """All tables of a probed profile, formats first.

    Raises:
        ValueError: The profile has no probe.
    """
    if profile.probe is None:
        msg = f"profile {profile.name!r} was not probed"
        raise ValueError(msg)
    rows = profile.probe.layers
    tables = [_formats(rows, profile), *_schemes(rows, profile)]
    return Group(*(part for table in tables if table is not None for part in (table, Text())))


def _formats(rows: Sequence[ProbedLayer], profile: HardwareProfile) -> Table | None:
    """Speedups by layer and format, in the scheme and the compute that the profile has now."""
    formats = profile.formats
    plain = [row for row in rows if row.is_plain and row.runs_as(profile.runs_as)]
    columns = [name for name in _COLUMNS if any(row.format == name for row in plain)]
    if not columns:
        return None
    titles = [f"int8\n{formats.int8_scheme}" if name == "int8" else name.replace("-", "\n") for name in columns]
    table, names = _table(["layer", "batch", "FP32 ms", *titles]), names_of(plain)
    for layer in _layers(plain):
        found = {row.format: row for row in plain if shape_key(row) == layer}
        first = next(iter(found.values()))
        cells = [_cell(found.get(name)) for name in columns]
        table.add_row(names[layer_key(first)], str(first.batch_size), _milliseconds(found.values()), *cells)
    return table


def _schemes(rows: Sequence[ProbedLayer], profile: HardwareProfile) -> list[Table]:
    """Static int8 by layer and scheme, at the profile's batch size."""
    static = [
        row for row in rows if row.is_plain and row.format == "int8" and row.batch_size == profile.engine.batch_size
    ]
    columns = [name for name in get_args(DecidedScheme) if any(row.scheme == name for row in static)]
    if len(columns) < 2:
        return []
    table, names = _table(["int8 by scheme", *columns]), names_of(static)
    for layer in _layers(static):
        found = {row.scheme: row for row in static if shape_key(row) == layer}
        name = names[layer_key(next(iter(found.values())))]
        table.add_row(name, *(_cell(found.get(name)) for name in columns))
    return [table]


def _table(titles: Sequence[str]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column(titles[0], overflow="fold")  # where a line is too long, a layer's name takes two
    for title in titles[1:]:
        table.add_column(title, justify="right", no_wrap=True)
    return table


def _layers(rows: Sequence[ProbedLayer]) -> list[tuple[object, ...]]:
    return list(dict.fromkeys(shape_key(row) for row in rows))


def _cell(row: ProbedLayer | None) -> Text:
    """`×2.31`; `~` where the interval spans 1, `?` for unreliable, `!` where other kernels ran, `no` where none did."""
    if row is None:
        return Text("")
    if row.verdict == "refused":
        return Text("no", style="dim")
    doubt = "~" if row.verdict == "undecided" and row.instead is None else ""
    doubt = "?" if row.grade == "unreliable" else doubt
    other = "!" if row.instead is not None else ""
    return Text(f"{doubt}{times(row.speedup)}{other}", style=_STYLES[row.verdict])


def _milliseconds(rows: Iterable[ProbedLayer]) -> str:
    known = [row.fp32_ms for row in rows if row.fp32_ms is not None]
    return f"{min(known):.3g}" if known else "–"


LEGEND = (
    "×: times as fast as FP32. ~: could be either way. ?: unreliable. !: the runtime ran other kernels than asked. "
    "no: does not run."
)
