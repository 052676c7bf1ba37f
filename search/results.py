"""What a run found: read back from its folder at any time, and written as tables, plot and page."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from search.confirmation.confirmations import confirmed, read_confirmations
from search.errors import NoResultYetError
from search.figures import is_fraction
from search.folder.environment import read_environment
from search.folder.run_folder import RunFolder
from search.folder.timings import read_seconds
from search.point import FP32_LABEL, TrialPoint, to_csv
from search.recovery.recoveries import with_recovered
from search.study.space_record import recorded_space
from search.study.study import FP32_INSTRUCTIONS, FP32_MS
from search.study.training_record import trained_epochs
from search.study.trials import read_points

if TYPE_CHECKING:
    from search.account.account import SearchAccount
    from search.facts import ReportFacts


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """A run as far as it has come.

    Attributes:
        folder: Where it lives.
        points: Every finished trial, and what was recovered from them; confirmed ones with their confirmed figures.
        front: The front, slow to fast: confirmed points once there are any.
        facts: The circumstances, as reports show them.
    """

    folder: Path
    points: tuple[TrialPoint, ...]
    front: tuple[TrialPoint, ...]
    facts: "ReportFacts"

    @property
    def is_confirmed(self) -> bool:
        """Whether the front's figures are confirmed ones."""
        return any(point.confirmed for point in self.front)

    @property
    def page_path(self) -> Path:
        """The page to look at."""
        return self.folder / "pareto.html"

    @property
    def figure_path(self) -> Path:
        """The plot as a picture."""
        return self.folder / "pareto.png"


def read_result(path: Path) -> RunResult:
    """What the run in `path` has found so far.

    Raises:
        NoResultYetError: FP32, which every run begins with, has no figures yet.
        RunFolderError: There is no run, or a file of it cannot be read.
    """
    from search.study.address import address_of
    from search.study.study import load_study

    folder = RunFolder(path)
    config, address = folder.read_config(), address_of(folder)
    if address.file is not None and not address.file.is_file():
        raise _nothing_yet(folder)
    with load_study(address) as study:
        trials, attributes = study.get_trials(deepcopy=False), study.user_attrs
        space = recorded_space(study, path)
        epochs = trained_epochs(study)
    confirmations = read_confirmations(folder)
    searched = [] if space is None else with_recovered(read_points(trials, space), folder)
    fp32_metric = next((point.metric for point in searched if point.label == FP32_LABEL), None)
    if fp32_metric is None:
        raise _nothing_yet(folder)
    points = [
        confirmed(point, confirmations[point.digest])
        if point.state == "complete" and point.digest in confirmations
        else point
        for point in searched
    ]
    fp32_cost = {"fp32_latency_ms": attributes.get(FP32_MS), "fp32_instructions": attributes.get(FP32_INSTRUCTIONS)}
    facts = _read_facts(folder, config, points, fp32_cost, fp32_metric=fp32_metric, search_epochs=epochs)
    return RunResult(folder=path, points=tuple(points), front=front_of(points), facts=facts)


def read_account(path: Path) -> "SearchAccount":
    """How the search of the run in `path` went.

    Raises:
        RunFolderError: There is no run, or a file of it cannot be read.
    """
    from search.account.account import NO_ACCOUNT, account_of
    from search.study.study import load_run_study

    folder = RunFolder(path)
    config = folder.read_config()
    starts = [datetime.fromisoformat(session["started_at"]) for session in config.get("sessions", [config])]
    with load_run_study(folder) as study:
        space = recorded_space(study, path)
        return NO_ACCOUNT if space is None else account_of(study, space, starts)


def _nothing_yet(folder: RunFolder) -> NoResultYetError:
    remedy = "a search is working in it: look again in a moment" if folder.is_owned else "run its search command again"
    return NoResultYetError(f"the run in {str(folder.path)!r} has no figures of FP32 yet; {remedy}")


def write_report(path: Path) -> RunResult:
    """Write the tables, plot and page of the run in `path` again, from what its folder holds.

    Raises:
        RunFolderError: As `read_result`, or the disk is full.
    """
    result = read_result(path)
    write_results(RunFolder(path), result)
    return result


def write_overlay(paths: Sequence[Path], out: Path) -> None:
    """Write the page that shows the fronts of the runs in `paths` on one another.

    Raises:
        RunFolderError: As `read_result`.
        SearchError: The runs cannot be compared.
        OSError: `out` cannot be written.
    """
    from search.report.page import PageRun, overlay_text

    results = [read_result(path) for path in paths]
    runs = [PageRun(points=one.points, facts=one.facts, folder=one.folder) for one in results]
    out.write_text(overlay_text(runs), encoding="utf-8")


def front_of(points: Sequence[TrialPoint]) -> tuple[TrialPoint, ...]:
    """The confirmed front, slow to fast; the searched one before there are confirmed points."""
    from search.account.selection import select

    return tuple(select(points).front)


def write_results(folder: RunFolder, result: RunResult) -> None:
    """Write `trials.csv`, `pareto.csv`, `pareto.png` and `pareto.html`; for an emulated target `README.txt` too."""
    from search.report.cost_words import README
    from search.report.figure import front_png
    from search.report.page import page_text

    folder.write(folder.path / "trials.csv", to_csv(result.points))
    folder.write(folder.path / "pareto.csv", to_csv(result.front if result.is_confirmed else ()))
    folder.write(result.figure_path, front_png(result.points, result.facts))
    account = read_account(folder.path)
    folder.write(result.page_path, page_text(result.points, result.facts, account, run=folder.path))
    if result.facts.is_emulated:
        folder.write(folder.path / "README.txt", README)


def _read_facts(
    folder: RunFolder,
    config: dict[str, Any],
    points: Sequence[TrialPoint],
    fp32_cost: dict[str, Any],
    *,
    fp32_metric: float,
    search_epochs: int | None,
) -> "ReportFacts":
    from importlib.metadata import version

    from search.facts import ReportFacts

    workload = config["workload"]
    environment = read_environment(folder)
    fp32 = next(point for point in points if point.label == FP32_LABEL)
    return ReportFacts(
        workload_name=workload["name"],
        metric_name=workload["metric"],
        metric_is_fraction=is_fraction(fp32_metric),
        target_name=config["target"]["name"],
        target_is_host=_is_this_host(config["target"]["profile"]),
        device=environment.get("device", ""),
        runtime=environment.get("runtime", ""),
        **fp32_cost,
        fp32_metric_search=fp32_metric,
        fp32_metric_confirmation=fp32.metric if fp32.confirmed else None,
        samples_search=workload["samples_search"],
        samples_confirmation=workload["samples_confirmation"] if fp32.confirmed else None,
        trials_finished=sum(point.state == "complete" and point.is_trial for point in points),
        trials_failed=sum(point.state == "failed" for point in points),
        trials_stopped=sum(point.state == "pruned" for point in points),
        search_epochs=search_epochs,
        started_at=datetime.fromisoformat(config["started_at"]),
        wall_seconds=sum(read_seconds(folder).values()),
        paretune_version=version("paretune"),
    )


def _is_this_host(profile: dict[str, Any]) -> bool:
    """What `HardwareProfile.is_this_host` says, of a profile as some version of paretune stored it."""
    local = profile.get("reach", {}).get("transport", "local") == "local"
    return bool(local and profile.get("engine", {}).get("provider", "CPUExecutionProvider") == "CPUExecutionProvider")
