"""Progress on the terminal: a bar where there is one, a line now and then where there is none."""

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn

from search.progress import Progress as Step

_TITLES = {
    "export": "Reading the network",
    "calibration": "Calibrating",
    "baseline": "Validating FP32",
    "layer times": "Timing layers",
    "sweep": "Trying single layers",
    "search": "Searching",
    "recovery": "Recovering candidates",
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
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[facts]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._stage = ""
        self._task = TaskID(0)
        self._shown = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._bar.stop()

    def listen(self, step: Step) -> None:
        """Show one step."""
        begins = step.stage != self._stage
        self._stage = step.stage
        if self._console.is_terminal:
            self._update(step, begins=begins)
        if step.note:
            self._console.print(step.note, style="dim", markup=False, highlight=False, soft_wrap=True)
        if not self._console.is_terminal and (begins or (is_milestone(step) and step.done != self._shown)):
            self._shown = step.done
            self._console.print(line(step), markup=False, highlight=False, soft_wrap=True)

    def _update(self, step: Step, *, begins: bool) -> None:
        if begins:
            for task in self._bar.task_ids:
                self._bar.remove_task(task)
            self._task = self._bar.add_task(_TITLES.get(step.stage, step.stage), facts="", count="")
        self._bar.update(self._task, completed=step.done, total=step.total, facts=facts(step), count=count(step))


def line(step: Step) -> str:
    """The step as a line of a log."""
    return " ".join(part for part in (_TITLES.get(step.stage, step.stage), count(step), facts(step)) if part)


def count(step: Step) -> str:
    """`3/40`, `3` where a deadline ends the stage, and nothing for a stage of one step."""
    if step.total is None:
        return str(step.done) if step.done else ""
    return "" if step.total == 1 else f"{step.done}/{step.total}"


def facts(step: Step) -> str:
    """What it is at, front size, best speedup and time left, as far as they are known."""
    parts = [step.detail] if step.detail else []
    if step.front_size:
        parts.append(f"front {step.front_size}")
    if step.best_speedup is not None:
        parts.append(f"best within {step.close} ×{step.best_speedup:.2f}")
    if step.remaining_s is not None and step.done != step.total:
        parts.append(f"{clock_text(step.remaining_s)} left")
    return " · ".join(parts)


def clock_text(seconds: float) -> str:
    """Seconds as `0:42`, `12:05` or `7:03:20`."""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def is_milestone(step: Step) -> bool:
    """Whether the step is worth a line of a log: the first, the last, and every tenth of the way.

    Where a deadline ends the stage: every tenth step, from a hundred on every hundredth.
    """
    if step.total == 1 or not step.done:
        return False
    if step.total is None:
        return step.done == 1 or step.done % (10 if step.done < 100 else 100) == 0
    return step.done in (1, step.total) or step.done % max(1, step.total // _LINES_PER_STAGE) == 0
