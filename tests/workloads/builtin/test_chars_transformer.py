"""The character model is as good as its page says, and sees no character that it is to predict."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compress.network import Network, load_network
from workloads import Workload, evaluate, load, onnx_predictor
from workloads.builtin.chars_transformer import next_character
from workloads.builtin.chars_transformer_data import decode, encode, load_windows
from workloads.builtin.train_chars_transformer import excerpts, initialize, read_library, right_share, train


@pytest.fixture(scope="module")
def workload() -> Workload:
    return load("chars-transformer")


@pytest.fixture(scope="module")
def network(workload: Workload) -> Network:
    return load_network(workload.network(), workload.calibration[0])


def test_every_weight_matrix_is_a_layer(network: Network, workload: Workload) -> None:
    module: Any = workload.network()
    assert sum(parameter.numel() for parameter in module.parameters()) == 834_400
    shapes = [layer.weight_shape for layer in network.layers]
    assert shapes == [*[*[(128, 128)] * 4, (128, 512), (512, 128)] * 4, (128, 96)]
    assert {layer.op_type for layer in network.layers} == {"MatMul"}
    assert sum(layer.macs for layer in network.layers) == 128 * (4 * (4 * 128**2 + 2 * 128 * 512) + 128 * 96)
    assert [(item.op_type, item.reason) for item in network.skipped] == [
        ("MatMul", "its weight is computed at run time")
    ] * 8


def test_the_shipped_weights_reach_what_the_page_says(network: Network, workload: Workload) -> None:
    predict = onnx_predictor(network.onnx_bytes)
    search = evaluate(predict, workload.search_part, workload.metric).accuracy
    confirmation = evaluate(predict, workload.confirmation_part, workload.metric).accuracy
    assert (search.count, confirmation.count) == (150, 150)
    assert search.value == pytest.approx(0.6564, abs=0.001)
    assert confirmation.value == pytest.approx(0.6606, abs=0.001)


def test_the_exported_network_answers_as_the_module(network: Network, workload: Workload) -> None:
    import torch

    characters = workload.calibration[0]["characters"][:4]
    (found,) = onnx_predictor(network.onnx_bytes)({"characters": characters}).values()
    module: Any = workload.network()
    with torch.inference_mode():
        wanted = module(torch.from_numpy(characters)).numpy()
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_no_answer_depends_on_later_characters(network: Network, workload: Workload) -> None:
    characters = workload.calibration[0]["characters"][:1]
    places = np.arange(128)
    # Row i keeps the characters up to place i.
    changed = np.where(places <= places[:, None], characters, (characters + 1) % 96)
    (before,), (after,) = (
        onnx_predictor(network.onnx_bytes)({"characters": each}).values() for each in (characters, changed)
    )
    for place in places:
        np.testing.assert_allclose(after[place, : place + 1], before[0, : place + 1], atol=1e-4)


def test_targets_are_the_next_characters_and_no_excerpt_is_in_two_parts(workload: Workload) -> None:
    seen = [feeds["characters"] for feeds in workload.calibration]
    for part in (workload.search_part, workload.confirmation_part):
        for feeds, wanted in part.batches(150):
            targets = np.asarray(wanted)
            assert targets.shape == (150, 128)
            assert np.array_equal(feeds["characters"][:, 1:], targets[:, :-1])
            seen.append(feeds["characters"])
    everything = np.concatenate(seen)
    assert everything.shape == (256 + 300, 128)
    assert len(np.unique(everything, axis=0)) == len(everything)


def test_validation_is_python_source() -> None:
    text = "".join(decode(window) for window in load_windows("validation"))
    assert text.count("self.") > 50
    assert text.count("\n    ") > 200


def test_the_same_data_has_the_same_digest(workload: Workload) -> None:
    assert load("chars-transformer").digest == workload.digest


@given(text=st.text(alphabet=st.sampled_from("\n" + "".join(map(chr, range(32, 127))))))
def test_printable_text_survives_encoding(text: str) -> None:
    codes = encode(text)
    assert decode(codes) == text
    assert (codes < 96).all()


@given(text=st.text())
def test_other_characters_read_as_question_marks(text: str) -> None:
    assert decode(encode(text)) == "".join(c if c == "\n" or " " <= c <= "~" else "?" for c in text)


def test_the_score_is_the_share_of_right_places() -> None:
    targets = np.array([[0, 1, 2, 1], [2, 2, 2, 2]])
    outputs = np.eye(3, dtype=np.float32)[[[0, 1, 2, 0], [2, 2, 2, 2]]]
    assert next_character(outputs, targets).tolist() == [0.75, 1.0]


def test_excerpts_share_no_character() -> None:
    text = np.random.default_rng(0).integers(0, 96, size=129 * 20 + 5, dtype=np.uint8)
    parts = [text[:1000], text[1000:]]
    found = excerpts(parts, 10)
    assert found.shape == (10, 129)
    places = [bytes(text).find(bytes(window)) for window in found]
    assert min(places) >= 0
    assert min(np.diff(places)) >= 129


def test_the_library_is_read_without_tests_and_scraps(tmp_path: Path) -> None:
    (tmp_path / "test").mkdir()
    for name, size in (("b.py", 3000), ("a.py", 2500), ("scrap.py", 10), ("test/c.py", 5000)):
        (tmp_path / name).write_text("x" * size)
    assert [len(text) for text in read_library(tmp_path)] == [2500, 3000]


def test_training_learns() -> None:
    import torch

    from workloads.builtin.chars_transformer_network import CharsTransformer

    text = encode("abcdefgh\n" * 100)
    torch.manual_seed(0)
    network = CharsTransformer()
    initialize(network)
    windows = np.stack([text[:129], text[4:133]])
    before = right_share(network, windows).mean()
    train(network, torch.from_numpy(text), steps=16, seed=0)
    assert right_share(network, windows).mean() > before + 0.4
