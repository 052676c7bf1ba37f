"""The sampler: an ordinary Optuna sampler for the studies that a search begins."""

from typing import Any

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler

from search.errors import SearchError
from search.layers.effects import NO_EFFECTS, Effects, has_damage_effects
from search.samplers.frontier.knowledge import Knowledge
from search.samplers.frontier.opening import open_knowledge


class FrontierSampler(BaseSampler):
    """Learns cost and damage as sums over the network's layers and solves for the front (Thompson sampling).

    The cost is a price for the work that is left of each layer, by its format, its rank and the channels at both its
    ends, plus a price where neighbours' formats differ; the damage, a power of the outputs' divergence from FP32, is
    nearly a sum over layers too. Both are Bayesian linear models of all trials so far. Every proposal draws one sample
    of each, finds that sample's front by dynamic programming over the layers' graph (exactly, where the graph's tables
    are small enough), and takes of it and of what is next to it what is expected to add most to the known front; how
    far metrics stray from what their divergence says is part of that expectation. Samples differ, so that parallel
    workers spread of themselves.

    It works on studies that hold their space (`search.study.space_record`) and the graph of their layers
    (`record_layer_graph`), and whose trials hold their outcome; `SearchError` says so of others. It knows constraints
    (`Trial.set_constraint`), and learns from pruned trials what they have. What it remembers of a trial is its choices
    and a few numbers.

    Args:
        seed: Decides what it proposes, together with what the trials say; random if None.
        cost_effects: What is known of single choices' cost ratios.
        damage_effects: What is known of single choices' divergences.
    """

    proposes_without_trial = True
    """It needs nothing of the trial that it proposes for: whoever asks may look at a proposal before it becomes one."""

    def __init__(
        self, seed: int | None = None, *, cost_effects: Effects = NO_EFFECTS, damage_effects: Effects = NO_EFFECTS
    ) -> None:
        self._generator = np.random.default_rng(seed)
        self._cost_effects = cost_effects
        self._damage_effects = damage_effects
        self._knowledge: tuple[str, Knowledge] | None = None
        self._awaits_sweep = False

    def reseed_rng(self) -> None:
        """Forget the seed."""
        self._generator = np.random.default_rng()

    def infer_relative_search_space(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Every knob of the study's space.

        Raises:
            SearchError: The study is not this sampler's.
        """
        if self._awaits_sweep and has_damage_effects(study):  # it has come to its end in another process
            self._knowledge = None
        return {knob.name: CategoricalDistribution(knob.choices) for knob in self.knowledge(study).variables.knobs}

    def sample_relative(
        self, study: optuna.Study, trial: optuna.trial.FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """One choice for every knob.

        Raises:
            SearchError: The study is not this sampler's.
        """
        knowledge = self.knowledge(study)
        knowledge.learn(study.study_name, study.get_trials(deepcopy=False))
        return knowledge.propose(self._generator)

    def sample_independent(
        self,
        study: optuna.Study,
        trial: optuna.trial.FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Never needed in a study of this sampler's.

        Raises:
            SearchError: Always.
        """
        raise SearchError(
            f"the study {study.study_name!r} is not the frontier sampler's: {param_name!r} is no knob of its space, or "
            f"has other choices than the space says; choose another sampler"
        )

    def knowledge(self, study: optuna.Study) -> Knowledge:
        """The models that it proposes by, of what it has learned so far.

        Raises:
            SearchError: The study is not this sampler's.
        """
        if self._knowledge is None or self._knowledge[0] != study.study_name:
            self._awaits_sweep = not self._damage_effects and not has_damage_effects(study)
            opened = open_knowledge(study, cost_effects=self._cost_effects, damage_effects=self._damage_effects)
            self._knowledge = study.study_name, opened
        return self._knowledge[1]
