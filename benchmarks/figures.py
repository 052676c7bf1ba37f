"""The form in which every benchmark reports."""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hwprofiles import detect_machine


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number beside the one asked for.

    Attributes:
        value: What was measured.
        unit: Its unit; `share` for fractions of one.
        better: Which way is better.
        asked: What it should reach; None for a number that only informs.
    """

    value: float
    unit: str
    better: Literal["lower", "higher"]
    asked: float | None = None

    @property
    def is_reached(self) -> bool:
        """Whether the measured number is as good as the one asked for."""
        if self.asked is None:
            return True
        return self.value <= self.asked if self.better == "lower" else self.value >= self.asked


def parser(
    description: str | None, *, quick: str, workload: str | None = None, workloads: Sequence[str] = ()
) -> argparse.ArgumentParser:
    """The options that every benchmark takes.

    Args:
        description: What the benchmark measures.
        quick: What `--quick` does, for the help.
        workload: The default of `--workload`.
        workloads: The same where it takes several.
    """
    made = argparse.ArgumentParser(description=description)
    if workloads:
        made.add_argument("--workload", nargs="+", default=workloads, help="Python files or built-ins' names")
    else:
        made.add_argument("--workload", default=workload, help="a Python file or a built-in's name")
    made.add_argument("--quick", action="store_true", help=quick)
    return made


def report(benchmark: str, figures: Mapping[str, Figure]) -> None:
    """Print the figures for people, and as one JSON object on the last line."""
    for name, figure in figures.items():
        asked = "" if figure.asked is None else f"  asked {figure.asked:g}: {'yes' if figure.is_reached else 'NO'}"
        print(f"{name:40} {figure.value:10.4g} {figure.unit:8}{asked}")
    machine = detect_machine()
    document: dict[str, Any] = {
        "benchmark": benchmark,
        "figures": {name: asdict(figure) for name, figure in figures.items()},
        "machine": {"cpu": machine.cpu, "cores": machine.logical_cores, "hardware_id": machine.hardware_id},
    }
    print(json.dumps(document))
