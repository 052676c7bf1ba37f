"""Samplers by the name that `--sampler` takes."""

import warnings
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler

# About as many as a space has starting points: they are the first generation, and a night has many of them.
_POPULATION = 16


def make_sampler(name: str, seed: int) -> "BaseSampler":
    """The sampler called `name`.

    Raises:
        KeyError: No sampler has that name.
    """
    with warnings.catch_warnings():
        # Optuna marks parts of its samplers experimental; whoever asks for one by name need not hear of it.
        warnings.simplefilter("ignore")
        return SAMPLERS[name](seed)


def learns_from_stopped(sampler: "BaseSampler") -> bool:
    """Whether stopped trials teach a sampler anything.

    Optuna's Gaussian processes read complete trials only: to them a region that was given up looks as if it had never
    been tried.
    """
    from optuna.samplers import GPSampler

    return not isinstance(sampler, GPSampler)


def _tpe(seed: int) -> "BaseSampler":
    from optuna.samplers import TPESampler

    # Jointly, since layers interact; and one model for all knobs costs less than one for each. With Optuna's own prior
    # weight of 1 every proposal turns an eighth of all knobs at random, which over dozens of layers leaves nothing of
    # the good policy that it started from.
    return TPESampler(seed=seed, multivariate=True, prior_weight=0.1)


def _nsga2(seed: int) -> "BaseSampler":
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(seed=seed, population_size=_POPULATION)


def _gp(seed: int) -> "BaseSampler":
    from optuna.samplers import GPSampler

    return GPSampler(seed=seed)


def _random(seed: int) -> "BaseSampler":
    from optuna.samplers import RandomSampler

    return RandomSampler(seed=seed)


def _frontier(seed: int) -> "BaseSampler":
    from search.samplers.frontier import FrontierSampler

    return FrontierSampler(seed)


SAMPLERS: MappingProxyType[str, Callable[[int], "BaseSampler"]] = MappingProxyType(
    {"frontier": _frontier, "tpe": _tpe, "nsga2": _nsga2, "gp": _gp, "random": _random}
)

DEFAULT_SAMPLER = "frontier"
