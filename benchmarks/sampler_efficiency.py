"""How many trials the frontier sampler needs for what others reach in 300: `python -m benchmarks.sampler_efficiency`.

Three kinds of problem: a small real network all of whose policies were evaluated once (benchmarks/tabulated), synthetic
chains of known figures, and, with `--live`, searches of a real network as users make them. The others have our
starting points, as `paretune search --sampler tpe` has; with `--alone` they begin with FP32, as whoever uses Optuna
without paretune does. Curves are kept in the folder that `--out` names; the same call goes on where it was stopped.
"""

import statistics
import tempfile
from argparse import Namespace
from functools import partial
from pathlib import Path

import optuna

from benchmarks.figures import Figure, parser, report
from benchmarks.samplers.asks import ask_ms
from benchmarks.samplers.comparison import Comparison, after, bests_of, curves_of, draw_curves, figures_of
from benchmarks.samplers.heat import run_side_by_side
from benchmarks.samplers.live_comparison import LiveComparison
from benchmarks.samplers.race import ALONE, FRONTIER, OTHERS, sampler_of
from benchmarks.samplers.synthetic_chain import SyntheticChain
from benchmarks.samplers.table_replay import TableReplay
from benchmarks.tabulated.table import Table, read_table

ASKED_SHARE, SHARE_AFTER = 0.99, 100


def on_table(options: Namespace, folder: Path) -> Comparison:
    """The tabulated network, of which the whole front is known."""
    return Comparison(
        label="table",
        make_problem=partial(_replay, read_table()),
        others=options.others,
        seeds=options.seeds,
        trials=options.trials,
        most_ask_s=60.0 * options.ask_minutes,
        folder=folder,
    )


def _replay(table: Table, seed: int) -> TableReplay:
    return TableReplay(table)  # the same network for all


def on_chains(options: Namespace, folder: Path) -> list[Comparison]:
    """Synthetic chains."""
    return [
        Comparison(
            label=f"{layers} layers",
            make_problem=partial(SyntheticChain, layers),
            others=[name for name in options.others if sampler_of(name) != "gp" or layers <= options.gp_layers],
            seeds=options.seeds,
            trials=options.trials,
            most_ask_s=60.0 * options.ask_minutes,
            folder=folder,
        )
        for layers in options.layers
    ]


def sum_up_table(comparison: Comparison) -> dict[str, Figure]:
    """What the searches of the tabulated network come to."""
    table = read_table()
    problem = TableReplay(table)
    races = comparison.races()
    figures: dict[str, Figure] = {}
    # The first reference is what counts; the second, from where who guesses stands, is easier.
    for label, reference in (
        (comparison.title, problem.reference),
        (f"{comparison.title}, from chance", TableReplay.chance),
    ):
        runs = curves_of(races, reference)
        whole = table.hypervolume(reference)
        path = comparison.folder / f"{label}.png"
        draw_curves(
            runs,
            [whole] * len(runs),
            path,
            title=f"{problem.name}: {problem.space.size:,} policies",
            y_label="hypervolume, share of the whole front's",
        )
        print(path)
        is_asked = label == comparison.title
        figures |= figures_of(label, runs, extra_trials=table.head_start_trials, is_asked=is_asked)
        for name in (FRONTIER, *comparison.others):
            figures[f"{label}: {name}, share after {SHARE_AFTER}"] = Figure(
                value=statistics.median(after(curves[name], SHARE_AFTER) / whole for curves in runs),
                unit="share",
                better="higher",
                asked=ASKED_SHARE if is_asked and name == FRONTIER and comparison.trials >= SHARE_AFTER else None,
            )
    return figures


def sum_up_chain(comparison: Comparison) -> dict[str, Figure]:
    """What the searches of chains of one length come to."""
    runs = curves_of(comparison.races(), SyntheticChain.reference)
    path = comparison.folder / f"{comparison.title}.png"
    draw_curves(
        runs,
        bests_of(runs),
        path,
        title=f"Synthetic chain of {comparison.label}, 6 formats each",
        y_label=f"hypervolume over that of the best other after {comparison.trials}",
    )
    print(path)
    return figures_of(comparison.title, runs)


def compare_live(options: Namespace, folder: Path) -> dict[str, Figure]:
    """A real network, searched as users search it."""
    folder.mkdir(parents=True, exist_ok=True)
    comparison = LiveComparison(
        workload=options.workload,
        target=options.target,
        others=options.others,
        seeds=options.seeds,
        trials=options.trials,
        floor=options.floor,
        folder=folder,
    )
    runs = comparison.runs()
    for path in comparison.pictures(runs):
        print(path)
    return comparison.figures(runs)


def time_asks() -> dict[str, Figure]:
    """How long proposals take."""
    first, *rest = ask_ms()
    return {
        "ask, 200 layers, 10,000 trials": Figure(value=statistics.median(rest), unit="ms", better="lower", asked=50.0),
        "the first, which reads them": Figure(value=first / 1e3, unit="s", better="lower"),
    }


def main() -> None:
    """Compare the samplers and time the proposals."""
    options = parser(
        __doc__,
        quick="one seed, 40 trials, TPE and random alone; the table and 20 layers; no timing",
        workload="mnist-resnet",
    )
    options.add_argument(
        "--live", action="store_true", help="search the workload itself, and nothing else; a night's job"
    )
    options.add_argument("--target", default="local-cpu", help="with --live: a profile's name or file")
    options.add_argument("--floor", type=float, default=0.89, help="with --live: the metric at which gain begins")
    options.add_argument(
        "--problems", nargs="*", choices=("table", "chains", "asks"), default=["table", "chains", "asks"]
    )
    options.add_argument("--layers", type=int, nargs="*", default=[20, 50, 200])
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=300)
    options.add_argument("--others", nargs="*", choices=OTHERS, default=OTHERS)
    options.add_argument("--alone", action="store_true", help="the others begin with FP32 only, not as ours does")
    options.add_argument("--gp-layers", type=int, default=20, help="the longest chain that the Gaussian process gets")
    options.add_argument(
        "--ask-minutes", type=float, default=30.0, help="processor time that the proposals of one search may take"
    )
    options.add_argument(
        "--jobs", type=int, default=1, help="searches made at a time, each with a thread of its own; not with --live"
    )
    options.add_argument("--out", type=Path, help="where curves are kept; a temporary folder if left out")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.problems, arguments.layers = ["table", "chains"], [20]
        arguments.seeds, arguments.trials, arguments.others = 1, 40, ("tpe", "random")
    if arguments.alone:
        arguments.others = [f"{name}{ALONE}" for name in arguments.others]
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = arguments.out or Path(tempfile.mkdtemp(prefix="paretune-sampler-efficiency-"))
    figures: dict[str, Figure] = {}
    if arguments.live:
        arguments.problems = []
        figures |= compare_live(arguments, folder)
    tables = [on_table(arguments, folder)] if "table" in arguments.problems else []
    chains = on_chains(arguments, folder) if "chains" in arguments.problems else []
    if arguments.jobs > 1:
        run_side_by_side([heat for comparison in (*tables, *chains) for heat in comparison.heats()], arguments.jobs)
    for comparison in tables:
        figures |= sum_up_table(comparison)
    for comparison in chains:
        figures |= sum_up_chain(comparison)
    if "asks" in arguments.problems:
        figures |= time_asks()
    print(f"curves and pictures: {folder}")
    report("sampler_efficiency", figures)


if __name__ == "__main__":
    main()
