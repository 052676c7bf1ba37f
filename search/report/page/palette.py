"""The page's colours by role, in light and in dark."""

from __future__ import annotations

# Okabe and Ito 2008, "Color universal design", set darker on white and lighter on black so that text and marks have
# the contrast that WCAG 2.1 asks for.
PALETTE: dict[str, tuple[str, str]] = {
    "page": ("#ffffff", "#15181c"),
    "panel": ("#f5f6f7", "#1f2429"),
    "ink": ("#1d2126", "#e6e9ec"),
    "quiet": ("#59616b", "#a3abb4"),
    "rule": ("#d9dde2", "#353c44"),
    "edge": ("#7d868f", "#7d8791"),
    "focus": ("#0072b2", "#56b4e9"),
    "front": ("#0072b2", "#56b4e9"),
    "dominated": ("#5292bb", "#4a8db0"),
    "knee": ("#b84b00", "#ff9248"),
    "eight": ("#007a5a", "#17e3a5"),
    "fp32": ("#1d2126", "#f2f4f6"),
    "searched": ("#8c939b80", "#8c939b80"),
    "broken": ("#c3c9cf", "#3d444c"),
    "recovered": ("#8c3f86", "#e6a3cf"),
    "before": ("#5292bb", "#4a8db0"),
    "move": ("#a3518a", "#d58fbd"),
    "chosen": ("#1d2126", "#ffffff"),
    "bits-32": ("#eceef0", "#2b3138"),
    "bits-16": ("#b4d2e9", "#36566d"),
    "bits-8": ("#74afd9", "#23648e"),
    "bits-4": ("#e9a23b", "#8a5712"),
    "cell-ink": ("#10202c", "#ffffff"),
    # Runs beside one another; each has a shape of its own too.
    "run-0": ("#0072b2", "#56b4e9"),
    "run-1": ("#b84b00", "#ff9248"),
    "run-2": ("#007a5a", "#17e3a5"),
    "run-3": ("#a3518a", "#e6a3cf"),
    "run-4": ("#806000", "#e9c23b"),
    "run-5": ("#1d2126", "#f2f4f6"),
}
"""Role to its colour in light and in dark; a style sheet knows it as `--ROLE`."""

RUN_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "cross", "x")
"""Of runs beside one another: as many as can be told apart by shape as well as by colour."""


def palette_css() -> str:
    """The roles as custom properties: light, dark where the system is, and either where the reader chose it."""
    light, dark = ("".join(f"  --{role}: {colors[theme]};\n" for role, colors in PALETTE.items()) for theme in (0, 1))
    return (
        f":root {{\n  color-scheme: light;\n{light}}}\n"
        f"@media (prefers-color-scheme: dark) {{\n:root:not([data-theme]) {{\n  color-scheme: dark;\n{dark}}}\n}}\n"
        f':root[data-theme="dark"] {{\n  color-scheme: dark;\n{dark}}}\n'
    )
