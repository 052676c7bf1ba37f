"""Progress on the terminal: a bar where there is one, a line now and then where there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TaskID, TextColumn

from search.progress import Progress as Step

_TITLES = {
    "export": "Reading the network",
    "calibration": "Calibrating",
    "baseline": "Validating FP32",
    "search": "Searching",
    "confirmation": "Confirming the front",
    "report": "Writing the report",
}
# A log file wants a line every so often, not one per trial.
_LINES_PER_STAGE = 10


class Watch:
    """Shows the steps of a search.

    Args:
        console: Where to.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(bar_width=20),
            MofNCompleteColumn(),
            TextColumn("{task.fields[facts]}"),
            console=console,
            disable=not console.is_terminal,
        )
        self._stage = ""
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def listen(self, step: Step) -> None:
        """Show one step."""
        if step.stage != self._stage:
            self._stage = step.stage
            if self._task is not None and self._bar.tasks:
                self._bar.remove_task(self._task)
            self._task = self._bar.add_task(_TITLES.get(step.stage, step.stage), total=step.total, facts="")
        if self._task is not None:
            self._bar.update(self._task, completed=step.done, total=step.total, facts=facts(step))
        if step.note:
            self._bar.console.print(step.note, style="dim", highlight=False)
        if not self._console.is_terminal and is_milestone(step):
            total = "" if step.total is None else f"/{step.total}"
            title = _TITLES.get(step.stage, step.stage)
            self._console.print(f"{title} {step.done}{total} {facts(step)}".rstrip(), highlight=False, soft_wrap=True)


def facts(step: Step) -> str:
    """Front size, best speedup and time left, as far as they are known."""
    parts = []
    if step.front_size:
        parts.append(f"front {step.front_size}")
    if step.best_speedup is not None:
        parts.append(f"best within 1 point ×{step.best_speedup:.2f}")
    if step.remaining_s is not None:
        parts.append(f"{clock_text(step.remaining_s)} left")
    return " · ".join(parts)


def clock_text(seconds: float) -> str:
    """Seconds as `0:42`, `12:05` or `7:03:20`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def is_milestone(step: Step) -> bool:
    """Whether the step is worth a line of a log: the first, the last, and every tenth of the way."""
    if step.total is None or step.total <= _LINES_PER_STAGE:
        return True
    every = step.total // _LINES_PER_STAGE
    return step.done in (0, 1, step.total) or step.done % every == 0
