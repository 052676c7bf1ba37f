"""Rounds of training: which go on, from what, and what they are expected to win."""

from __future__ import annotations

from dataclasses import replace

import pytest

from search.recovery.recoveries import Recovery, recovered_points
from search.recovery.rounds import (
    ASSUMED,
    MOST_ROUNDS,
    best_of,
    epochs_of,
    goes_on,
    past_of,
    share_of_another,
)

from .points import point
from .test_recoveries import BEFORE, DONE, LINEAGE, OUTCOME


def another(drop: float | None, epochs: int = 6, digest: str = "2" * 64) -> Recovery:
    """A round that went on from `DONE`; None where it won nothing."""
    lineage = replace(LINEAGE, started_from=OUTCOME.digest, seed=2)
    if drop is None:
        return replace(DONE, epochs=epochs, lineage=lineage, outcome=None, reason="it won nothing back")
    outcome = replace(OUTCOME, metric=1.0 - drop, metric_drop=drop, metric_drop_low=drop, digest=digest)
    return replace(DONE, epochs=epochs, lineage=lineage, outcome=outcome)


def test_rounds_are_those_of_one_candidate_by_one_seed_on_one_data() -> None:
    more = another(0.005)
    others = [replace(more, seed=9), replace(more, data_digest="0" * 64)]
    elsewhere = replace(DONE, recovered_from="a" * 64)
    past = past_of([DONE, *others, elsewhere, more], seed=1, data_digest="d" * 64)
    assert past == {BEFORE.digest: [DONE, more], "a" * 64: [elsewhere]}


def test_what_the_last_round_won_something_for_goes_on_for_some_rounds() -> None:
    assert goes_on([DONE])
    assert goes_on([DONE, another(0.005)])
    assert not goes_on([DONE, another(None)])
    assert not goes_on([DONE] * MOST_ROUNDS)
    solved = replace(DONE, lineage=replace(LINEAGE, steps=0))
    assert not goes_on([solved]), "a closed form gives the same again"


def test_epochs_and_the_best_are_those_of_all_rounds() -> None:
    worse = another(0.02)
    assert epochs_of([DONE, worse]) == 6
    assert best_of([DONE, worse]) is OUTCOME
    assert best_of([DONE, another(0.005), another(None, 9)]) == another(0.005).outcome
    assert (epochs_of([]), best_of([]), best_of([another(None)])) == (0, None, None)


def test_a_trial_has_one_recovered_point_the_best_with_the_epochs_of_all_rounds() -> None:
    better = another(0.005)
    found = recovered_points([BEFORE], [DONE, better])
    assert [(each.name, each.digest) for each in found] == [("#12r", "2" * 64)]
    assert found[0].recovery == "distillation, 6 epochs, seed 2"
    assert recovered_points([BEFORE], [DONE, another(0.02)])[0].digest == OUTCOME.digest
    by_itself = replace(better, data_digest="0" * 64)
    assert "3 epochs" in recovered_points([BEFORE], [DONE, by_itself])[0].recovery, (
        "of other data, and so no round of it"
    )
    other = point(3, 0.2, 0.1)
    both = [DONE, replace(DONE, recovered_from=other.digest, outcome=replace(OUTCOME, digest="8" * 64))]
    assert [each.name for each in recovered_points([BEFORE, other], both)] == ["#12r", "#3r"]


def test_what_another_round_wins_is_assumed_and_then_seen() -> None:
    assert share_of_another({}) == share_of_another({"a": [DONE]}) == ASSUMED
    assert share_of_another({"a": [DONE, another(0.005)]}) == pytest.approx((ASSUMED + 0.5) / 2)
    assert share_of_another({"a": [DONE, another(None)]}) == pytest.approx(ASSUMED / 2)
    assert share_of_another({"a": [another(None), DONE]}) == ASSUMED, (
        "a first one that failed was no training to go on from"
    )
