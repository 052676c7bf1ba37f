"""How many trials the frontier sampler needs for what others reach in 300: `python -m benchmarks.sampler_efficiency`.

The problems are synthetic chains (benchmarks/synthetic_chain.py). Every sampler is asked as a search asks it: the same
starting points first, then what is new. Hypervolumes are those of the exact figures of what was tried, whatever the
noise let the sampler see. Beside the sampler as it is stand two that know more: one from a sweep over single layers'
damage, one from a profile of single layers' times as well.
"""

import json
import math
import statistics
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

from benchmarks.figures import Figure, parser, report
from benchmarks.synthetic_chain import SyntheticChain, noisy_outcome
from search.layer_graph import record_layer_graph
from search.pareto import Pair, hypervolume
from search.samplers import make_sampler
from search.samplers.frontier import FrontierSampler
from search.space import Choice
from search.space_record import adopt_space
from search.study import ask_unseen, resume
from search.trials import OUTCOME

OTHERS = ("tpe", "nsga2", "gp", "random")
OURS = ("frontier", "frontier, damage swept", "frontier, damage and times swept")
REFERENCE = (1.05, 0.0)
FP32_METRIC = 0.98

# Optuna's Gaussian process takes minutes per proposal beyond this.
GP_LAYERS, GP_TRIALS = 20, 100

ASK_LAYERS, ASK_TRIALS, ASKS = 200, 10_000, 21


def make(name: str, chain: SyntheticChain, seed: int) -> BaseSampler:
    """A sampler by its name here."""
    rng = np.random.default_rng([seed, 1])
    damage = chain.sweep(rng) if "damage" in name else {}
    times = chain.layer_table(rng) if "times" in name else {}
    if name in OURS:
        return FrontierSampler(seed, damage_effects=damage, cost_effects=times)
    return make_sampler(name, seed)


def begin(chain: SyntheticChain, sampler: BaseSampler) -> optuna.Study:
    """A study in memory."""
    study = optuna.create_study(directions=["minimize", "maximize"], sampler=sampler)
    adopt_space(study, chain.space, Path("in memory"))
    record_layer_graph(study, chain.graph)
    return study


def search(chain: SyntheticChain, name: str, seed: int) -> Iterator[Pair]:
    """The exact figures of each trial of a search that does not end."""
    study = begin(chain, make(name, chain, seed))
    seen = resume(study, chain.space)
    rng = np.random.default_rng([seed, 2])
    while (asked := ask_unseen(study, chain.space, seen, seed)) is not None:
        trial, policy = asked
        reading = chain.read(trial.params, rng)
        trial.set_user_attr(OUTCOME, {**noisy_outcome(reading, FP32_METRIC), "digest": policy.digest})
        study.tell(trial, (reading.cost_ratio, reading.metric))
        seen.add(policy, policy.digest)
        exact = chain.read(trial.params)
        yield exact.cost_ratio, exact.metric


def curve(points: Iterator[Pair], most: int, target: float = math.inf) -> list[float]:
    """The hypervolume after each trial: `most` trials, or from the 30th on until it is at the target."""
    reached: list[float] = []
    tried: list[Pair] = []
    while len(reached) < min(most, 30) or (len(reached) < most and reached[-1] < target):
        tried.append(next(points))
        reached.append(hypervolume(tried, REFERENCE))
    return reached


def compare(layers: int, seed: int, trials: int, others: tuple[str, ...]) -> dict[str, list[float]]:
    """Curves of all samplers on one problem; ours stop when they have what the best of the others ends with."""
    chain = SyntheticChain(layers, seed)
    curves = {}
    for name in others:
        if name == "gp" and layers > GP_LAYERS:
            continue
        curves[name] = curve(search(chain, name, seed), min(trials, GP_TRIALS) if name == "gp" else trials)
    target = max(got[-1] for got in curves.values())
    for name in OURS:
        curves[name] = curve(search(chain, name, seed), trials, target)
        print(f"{layers} layers, seed {seed}: {name} reaches {target:.4f} after {trials_until(curves[name], target)}")
    return curves


def trials_until(reached: list[float], target: float) -> int:
    """Trials until a curve is at `target`; one more than there are where it never is."""
    return next((at for at, value in enumerate(reached, 1) if value >= target), len(reached) + 1)


def ask_ms() -> list[float]:
    """Milliseconds of each proposal in a study of many finished trials."""
    chain = SyntheticChain(ASK_LAYERS, 0)
    study = begin(chain, FrontierSampler(0))
    rng = np.random.default_rng(0)
    distributions: dict[str, BaseDistribution] = {
        knob.name: CategoricalDistribution(knob.choices) for knob in chain.space.knobs
    }

    def values(params: Mapping[str, Choice]) -> tuple[tuple[float, float], dict[str, float | str]]:
        reading = chain.read(params, rng)
        return (reading.cost_ratio, reading.metric), noisy_outcome(reading, FP32_METRIC)

    for _ in range(ASK_TRIALS):
        kept = rng.random()
        params = {
            knob.name: knob.choices[0 if rng.random() < kept else int(rng.integers(len(knob.choices)))]
            for knob in chain.space.knobs
        }
        pair, outcome = values(params)
        study.add_trial(
            optuna.trial.create_trial(
                params=params, distributions=distributions, values=pair, user_attrs={OUTCOME: outcome}
            )
        )
    taken = []
    for _ in range(ASKS + 1):  # the first also reads and fits all trials
        started = time.perf_counter()
        trial = study.ask()
        assert trial.relative_params
        taken.append(1e3 * (time.perf_counter() - started))
        chain.space.suggest(trial)
        pair, outcome = values(trial.params)
        trial.set_user_attr(OUTCOME, outcome)
        study.tell(trial, pair)
    return taken


def main() -> None:
    """Compare the samplers and time the proposals."""
    options = parser(__doc__, quick="20 layers, one seed, 40 trials, TPE and random alone; no timing")
    options.add_argument("--layers", type=int, nargs="*", default=[20, 50, 200])
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--trials", type=int, default=300)
    options.add_argument("--others", nargs="*", choices=OTHERS, default=OTHERS)
    options.add_argument("--no-asks", action="store_true", help="leave out the timing of proposals")
    arguments = options.parse_args()
    if arguments.quick:
        arguments.layers, arguments.seeds, arguments.trials = [20], 1, 40
        arguments.others, arguments.no_asks = ("tpe", "random"), True
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    folder = Path(tempfile.mkdtemp(prefix="paretune-sampler-efficiency-"))
    figures: dict[str, Figure] = {}
    for layers in arguments.layers:
        runs = [compare(layers, seed, arguments.trials, tuple(arguments.others)) for seed in range(arguments.seeds)]
        (folder / f"curves-{layers}.json").write_text(json.dumps(runs))
        plot(runs, f"{layers} layers", folder / f"curves-{layers}.png")
        figures |= summarize(layers, runs, tuple(arguments.others))
    if not arguments.no_asks:
        first, *rest = ask_ms()
        figures["ask, 200 layers, 10,000 trials"] = Figure(
            value=statistics.median(rest), unit="ms", better="lower", asked=50.0
        )
        figures["the first, which reads them"] = Figure(value=first / 1e3, unit="s", better="lower")
    print(f"curves and plots: {folder}")
    report("sampler_efficiency", figures)


def summarize(layers: int, runs: list[dict[str, list[float]]], others: tuple[str, ...]) -> dict[str, Figure]:
    """Medians over the runs."""
    figures = {}
    best = [max(run[name][-1] for name in others if name in run) for run in runs]
    for name in OURS:
        needed = statistics.median(trials_until(run[name], target) for run, target in zip(runs, best, strict=True))
        figures[f"{layers} layers, {name}"] = Figure(
            value=needed, unit="trials", better="lower", asked=30.0 if name == OURS[1] else None
        )
        gained = statistics.median(
            run[name][min(30, len(run[name])) - 1] / target for run, target in zip(runs, best, strict=True)
        )
        figures[f"{layers} layers, {name}, after 30"] = Figure(value=gained, unit="× best", better="higher")
    return figures


def plot(runs: list[dict[str, list[float]]], title: str, path: Path) -> None:
    """Median hypervolume over trials, one line per sampler."""
    from matplotlib.figure import Figure as Picture

    picture = Picture(figsize=(7, 4), layout="constrained")
    axes = picture.subplots()
    for name in runs[0]:
        length = min(len(run[name]) for run in runs)
        axes.plot(range(1, length + 1), [statistics.median(run[name][at] for run in runs) for at in range(length)])
        axes.lines[-1].set_label(name)
    axes.set(xlabel="trials", ylabel="hypervolume", title=title)
    axes.legend(fontsize="small")
    picture.savefig(path)


if __name__ == "__main__":
    main()
