"""Scores, outputs and divergence of a network on samples."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workloads import (
    Feeds,
    Metric,
    Outputs,
    RunningEvaluation,
    Samples,
    WorkloadError,
    evaluate,
    in_fair_order,
    mse,
    top1,
)

MSE = Metric(name="mse", function=mse)


def regression(count: int = 20, seed: int = 0) -> Samples:
    generator = np.random.default_rng(seed)
    x = generator.normal(size=(count, 3))
    return Samples([({"x": x}, 2 * x)])


def times(factor: float) -> Any:
    return lambda feeds: {"y": factor * feeds["x"]}


def texts() -> Samples:
    lengths = (2, 2, 5, 2, 3)
    return Samples([({"ids": np.full((2, length), length)}, np.arange(2)) for length in lengths])


@given(st.integers(1, 25), st.integers(1, 25))
def test_the_batch_size_changes_nothing(first_size: int, second_size: int) -> None:
    samples = regression()
    reference = evaluate(times(2), samples, MSE, batch_size=first_size)
    first = evaluate(times(1.9), samples, MSE, batch_size=first_size, reference=reference)
    second = evaluate(times(1.9), samples, MSE, batch_size=second_size, reference=reference)
    assert np.allclose(first.accuracy.scores, second.accuracy.scores)
    assert first.accuracy.divergence is not None
    assert second.accuracy.divergence is not None
    assert np.allclose(first.accuracy.divergence, second.accuracy.divergence)
    assert len(second.outputs) == 1
    assert np.array_equal(first.outputs[0]["y"], second.outputs[0]["y"])


def test_divergence_is_0_for_the_same_answers_and_1_for_the_mean() -> None:
    samples = regression(500)
    reference = evaluate(times(3), samples, MSE)
    mean = reference.outputs[0]["y"].mean(axis=0)
    assert reference.accuracy.divergence is None
    same = evaluate(times(3), samples, MSE, reference=reference)
    constant = evaluate(lambda feeds: {"y": np.tile(mean, (len(feeds["x"]), 1))}, samples, MSE, reference=reference)
    assert same.accuracy.mean_divergence == 0
    assert constant.accuracy.mean_divergence == pytest.approx(1)


def test_the_divergence_of_the_first_samples_is_that_of_the_whole() -> None:
    samples = regression()
    reference = evaluate(times(2), samples, MSE)
    whole = evaluate(times(1.5), samples, MSE, reference=reference).accuracy.divergence
    part = evaluate(times(1.5), samples.take(7), MSE, reference=reference).accuracy.divergence
    assert whole is not None
    assert part is not None
    assert np.allclose(part, whole[:7])


def test_divergence_leaves_integer_outputs_out() -> None:
    samples = regression()
    both = Metric(name="both", function=lambda outputs, targets: np.ones(len(targets)))
    reference = evaluate(lambda f: {"y": f["x"], "n": np.zeros(len(f["x"]), int)}, samples, both)
    other = evaluate(lambda f: {"y": f["x"], "n": np.ones(len(f["x"]), int)}, samples, both, reference=reference)
    assert other.accuracy.mean_divergence == 0
    integers = evaluate(lambda f: {"n": np.zeros(len(f["x"]), int)}, samples, both)
    again = evaluate(lambda f: {"n": np.ones(len(f["x"]), int)}, samples, both, reference=integers)
    assert again.accuracy.divergence is None


@pytest.mark.parametrize(("constant", "expected"), [(2.0, 0.25), (0.0, 1.0)])
def test_outputs_that_never_vary_have_a_divergence_too(constant: float, expected: float) -> None:
    samples = regression()
    reference = evaluate(lambda feeds: {"y": 0 * feeds["x"] + constant}, samples, MSE)
    other = evaluate(lambda feeds: {"y": 0 * feeds["x"] + constant + 1}, samples, MSE, reference=reference)
    assert other.accuracy.mean_divergence == pytest.approx(expected)


def test_padded_samples_of_other_lengths_are_compared_in_order() -> None:
    samples = texts()
    metric = Metric(name="m", function=lambda outputs, targets: outputs.sum(axis=1))
    reference = evaluate(lambda feeds: {"y": feeds["ids"] * 1.0}, samples, metric, batch_size=3)
    other = evaluate(lambda feeds: {"y": feeds["ids"] * 2.0}, samples, metric, batch_size=1, reference=reference)
    lengths = np.repeat([2.0, 2, 5, 2, 3], 2)
    elements = np.repeat(lengths, lengths.astype(int))
    assert reference.accuracy.scores.tolist() == (lengths**2).tolist()
    assert other.accuracy.divergence is not None
    assert np.allclose(other.accuracy.divergence, lengths**2 / elements.var())


def test_the_metric_gets_the_array_of_one_output_and_a_dict_of_several() -> None:
    seen: list[Any] = []

    def record(outputs: Any, targets: Any) -> Any:
        seen.append(outputs)
        return np.zeros(len(targets))

    evaluate(times(1), regression(), Metric(name="m", function=record))
    evaluate(lambda feeds: {"a": feeds["x"], "b": feeds["x"]}, regression(), Metric(name="m", function=record))
    assert isinstance(seen[0], np.ndarray)
    assert sorted(seen[1]) == ["a", "b"]


@pytest.mark.parametrize("as_list", [True, False])
def test_scope_all_sees_all_samples_at_once_in_order(as_list: bool) -> None:
    calls = []

    def rank(outputs: Any, targets: Any) -> Any:
        calls.append(outputs[:, 0].tolist())
        return np.asarray(targets)

    x = np.arange(10.0)[:, None]
    samples = Samples([({"x": x}, list(range(10)) if as_list else np.arange(10))])
    result = evaluate(times(1), samples, Metric(name="rank", function=rank, scope="all"), batch_size=3)
    assert calls == [list(range(10))]
    assert result.accuracy.scores.tolist() == list(range(10))


def test_scope_all_needs_outputs_of_one_shape() -> None:
    metric = Metric(name="f1", function=top1, scope="all")
    with pytest.raises(WorkloadError, match=r"metric 'f1' wants all outputs together but they differ .*\(2,\), \(3,\)"):
        evaluate(lambda feeds: {"y": feeds["ids"] * 1.0}, texts(), metric)


def test_neither_metric_nor_predictor_can_change_what_is_kept() -> None:
    buffer = np.zeros((5, 3))

    def predict(feeds: Feeds) -> Outputs:
        buffer[:] = feeds["x"]
        feeds["x"][:] = 7
        return {"y": buffer}

    def spoil(outputs: Any, targets: Any) -> Any:
        outputs[:] = 9
        return np.zeros(len(targets))

    for scope in ("batch", "all"):
        samples = regression()
        metric = Metric(name="m", function=spoil, scope=scope)  # type: ignore[arg-type]
        result = evaluate(predict, samples, metric, batch_size=5)
        feeds, _ = next(samples.batches(20))
        assert np.array_equal(result.outputs[0]["y"], feeds["x"])


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_outputs_that_are_not_finite_name_the_users_sample(bad: float) -> None:
    _, confirmation = regression().split()

    def predict(feeds: Feeds) -> Outputs:
        y = feeds["x"].copy()
        y[1, 2] = bad
        return {"y": y}

    with pytest.raises(WorkloadError, match=r"output 'y' is not finite .* for validation sample 3; check that sample"):
        evaluate(predict, confirmation, MSE, batch_size=4)


@pytest.mark.parametrize("scope", ["batch", "all"])
def test_scores_that_are_not_finite_name_the_users_sample(scope: Any) -> None:
    _, confirmation = regression().split()
    metric = Metric(name="log", function=lambda o, t: np.where(o[:, 0] == worst, np.nan, 0.0), scope=scope)
    worst = next(confirmation.batches(10))[0]["x"][6, 0]
    with pytest.raises(
        WorkloadError, match="metric 'log' gave nan for validation sample 13, and is not finite for 1 of 10; give such"
    ):
        evaluate(times(1), confirmation, metric, batch_size=4)


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (0.5, r"metric 'm' gave scores of shape \(\) for 4 samples; return one score per sample, shape \(4,\)"),
        (np.zeros((4, 1)), r"gave scores of shape \(4, 1\) for 4 samples"),
        (np.zeros(3), r"gave scores of shape \(3,\) for 4 samples"),
        (["a"] * 4, "metric 'm' gave list, which is no array of scores"),
        (None, "metric 'm' gave"),
    ],
)
def test_metrics_of_the_wrong_shape_are_refused(result: Any, message: str) -> None:
    with pytest.raises(WorkloadError, match=message):
        evaluate(times(1), regression(4), Metric(name="m", function=lambda outputs, targets: result))


def test_a_metric_that_fails_is_named_with_its_line() -> None:
    def broken(outputs: Any, targets: Any) -> Any:
        return outputs["logits"]

    line = broken.__code__.co_firstlineno + 1
    with pytest.raises(WorkloadError, match=rf"metric 'm' failed at .*test_evaluation\.py:{line}: IndexError"):
        evaluate(times(1), regression(), Metric(name="m", function=broken))


def test_outputs_without_a_batch_axis_are_refused() -> None:
    with pytest.raises(WorkloadError, match=r"output 'loss' has shape \(\) for a batch of 20; its first axis must be"):
        evaluate(lambda feeds: {"loss": np.float64(1)}, regression(), MSE)  # type: ignore[dict-item]


def test_a_reference_of_other_samples_or_outputs_is_refused() -> None:
    search, confirmation = regression().split()
    reference = evaluate(times(1), search, MSE)
    with pytest.raises(ValueError, match="reference must be of the same samples"):
        evaluate(times(1), confirmation, MSE, reference=reference)
    with pytest.raises(ValueError, match="reference must be of the same samples"):
        evaluate(times(1), search, MSE, reference=evaluate(times(1), search.take(3), MSE))
    first = Metric(name="mse", function=lambda outputs, targets: outputs[:, 0])
    with pytest.raises(WorkloadError, match=r"output 'y' must have FP32's shape \(3,\) per sample, got \(2,\)"):
        evaluate(lambda feeds: {"y": feeds["x"][:, :2]}, search, first, reference=reference)
    with pytest.raises(WorkloadError, match=r"output 'y' must have FP32's shape .*, got only \['z'\]"):
        evaluate(lambda feeds: {"z": feeds["x"]}, search, first, reference=reference)


@settings(deadline=None)
@given(st.integers(1, 100), st.integers(1, 20), st.lists(st.integers(1, 100), max_size=4))
def test_an_evaluation_in_chunks_is_the_whole_one_bit_for_bit(count: int, batch_size: int, stops: list[int]) -> None:
    samples = in_fair_order(regression(count), MSE)
    reference = evaluate(times(2), samples, MSE, batch_size=batch_size)
    whole = evaluate(times(1.9), samples, MSE, batch_size=batch_size, reference=reference)
    running = RunningEvaluation(times(1.9), samples, MSE, batch_size=batch_size, reference=reference)
    for stop in sorted(stops):
        running.advance(stop)
        assert min(stop, count) <= running.count < min(stop, count) + batch_size
        part = running.evaluation()
        assert np.array_equal(running.scores, whole.accuracy.scores[: running.count])
        assert part.accuracy.divergence is not None
        assert whole.accuracy.divergence is not None
        assert np.array_equal(part.accuracy.divergence, whole.accuracy.divergence[: running.count])
        assert np.array_equal(part.indices, whole.indices[: running.count])
    running.advance(count)
    assert running.is_complete
    chunked = running.evaluation()
    assert np.array_equal(chunked.accuracy.scores, whole.accuracy.scores)
    assert np.array_equal(chunked.accuracy.divergence, whole.accuracy.divergence)  # type: ignore[arg-type]
    assert np.array_equal(chunked.outputs[0]["y"], whole.outputs[0]["y"])


def test_nothing_is_run_before_it_is_asked_for() -> None:
    calls: list[int] = []

    def predict(feeds: Feeds) -> Outputs:
        calls.append(len(feeds["x"]))
        return {"y": feeds["x"]}

    running = RunningEvaluation(predict, regression(), MSE, batch_size=5)
    assert calls == []
    assert len(running.scores) == 0
    running.advance(6)
    assert calls == [5, 5]
    running.advance(10)
    assert calls == [5, 5]
    assert not running.is_complete


def test_a_metric_of_all_outputs_has_no_scores_before_the_end() -> None:
    metric = Metric(name="mse", function=mse, scope="all")
    running = RunningEvaluation(times(1.9), regression(), metric, batch_size=5)
    running.advance(10)
    assert len(running.scores) == 0
    with pytest.raises(WorkloadError, match="empty"):
        running.evaluation()
    running.advance(20)
    whole = evaluate(times(1.9), regression(), metric, batch_size=5)
    assert np.array_equal(running.evaluation().accuracy.scores, whole.accuracy.scores)


def test_a_score_that_is_not_finite_ends_it_in_its_chunk() -> None:
    metric = Metric(name="log", function=lambda outputs, targets: np.where(np.arange(len(targets)) == 3, np.nan, 1.0))
    with pytest.raises(WorkloadError, match="gave nan for validation sample 3"):
        RunningEvaluation(times(1), regression(), metric, batch_size=5).advance(5)
