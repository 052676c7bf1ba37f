"""A quantity that adds up over choices, learned from trials: the model, how noisy it is, and how much layers differ."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, product

import numpy as np

from search.samplers.frontier.energy import Array, Choices, Energy
from search.samplers.frontier.features import Design
from search.samplers.frontier.linear_model import LinearModel, Observations, log_evidence

# A fit takes the cube of the number of features, an update their square: fit anew for every so many observations more.
_GROWTH = 0.2

_BLOCK = 1024
_EVIDENCE_FROM = 300
_EVIDENCE_OF_KNOWN = 150

# Noise and spread follow from a model, and the model from them; later fits begin with the model before.
_ROUNDS = 2

_SCALES = (0.35, 0.6, 1.0, 1.7, 3.0)
_LEAST_SHARED = 0.05


@dataclass(kw_only=True, eq=False)
class Regression:
    """A Bayesian linear model that chooses its own noise and spread by evidence (MacKay 1992).

    Observations differ from the sum by the noise of their own measurement, and by a share of their size: by what does
    not add up.

    Attributes:
        design: Features and prior.
        misfits: Candidates for that share.
        known: What was observed of parts of the sum before any trial; its variances are believed as they are.
        count: Observations of trials so far.
    """

    design: Design
    misfits: tuple[float, ...]
    known: Observations | None = None
    count: int = 0
    _choices: Choices = field(init=False)
    _values: Array = field(default_factory=lambda: np.zeros(64))
    _deviations: Array = field(default_factory=lambda: np.zeros(64))
    _model: LinearModel | None = None
    _misfit: float = 0.0
    _fit_at: int = 0

    def __post_init__(self) -> None:
        self._choices = np.zeros((64, len(self.design.layout.sizes)), np.uint16)

    def add(self, choices: Choices, value: float, deviation: float) -> None:
        """Remember an observation.

        Args:
            choices: Of every knob.
            value: What was observed.
            deviation: Standard deviation of its measurement; 0 where that is exact.
        """
        if self.count == len(self._values):
            for name in ("_choices", "_values", "_deviations"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
        self._choices[self.count] = choices
        self._values[self.count] = value
        self._deviations[self.count] = deviation
        self.count += 1
        if self._model is not None and self.count < self._fit_at:
            row = self.design.rows(choices[None])
            expected = row @ self._model.mean
            variance = self._variances(np.array([value]), np.array([deviation]), expected, self._misfit)
            self._model.update(row, value, float(variance[0]))

    def draw(self, generator: np.random.Generator) -> Energy:
        """The sum as one sample of the tempered posterior has it: all deviations over the root of the knobs' number.

        An optimum seeks out what a sample flatters in each knob. Over n independent knobs that adds up to n deviations
        of one knob, where the sum itself is uncertain by the root of n: whole samples explore for a long time before
        they exploit. At a fixed tenth the sampler stays for good where wrong times of layers sent it to.
        """
        return self.design.energy(self._fitted().draw(generator, 1.0 / math.sqrt(len(self.design.layout.sizes))))

    def expected(self) -> Energy:
        """The sum as the posterior's mean has it."""
        return self.design.energy(self._fitted().mean)

    def expected_part(self, table: int, choices: Choices) -> Array:
        """What the posterior's mean has in one table of the sum, by assignment."""
        return np.asarray(self.design.part(table, choices) @ self._fitted().mean, np.float64)

    def predict(self, choices: Choices) -> tuple[Array, Array]:
        """Means and standard deviations of what is true: noise is left out, what does not add up is not."""
        means, deviations = self._fitted().predict(self.design.rows(choices))
        return means, np.hypot(deviations, self._misfit * means)

    def _fitted(self) -> LinearModel:
        if self._model is None or self.count >= self._fit_at:
            self._model = self._fit()
            self._fit_at = self.count + max(2, int(_GROWTH * self.count))
        return self._model

    def _fit(self) -> LinearModel:
        design = self.design
        known = () if self.known is None else (self.known,)
        if not self.count:
            return LinearModel.fit(design.mean, design.deviation, known)
        model = self._model
        for _ in range(_ROUNDS if model is None else 1):
            values = self._values[: self.count]
            expected = values if model is None else self._expected(model)
            deviation = self._own_deviation(model)
            scale, self._misfit = self._choose(expected, deviation)
            deviation = np.where(design.is_own, scale * deviation, deviation)
            variances = self._variances(values, self._deviations[: self.count], expected, self._misfit)
            model = LinearModel.fit(design.mean, deviation, chain(known, self._blocks(variances)))
        assert model is not None  # noqa: S101  # there is a round
        return model

    def _own_deviation(self, model: LinearModel | None) -> Array:
        """What layers' own parts may be: in proportion to what they share, where the design says that they share."""
        design = self.design
        of_shared = design.is_own & (design.owner != np.arange(len(design.owner)))
        if model is None or not of_shared.any():
            return design.deviation
        owners, weights = design.owner[of_shared], design.weight[of_shared]
        size = len(design.owner)
        whole = np.bincount(owners, weights * model.mean[owners] + model.mean[of_shared], size)
        share = np.bincount(owners, weights, size)
        shared = np.divide(whole, share, out=np.zeros(size), where=share > 0)
        shared = np.maximum(shared, _LEAST_SHARED * np.abs(design.mean))
        deviation = design.deviation.copy()
        # The prior's own deviations were in proportion to the prior's shared effects.
        deviation[of_shared] *= shared[owners] / np.abs(design.mean[owners])
        return deviation

    def _choose(self, expected: Array, deviation: Array) -> tuple[float, float]:
        """The scale of the layers' own parts and the misfit that make what was seen most likely.

        From all observations if there are few, else from the first, which every layer shares, and the latest; from some
        of what is known besides.
        """
        some = np.arange(self.count)
        if self.count > _EVIDENCE_FROM:
            early = _EVIDENCE_FROM // 6
            some = np.concatenate([some[:early], some[early - _EVIDENCE_FROM :]])
        rows = self.design.rows(self._choices[some].astype(np.int64))
        mean, noise_of_known = self.design.mean, np.zeros(0)
        residuals = self._values[some] - rows @ mean
        written = rows.toarray() * deviation
        if self.known is not None:
            few = np.unique(np.linspace(0, len(self.known.values) - 1, _EVIDENCE_OF_KNOWN).astype(np.int64))
            known = self.known.rows[few]
            written = np.concatenate([known.toarray() * deviation, written])
            residuals = np.concatenate([self.known.values[few] - known @ mean, residuals])
            noise_of_known = self.known.variances[few]
        own = self.design.is_own
        of_shared = written[:, ~own] @ written[:, ~own].T
        of_own = written[:, own] @ written[:, own].T

        def score(option: tuple[float, float]) -> float:
            scale, misfit = option
            noise = self._variances(self._values[some], self._deviations[some], expected[some], misfit)
            # A scale is not believed at once: one observation would make of it what it likes.
            return (
                log_evidence(
                    of_shared + scale**2 * of_own + np.diag(np.concatenate([noise_of_known, noise])), residuals
                )
                - 2.0 * math.log(scale) ** 2
            )

        return max(product(_SCALES, self.misfits), key=score)

    def _variances(self, values: Array, deviations: Array, expected: Array, misfit: float) -> Array:
        # What is expected says better than what was seen how large the misfit is: small values by luck are not exact.
        level = np.clip(np.abs(expected), np.abs(values) / 3.0, np.abs(values) * 3.0)
        floor = 1e-2 * misfit * float(np.abs(self._values[: self.count]).mean()) + 1e-9
        variances: Array = np.square(deviations) + np.square(misfit * level) + floor**2
        return variances

    def _expected(self, model: LinearModel) -> Array:
        return np.concatenate([block.rows @ model.mean for block in self._blocks(np.ones(self.count))])

    def _blocks(self, variances: Array) -> Iterator[Observations]:
        for start in range(0, self.count, _BLOCK):
            part = slice(start, min(start + _BLOCK, self.count))
            rows = self.design.rows(self._choices[part].astype(np.int64))
            yield Observations(rows=rows, values=self._values[part], variances=variances[part])
