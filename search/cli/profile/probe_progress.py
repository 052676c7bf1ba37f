"""How far a probe has come: a bar where there is a terminal, a line now and then where there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn

from latency.probing import ProbeStep
from latency.probing.wording import FORMAT_WORDS, layer_words, times
from search.cli.watch import clock_text

_LINES = 10  # of a log file


class ProbeBar:
    """Shows the steps of a probe.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("Probing"),
            BarColumn(bar_width=20),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.description}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def listen(self, step: ProbeStep) -> None:
        """Show one step."""
        self._bar.update(self._task, completed=step.done, total=step.total, description=words(step))
        milestone = step.done in (0, step.total) or step.done % max(1, step.total // _LINES) == 0
        if not self._console.is_terminal and milestone:
            self._console.print(
                f"Probing {step.done}/{step.total} {words(step)}".rstrip(),
                markup=False,
                highlight=False,
                soft_wrap=True,
            )


def words(step: ProbeStep) -> str:
    """The time left and the last choice: `3:20 left · int8 Conv 3×3 64→64 ×2.31`."""
    parts = [] if step.remaining_s is None or step.done == step.total else [f"{clock_text(step.remaining_s)} left"]
    if step.row is not None:
        came = "does not run" if step.row.refused is not None else times(step.row.speedup)
        parts.append(f"{FORMAT_WORDS[step.row.format]} {layer_words(step.row)} {came}")
    return " · ".join(parts)
