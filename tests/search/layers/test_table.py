"""Where the time goes travels in the study."""

from __future__ import annotations

import math

import optuna
import pytest

from search.errors import SearchError
from search.layers.table import (
    LAYER_TABLE,
    TimedPolicy,
    has_layer_table,
    record_layer_table,
    recorded_layer_table,
    share_beside,
)
from search.space.space import Knob, SearchSpace

ROWS = (
    TimedPolicy(params={"bits/a": "fp32", "sparsity/a": 0.0}, shares={"a": 0.75, "b": 0.2}),
    TimedPolicy(params={"bits/a": "int8", "sparsity/a": 0.5}, shares={"a": 0.125}, ratio=0.4),
    TimedPolicy(params={"bits/a": "int8", "sparsity/a": 0.0}, shares={}, ratio=0.7),
)


def test_what_is_recorded_is_read_back_from_the_storage_alone() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(study_name="s", storage=storage)
    assert not has_layer_table(study)
    assert recorded_layer_table(study) == ()
    record_layer_table(study, ROWS)
    joined = optuna.load_study(study_name="s", storage=storage)
    assert has_layer_table(joined)
    assert recorded_layer_table(joined) == ROWS


def test_a_record_of_earlier_versions_has_no_whole_times() -> None:
    study = optuna.create_study()
    study.set_user_attr(
        LAYER_TABLE, {"format_version": 1, "rows": [{"params": {"bits/a": "int8"}, "shares": {"a": 0.5}}]}
    )
    assert recorded_layer_table(study) == (TimedPolicy(params={"bits/a": "int8"}, shares={"a": 0.5}),)


def test_that_there_is_none_to_be_had_is_a_record_too() -> None:
    study = optuna.create_study()
    record_layer_table(study, ())
    assert has_layer_table(study)
    assert recorded_layer_table(study) == ()


def test_a_newer_record_is_refused() -> None:
    study = optuna.create_study()
    study.set_user_attr(LAYER_TABLE, {"format_version": 2, "rows": []})
    with pytest.raises(SearchError, match="format_version 2, this paretune reads 1; upgrade"):
        recorded_layer_table(study)


@pytest.mark.parametrize("share", [-0.1, math.nan, math.inf])
def test_a_share_is_a_share(share: float) -> None:
    with pytest.raises(ValueError, match="finite and at least 0"):
        TimedPolicy(params={}, shares={"a": share})


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf])
def test_a_ratio_is_a_ratio(ratio: float) -> None:
    with pytest.raises(ValueError, match="finite and above 0"):
        TimedPolicy(params={}, shares={}, ratio=ratio)


def test_what_is_in_no_layer_is_beside_them_if_each_layer_was_timed() -> None:
    knobs = (
        Knob(name="bits/a", layers=("a",), choices=("fp32", "int8")),
        Knob(name="sparsity/a", layers=("a",), choices=(0.0, 0.5)),
    )
    two, three = (SearchSpace(layers=layers, knobs=knobs) for layers in (("a", "b"), ("a", "b", "c")))
    assert share_beside(ROWS, two) == pytest.approx(0.05)
    assert share_beside(ROWS, three) == 0.0
    assert share_beside(ROWS[1:], two) == 0.0
    slow = TimedPolicy(params=ROWS[0].params, shares={"a": 0.9, "b": 0.2})
    assert share_beside([slow], two) == 0.0
