"""Sample scores in a study: the same again, small where they are right or wrong, and never those of other samples."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search.study.sample_scores import MOST_CHARACTERS, decode, encode, order_of, rounded

floats = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@given(st.lists(floats, min_size=1, max_size=50) | st.lists(st.sampled_from([0.0, 1.0]), min_size=1, max_size=50))
def test_scores_come_back_from_json_as_they_were(values: list[float]) -> None:
    scores = np.array(values)
    attribute = json.loads(json.dumps(encode(scores, "order")))
    found = decode(attribute, len(scores), "order")
    assert found is not None
    assert np.array_equal(found, rounded(scores))


def test_right_and_wrong_take_a_bit_each() -> None:
    attribute = encode(np.arange(1000) % 2.0, "order")
    assert attribute is not None
    assert len(attribute["data"]) == 168


def test_what_is_too_large_for_a_database_is_not_kept() -> None:
    assert encode(np.linspace(0, 1, 12_288), "order") is not None
    assert encode(np.linspace(0, 1, 12_289), "order") is None
    assert encode(np.zeros(393_216), "order") is not None
    assert encode(np.zeros(393_217), "order") is None
    assert MOST_CHARACTERS == 65_536


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": 2},
        {"order": "another"},
        {"samples": 11},
        {"encoding": "float64"},
        {"encoding": "float32"},
        {"data": "///"},
        {"data": "AAA="},
    ],
)
def test_scores_of_others_are_none(change: dict[str, Any]) -> None:
    attribute = encode(np.ones(20), "order")
    assert attribute is not None
    assert decode(attribute, 20, "order") is not None
    assert decode({**attribute, **change}, 20, "order") is None


@pytest.mark.parametrize("foreign", [None, "scores", [1.0], {}])
def test_what_is_no_attribute_of_ours_is_none(foreign: object) -> None:
    assert decode(foreign, 3, "order") is None


def test_an_order_has_a_name_of_its_own() -> None:
    names = {order_of(np.array(order)) for order in ([0, 1, 2], [0, 2, 1], [0, 1])}
    assert len(names) == 3
    assert order_of(np.array([0, 1], np.int32)) == order_of(np.array([0, 1], np.int64))
