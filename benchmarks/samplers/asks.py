"""How long our sampler's proposals take in a study of many finished trials."""

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution

from benchmarks.samplers.problem import Reading
from benchmarks.samplers.race import FRONTIER, begin
from benchmarks.samplers.synthetic_chain import SyntheticChain
from search.space.space import Choice
from search.study.trials import OUTCOME

LAYERS, TRIALS, ASKS = 200, 10_000, 21


def ask_ms() -> list[float]:
    """Milliseconds of each proposal; the first also reads and fits all trials."""
    chain = SyntheticChain(LAYERS, 0)
    study = begin(chain, FRONTIER, 0)
    rng = np.random.default_rng(0)
    for _ in range(TRIALS):
        study.add_trial(finished(chain, drawn(chain, rng), rng))
    taken = []
    for _ in range(ASKS + 1):
        started_s = time.perf_counter()
        trial = study.ask()
        assert trial.relative_params
        taken.append(1e3 * (time.perf_counter() - started_s))
        chain.space.suggest(trial)
        reading = chain.read(trial.params, rng)
        trial.set_user_attr(OUTCOME, reading.outcome.to_attribute())
        study.tell(trial, reading.values)
    return taken


def drawn(chain: SyntheticChain, rng: np.random.Generator) -> dict[str, Choice]:
    """Parameters of which a random share leaves its layers alone."""
    kept = rng.random()
    return {
        knob.name: knob.choices[0 if rng.random() < kept else int(rng.integers(len(knob.choices)))]
        for knob in chain.space.knobs
    }


def finished(chain: SyntheticChain, params: Mapping[str, Choice], rng: np.random.Generator) -> optuna.trial.FrozenTrial:
    """A trial that says what evaluating these parameters found."""
    reading: Reading = chain.read(params, rng)
    distributions: dict[str, BaseDistribution] = {
        knob.name: CategoricalDistribution(knob.choices) for knob in chain.space.knobs
    }
    attributes: dict[str, Any] = {OUTCOME: reading.outcome.to_attribute()}
    return optuna.trial.create_trial(
        params=dict(params), distributions=distributions, values=reading.values, user_attrs=attributes
    )
