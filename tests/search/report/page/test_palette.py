"""Colours can be read, and told apart by people who see fewer of them."""

from __future__ import annotations

import itertools

import pytest

from search.report.page.palette import PALETTE, RUN_SYMBOLS, palette_css

RGB = tuple[float, float, float]
TEXT = ("ink", "quiet", "knee", "eight", "front", "fp32")
MARKS = (
    "front",
    "dominated",
    "before",
    "recovered",
    "knee",
    "eight",
    "fp32",
    "move",
    "chosen",
    "focus",
    *(f"run-{i}" for i in range(6)),
)
# Machado, Oliveira and Fernandes 2009, severity 1, in linear RGB.
VISION = {
    "full": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
    "deuteranopia": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.01182, 0.04294, 0.968881)),
    "tritanopia": ((1.255528, -0.076749, -0.178779), (-0.078411, 0.930809, 0.147602), (0.004733, 0.691367, 0.3039)),
}


def linear(color: str) -> RGB:
    shares = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares)
    return red, green, blue


def luminance(color: RGB) -> float:
    return 0.2126 * color[0] + 0.7152 * color[1] + 0.0722 * color[2]


def contrast(one: str, other: str) -> float:
    """WCAG 2.1's ratio."""
    low, high = sorted((luminance(linear(one)), luminance(linear(other))))
    return (high + 0.05) / (low + 0.05)


def lab(color: RGB) -> RGB:
    """CIE L*a*b* of a linear sRGB colour, D65."""
    rows = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    white = (0.9505, 1.0, 1.089)
    x, y, z = (
        t ** (1 / 3) if (t := max(sum(a * b for a, b in zip(row, color, strict=True)), 0) / w) > 0.008856
        else 7.787 * t + 16 / 116
        for row, w in zip(rows, white, strict=True)
    )  # fmt: skip
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def difference(one: str, other: str, vision: str) -> float:
    """CIE 1976, as someone with this vision sees the two."""
    seen = [
        lab(tuple(sum(a * b for a, b in zip(row, linear(c), strict=True)) for row in VISION[vision]))  # type: ignore[arg-type]
        for c in (one, other)
    ]
    return float(sum((a - b) ** 2 for a, b in zip(*seen, strict=True)) ** 0.5)


@pytest.mark.parametrize("theme", [0, 1])
def test_texts_and_marks_stand_out(theme: int) -> None:
    for role in TEXT:
        for ground in ("page", "panel"):
            assert contrast(PALETTE[role][theme], PALETTE[ground][theme]) >= 4.5, (role, ground)
    for role in MARKS:
        assert contrast(PALETTE[role][theme], PALETTE["page"][theme]) >= 3.0, role
    for bits in (32, 16, 8, 4):
        assert contrast(PALETTE["cell-ink"][theme], PALETTE[f"bits-{bits}"][theme]) >= 4.5, bits
    assert contrast(PALETTE["edge"][theme], PALETTE["page"][theme]) >= 3.0


@pytest.mark.parametrize("theme", [0, 1])
@pytest.mark.parametrize("vision", VISION)
def test_what_must_be_told_apart_can_be_with_any_colour_vision(theme: int, vision: str) -> None:
    bits = [f"bits-{count}" for count in (32, 16, 8, 4)]
    for group in (("front", "recovered", "knee", "eight"), bits):
        for one, other in itertools.combinations(group, 2):
            assert difference(PALETTE[one][theme], PALETTE[other][theme], vision) >= 12, (one, other)


def test_runs_differ_in_shape_as_well() -> None:
    assert len(set(RUN_SYMBOLS)) == len(RUN_SYMBOLS) == sum(role.startswith("run-") for role in PALETTE)


def test_the_readers_choice_is_stronger_than_the_system() -> None:
    text = palette_css()
    assert text.index(":root {") < text.index(":root:not([data-theme])") < text.index(':root[data-theme="dark"]')
    assert all(text.count(f"--{role}:") == 3 for role in PALETTE)
