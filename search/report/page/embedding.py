"""What is put into a page so that it needs no network and nothing in it can break out."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files

SCRIPTS = (
    "page.js",
    "theme.js",
    "axes.js",
    "rings.js",
    "sketch.js",
    "plot.js",
    "policy.js",
    "budgets.js",
    "keys.js",
    "table.js",
    "start.js",
)
"""The page's own, in the order in which they are put together."""


def safe(text: str) -> str:
    """Escape text for HTML."""
    return html.escape(text)


def embedded_json(value: object) -> str:
    """Write JSON that cannot end the script element it stands in, whatever strings it holds."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def asset(name: str) -> str:
    """The text of a file beside this one."""
    return (files("search.report.page") / name).read_text(encoding="utf-8")


def page_script() -> str:
    """The page's own scripts as one."""
    return "\n".join(asset(name) for name in SCRIPTS)


@cache
def packed_plotly() -> tuple[str, str]:
    """plotly.js, compressed (a third of its 4.8 MB): base64 of gzip, and the hash that lets the page run it."""
    from plotly.offline import get_plotlyjs

    script: str = get_plotlyjs()
    # A fixed time, so that the same run gives the same page.
    return base64.b64encode(gzip.compress(script.encode(), 9, mtime=0)).decode(), script_hash(script)


def script_hash(script: str) -> str:
    """What a content security policy calls a script that it lets run."""
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def description_list(rows: Sequence[tuple[str, str]]) -> str:
    """The inside of a list of names and what they stand for, as plain text."""
    return "\n".join(f"<div><dt>{safe(name)}</dt><dd>{safe(value)}</dd></div>" for name, value in rows)
