"""The regression against its closed form, at once and one at a time."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from scipy.stats import multivariate_normal

from search.samplers.frontier.linear_model import LinearModel, Observations, log_evidence

FEATURES, COUNT = 5, 12


@pytest.fixture
def problem() -> tuple[np.ndarray, ...]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(COUNT, FEATURES)) * (rng.random((COUNT, FEATURES)) < 0.6)
    mean, deviation = rng.normal(size=FEATURES), rng.uniform(0.01, 3.0, FEATURES)
    return x, rng.normal(size=COUNT), rng.uniform(0.05, 0.5, COUNT), mean, deviation


def closed_form(problem: tuple[np.ndarray, ...]) -> tuple[np.ndarray, np.ndarray]:
    x, y, variances, mean, deviation = problem
    covariance = np.linalg.inv(np.diag(deviation**-2.0) + x.T @ np.diag(1 / variances) @ x)
    return covariance @ (mean / deviation**2 + x.T @ (y / variances)), covariance


def fitted(problem: tuple[np.ndarray, ...], count: int = COUNT) -> LinearModel:
    x, y, variances, mean, deviation = problem
    block = Observations(rows=sparse.csr_array(x[:count]), values=y[:count], variances=variances[:count])
    return LinearModel.fit(mean, deviation, [block] if count else [])


def test_the_posterior_is_the_closed_form(problem: tuple[np.ndarray, ...]) -> None:
    mean, covariance = closed_form(problem)
    model = fitted(problem)
    np.testing.assert_allclose(model.mean, mean)
    np.testing.assert_allclose(model.root @ model.root.T, covariance, atol=1e-12)


@pytest.mark.parametrize("first", [0, 1, 7])
def test_one_at_a_time_comes_to_the_same(problem: tuple[np.ndarray, ...], first: int) -> None:
    x, y, variances, *_ = problem
    model = fitted(problem, first)
    for at in range(first, COUNT):
        model.update(sparse.csr_array(x[at][None]), float(y[at]), float(variances[at]))
    mean, covariance = closed_form(problem)
    np.testing.assert_allclose(model.mean, mean)
    np.testing.assert_allclose(model.root @ model.root.T, covariance, atol=1e-12)


def test_blocks_add_up(problem: tuple[np.ndarray, ...]) -> None:
    x, y, variances, mean, deviation = problem
    blocks = [
        Observations(rows=sparse.csr_array(x[part]), values=y[part], variances=variances[part])
        for part in (slice(0, 5), slice(5, 6), slice(6, COUNT))
    ]
    np.testing.assert_allclose(LinearModel.fit(mean, deviation, blocks).mean, fitted(problem).mean)


def test_samples_have_the_posterior_s_moments(problem: tuple[np.ndarray, ...]) -> None:
    model, rng = fitted(problem), np.random.default_rng(1)
    samples = np.stack([model.draw(rng) for _ in range(20_000)])
    mean, covariance = closed_form(problem)
    np.testing.assert_allclose(samples.mean(axis=0), mean, atol=4 * np.sqrt(covariance.diagonal().max() / 20_000))
    np.testing.assert_allclose(np.cov(samples.T), covariance, atol=0.05 * covariance.max())


def test_a_prediction_has_the_uncertainty_of_its_weights(problem: tuple[np.ndarray, ...]) -> None:
    mean, covariance = closed_form(problem)
    at = np.random.default_rng(2).normal(size=(3, FEATURES))
    found, deviation = fitted(problem).predict(sparse.csr_array(at))
    np.testing.assert_allclose(found, at @ mean)
    np.testing.assert_allclose(deviation, np.sqrt(np.diag(at @ covariance @ at.T)))


def test_the_evidence_is_the_density_up_to_a_constant(problem: tuple[np.ndarray, ...]) -> None:
    x, y, variances, _, deviation = problem
    covariance = x @ np.diag(deviation**2) @ x.T + np.diag(variances)
    expected = multivariate_normal(np.zeros(COUNT), covariance).logpdf(y) + 0.5 * COUNT * np.log(2 * np.pi)
    assert log_evidence(covariance, y) == pytest.approx(expected)
    assert log_evidence(-covariance, y) == -np.inf
