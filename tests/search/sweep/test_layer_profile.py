"""Shares of layers: from a real worker's profile, and from rows whose sums are known."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from compress.candidate import Candidate
from compress.errors import PolicyError
from compress.low_rank.factorize_layers import first_name
from compress.network import Network
from compress.policy import Policy
from hwprofiles import HardwareProfile
from latency import MeasurementError, Target
from search.layers.table import TimedPolicy
from search.layers.times import named_rows
from search.prepare import Prepared
from search.progress import Progress, silent
from search.stages import StageClock
from search.sweep.layer_profile import Profiled, profile_layers, shares_of
from search.sweep.policies import mixed, profiled
from search.trial.timed_input import timed_feeds

LAYERS = {"stem", "wide", "delicate", "head"}


@pytest.fixture
def target(profile: HardwareProfile) -> Iterator[Target]:
    with Target(profile) as target:
        yield target


def table_of(target: Target, prepared: Prepared, **options: Any) -> tuple[TimedPolicy, ...]:
    options = {
        "compressor": prepared.compressor,
        "policies": profiled(prepared.space),
        "limit_s": math.inf,
        "stages": StageClock(),
        "listener": silent,
        **options,
    }
    return profile_layers(target, feeds=timed_feeds(prepared.workload, 1), space=prepared.space, **options)


def profile_of(network: Network, *rows: tuple[str, float], ratio: float = 1.0, calls: int = 1) -> Profiled:
    made = [
        {"name": name, "operator": "o", "kernel": "k", "median_ns": 1e3 * median_us, "calls": calls}
        for name, median_us in rows
    ]
    return Profiled(params={}, rows=named_rows(network, made), ratio=ratio)


def shares(network: Network, *profiles: Profiled) -> list[dict[str, float]]:
    return [dict(row.shares) for row in shares_of(profiles, network)]


def test_a_real_worker_times_every_layer_under_every_policy(target: Target, prepared: Prepared) -> None:
    heard: list[Progress] = []
    stages = StageClock()
    policies = profiled(prepared.space)
    table = table_of(target, prepared, stages=stages, listener=heard.append)
    assert [row.params for row in table] == list(policies)
    assert all(set(row.shares) == LAYERS for row in table)
    assert 0 < sum(table[0].shares.values()) <= 1 + 1e-9
    assert [(step.stage, step.done, step.total) for step in heard] == [
        ("layer times", number, len(policies)) for number in range(1, len(policies) + 1)
    ]
    assert set(stages.seconds) == {"building", "waiting for a turn", "latency overhead", "latency inference"}
    assert table[0].ratio == 1.0
    assert all(0.01 < (row.ratio or 0.0) < 100.0 for row in table)


def test_wholes_are_timed_without_a_profile_before_the_last_policies(target: Target, prepared: Prepared) -> None:
    policies, wholes = profiled(prepared.space)[:8], mixed(prepared.space)[:2]
    table = table_of(target, prepared, policies=policies, wholes=wholes)
    assert [row.params for row in table] == [*policies[:6], *wholes, *policies[6:]]
    assert [bool(row.shares) for row in table[6:8]] == [False, False]
    assert all(0.01 < (row.ratio or 0.0) < 100.0 for row in table[6:8])


def test_both_factors_of_a_layer_are_its_own(prepared: Prepared) -> None:
    network = prepared.network
    (found,) = shares(
        network, profile_of(network, (first_name("wide"), 300.0), ("wide_token_7", 100.0), ("head", 100.0))
    )
    assert found == pytest.approx({"wide": 0.8, "head": 0.2})


def test_a_policy_s_rows_add_up_to_its_ratio(prepared: Prepared) -> None:
    network = prepared.network
    rows = [("stem", 30.0), ("wide", 60.0), ("some_add", 10.0)]
    (found,) = shares(network, profile_of(network, *rows, ratio=0.5))
    assert found == pytest.approx({"stem": 0.5 * 20 / 70, "wide": 0.5 * 50 / 70})


def test_what_the_smallest_row_beside_the_layers_takes_is_the_profiler_s(prepared: Prepared) -> None:
    network = prepared.network
    wide = profile_of(network, ("stem", 110.0), ("wide", 310.0))
    narrow = profile_of(network, ("stem", 20.0), ("wide", 30.0), ("quantize", 10.0), ("add", 20.0), ratio=0.1)
    first, second = shares(network, wide, narrow)
    assert first == pytest.approx({"stem": 0.25, "wide": 0.75})
    assert second == pytest.approx({"stem": 0.1 * 10 / 40, "wide": 0.1 * 20 / 40})


def test_a_layer_faster_than_the_smallest_other_row_takes_nothing(prepared: Prepared) -> None:
    network = prepared.network
    (found,) = shares(network, profile_of(network, ("stem", 5.0), ("wide", 30.0), ("add", 10.0)))
    assert found == pytest.approx({"stem": 0.0, "wide": 1.0})


def test_layers_that_run_as_one_are_told_of_neither(prepared: Prepared) -> None:
    network = prepared.network
    (found,) = shares(network, profile_of(network, ("stem", 20.0), ("stem + wide", 30.0), ("head", 50.0)))
    assert found == pytest.approx({"head": 0.5})


def test_a_profile_without_time_is_none(prepared: Prepared) -> None:
    with pytest.raises(MeasurementError, match="no time in it"):
        shares(prepared.network, profile_of(prepared.network, ("stem", 0.0)))


def test_time_runs_out(target: Target, prepared: Prepared) -> None:
    seconds = iter(range(100))
    table = table_of(target, prepared, limit_s=3.0, clock=lambda: float(next(seconds)))
    assert [row.params for row in table] == list(profiled(prepared.space)[:2])


class Refusing:
    """A real compressor that cannot build some policies."""

    def __init__(self, prepared: Prepared, refused: Policy) -> None:
        self._compressor, self._refused = prepared.compressor, refused
        self.network = prepared.network

    def build(self, policy: Policy) -> Candidate:
        if policy == self._refused:
            raise PolicyError("no such thing")
        return self._compressor.build(policy)


def test_a_policy_that_cannot_be_built_is_left_out_and_said(target: Target, prepared: Prepared) -> None:
    policies = profiled(prepared.space)[:3]
    refusing = Refusing(prepared, prepared.space.policy(policies[1]))
    heard: list[Progress] = []
    table = table_of(target, prepared, compressor=refusing, policies=policies, listener=heard.append)
    assert [row.params for row in table] == [policies[0], policies[2]]
    assert [step.note for step in heard if step.note] == ["layers are not timed under one of 3 policies: no such thing"]


def test_without_fp32_there_is_nothing_to_share(target: Target, prepared: Prepared) -> None:
    policies = profiled(prepared.space)[:2]
    refusing = Refusing(prepared, prepared.space.policy(policies[0]))
    with pytest.raises(PolicyError, match="no such thing"):
        table_of(target, prepared, compressor=refusing, policies=policies)
