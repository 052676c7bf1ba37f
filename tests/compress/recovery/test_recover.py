"""Training brings a compressed network's answers back, the same way each time, interrupted or not."""

from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from compress.candidate import Candidate
from compress.errors import CompressionError
from compress.faithfulness import relative_difference
from compress.graph import constant
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.errors import UntrainableError
from compress.recovery.float_structure import FloatStructure
from compress.recovery.learning_rate import RATES
from compress.recovery.lessons import Lessons
from compress.recovery.lineage import TrainingProgress
from compress.recovery.recover import recover
from compress.recovery.settings import RecoverySettings
from compress.runtime import open_session
from compress.stitch import Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import masked, mixed, names_of, narrowed

SETTINGS = RecoverySettings(epochs=3, batch_size=8, learning_rate=1e-2)
SAMPLES = 96


def _feeds(loaded: Loaded, samples: int, seed: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    return {
        name: random.standard_normal((samples, *array.shape[1:])).astype(array.dtype)
        for name, array in loaded.case.example.items()
    }


@pytest.fixture(scope="module")
def subject(load: Callable[[str], Loaded]) -> tuple[Compressor, Policy, Lessons]:
    """A small mobile network, half of its channels gone, in 8 bits; and unlabelled data."""
    loaded = load("depthwise_clip")
    compressor = loaded.compressor()
    policy = narrowed(compressor, 0.5, start=mixed(loaded.network, names_of(loaded.network)))
    return compressor, policy, Lessons.of([_feeds(loaded, SAMPLES, 0)])


def _answers(candidate: Candidate, feeds: dict[str, NDArray[Any]]) -> list[NDArray[Any]]:
    session = open_session(candidate.onnx_bytes, session_entries=candidate.session_entries)
    found: list[NDArray[Any]] = session.run(None, feeds)
    return found


def test_the_recovered_candidate_answers_more_like_fp32(
    load: Callable[[str], Loaded], subject: tuple[Compressor, Policy, Lessons]
) -> None:
    compressor, policy, lessons = subject
    unseen = _feeds(load("depthwise_clip"), 64, 1)
    wanted = open_session(compressor.network.onnx_bytes).run(None, unseen)
    recovered = recover(compressor, policy, lessons, replace(SETTINGS, epochs=8))
    candidate = build_recovered(compressor, recovered)
    before, after = (relative_difference(_answers(c, unseen), wanted) for c in (compressor.build(policy), candidate))
    assert after < 0.8 * before
    assert candidate.formats == compressor.build(policy).formats
    assert build_recovered(compressor, recovered).digest == candidate.digest
    assert recovered.lineage.recovered_from == compressor.build(policy).digest
    assert recovered.lineage.data_digest == lessons.digest
    assert recovered.history[-1].loss < recovered.history[0].loss


def test_the_same_arguments_give_the_same_weights(subject: tuple[Compressor, Policy, Lessons]) -> None:
    digests = [recover(*subject, replace(SETTINGS, seed=seed)).digest for seed in (0, 0, 1)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("stopped_at", [5, 30])
def test_an_interrupted_training_ends_where_it_would_have(
    subject: tuple[Compressor, Policy, Lessons], tmp_path: Path, stopped_at: int
) -> None:
    """Once while floats are trained, once after rounding has set in."""
    path = tmp_path / "checkpoint.safetensors"

    def stop(progress: TrainingProgress) -> None:
        if progress.step == stopped_at:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(*subject, SETTINGS, checkpoint=path, listener=stop)
    steps: list[int] = []
    resumed = recover(*subject, SETTINGS, checkpoint=path, listener=lambda progress: steps.append(progress.step))
    assert steps[0] == stopped_at + 1
    whole = recover(*subject, SETTINGS)
    assert resumed.digest == whole.digest
    assert recover(*subject, SETTINGS, checkpoint=path).digest == whole.digest
    with pytest.raises(CompressionError, match="another training"):
        recover(*subject, replace(SETTINGS, seed=7), checkpoint=path)


def test_a_time_limit_is_kept_and_leaves_a_whole_training(subject: tuple[Compressor, Policy, Lessons]) -> None:
    ticks = count()
    heard: list[TrainingProgress] = []
    recovered = recover(
        *subject,
        replace(SETTINGS, time_limit_s=60.0),
        listener=heard.append,
        clock=lambda: float(next(ticks)),
    )
    assert 0 < recovered.lineage.steps < heard[0].steps
    assert recovered.lineage.seconds >= 60.0
    assert heard[0].seconds_left > heard[-1].seconds_left
    assert recovered.ranges


def test_a_training_boxed_in_time_goes_on_too(subject: tuple[Compressor, Policy, Lessons], tmp_path: Path) -> None:
    path, settings = tmp_path / "checkpoint.safetensors", replace(SETTINGS, time_limit_s=1000.0)
    ticks = count()

    def stop(progress: TrainingProgress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recover(*subject, settings, checkpoint=path, listener=stop, clock=lambda: float(next(ticks)))
    recovered = recover(*subject, settings, checkpoint=path, clock=lambda: float(next(ticks)))
    assert recovered.lineage.epochs == settings.epochs


@pytest.mark.parametrize("rate", [10.0, 1e30])
def test_training_leaves_nothing_worse_than_it_found(
    subject: tuple[Compressor, Policy, Lessons], tmp_path: Path, rate: float
) -> None:
    """A rate that tears everything apart leaves the first weights, also where losses are no numbers any more."""
    first = recover(*subject, replace(SETTINGS, epochs=1, learning_rate=1e-12))
    path = tmp_path / "checkpoint.safetensors"
    torn = recover(*subject, replace(SETTINGS, epochs=1, learning_rate=rate), start=first, checkpoint=path)
    assert torn.lineage.kept_step == 0
    assert torn.lineage.steps > 0
    for name, array in first.weights.items():
        np.testing.assert_array_equal(torn.weights[name], array)
    again = recover(*subject, replace(SETTINGS, epochs=1, learning_rate=rate), start=first, checkpoint=path)
    assert again.digest == torn.digest


def test_a_learning_rate_is_tried_out(subject: tuple[Compressor, Policy, Lessons]) -> None:
    heard: list[TrainingProgress] = []
    settings = replace(SETTINGS, epochs=1, learning_rate=None)
    recovered = recover(*subject, settings, listener=heard.append)
    assert recovered.lineage.learning_rate in RATES
    assert recover(*subject, settings).digest == recovered.digest
    given = replace(settings, learning_rate=recovered.lineage.learning_rate)
    assert recover(*subject, given).digest == recovered.digest, "trials leave nothing behind"
    trials = [progress for progress in heard if not progress.step]
    assert len(trials) >= 2 * 8
    assert all(progress.seconds_left >= 0 for progress in heard)
    assert recover(*subject, SETTINGS).lineage.learning_rate == SETTINGS.learning_rate


def test_masked_weights_stay_zero(load: Callable[[str], Loaded], subject: tuple[Compressor, Policy, Lessons]) -> None:
    compressor, _, lessons = subject
    policy = masked(compressor.network, "unstructured", 0.75)
    structure = FloatStructure.of(compressor, policy)
    recovered = recover(compressor, policy, lessons, SETTINGS)
    for name, before in structure.learnable().items():
        if before.ndim > 1:
            assert ((recovered.weights[name] == 0) >= (before == 0)).all(), name
            assert (recovered.weights[name] != before).any(), name


def test_training_begins_where_a_relative_ended(subject: tuple[Compressor, Policy, Lessons]) -> None:
    compressor, policy, lessons = subject
    relative = recover(compressor, policy, lessons, SETTINGS)
    barely = replace(SETTINGS, epochs=1, learning_rate=1e-9)
    child = recover(compressor, policy, lessons, barely, start=relative)
    assert child.lineage.started_from == relative.digest
    for name, array in relative.weights.items():
        np.testing.assert_allclose(child.weights[name], array, atol=1e-6)


def test_targets_are_learned_too(load: Callable[[str], Loaded], subject: tuple[Compressor, Policy, Lessons]) -> None:
    """Labels that contradict the original network win where their share of the loss is 1."""
    compressor, policy, _ = subject
    feeds = _feeds(load("depthwise_clip"), SAMPLES, 0)
    labels = np.full(SAMPLES, 1)

    def is_right(outputs: NDArray[np.float32], targets: NDArray[np.int64]) -> NDArray[np.bool_]:
        right: NDArray[np.bool_] = outputs.argmax(axis=1) == targets
        return right

    lessons = Lessons.of([(feeds, labels)], score=is_right)
    recovered = recover(compressor, policy, lessons, replace(SETTINGS, label_weight=1.0, mixing=0.0))
    answers = _answers(build_recovered(compressor, recovered), feeds)[0]
    assert (answers.argmax(axis=1) == 1).mean() > 0.95
    scores = [point.score for point in recovered.history]
    assert scores[-1] is not None
    assert scores[-1] > 0.95


def test_an_operator_without_a_form_in_torch_is_named(load: Callable[[str], Loaded]) -> None:
    loaded = load("recurrent")
    compressor = loaded.compressor()
    policy = mixed(loaded.network, names_of(loaded.network))
    with pytest.raises(UntrainableError, match=r"operator 'LSTM_1' \(LSTM\) has no form in torch"):
        recover(compressor, policy, Lessons.of([loaded.case.example]), SETTINGS)


def test_weights_of_another_network_are_refused(
    load: Callable[[str], Loaded], subject: tuple[Compressor, Policy, Lessons]
) -> None:
    compressor, policy, lessons = subject
    recovered = recover(compressor, policy, lessons, replace(SETTINGS, epochs=1))
    with pytest.raises(CompressionError, match="were recovered for network"):
        build_recovered(load("residual").compressor(), recovered)
    name, array = next(iter(recovered.weights.items()))
    for weights, problem in (
        ({name: array[:1]}, f"weight '{name}' has shape"),
        ({"none": array}, "has no weight 'none'"),
    ):
        with pytest.raises(CompressionError, match=problem):
            build_recovered(compressor, replace(recovered, weights=weights))


def test_what_is_learned_is_no_mask_of_attention(load: Callable[[str], Loaded]) -> None:
    loaded = load("transformer_block")
    structure = FloatStructure.of(loaded.compressor(), mixed(loaded.network))
    learned = structure.learnable()
    assert {layer.weight_name for layer in loaded.network.layers} <= set(learned)
    constants = {name for name, value in structure.model.graph.initializers.items() if constant(value).size == 1}
    assert not constants & set(learned)
