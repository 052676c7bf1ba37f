"""Accuracy on the target itself: real workers at the other end, and workers that die over a candidate."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from hwprofiles import HardwareProfile, SshReach
from latency import MeasurementError, Target, TargetError, WorkerError
from latency.transports.local import LocalTransport
from search.confirmation.target_validation import TargetValidator, chosen_samples
from search.stages import StageClock
from tests.search.conftest import network
from workloads import Samples, evaluate, onnx_predictor, paired_drop
from workloads.workload import Metric


def negative_error(outputs: Any, targets: Any) -> Any:
    return -np.square(outputs - targets).mean(axis=1)


METRIC = Metric(name="negative error", function=negative_error, scope="batch")
FEEDS = {"x": np.ones((1, 3, 8, 8), np.float32)}


def network_with(change: Callable[[Any], None]) -> bytes:
    """The tiny network with its head's weights changed."""
    import onnx
    from onnx import numpy_helper

    model = onnx.load_model_from_string(network())
    head = next(tensor for tensor in model.graph.initializer if tensor.name == "head.weight")
    weights = numpy_helper.to_array(head).copy()
    change(weights)
    head.CopyFrom(numpy_helper.from_array(weights, "head.weight"))
    return model.SerializeToString()


@pytest.fixture
def samples() -> Samples:
    inputs = np.random.default_rng(3).normal(size=(24, 3, 8, 8)).astype(np.float32)
    targets = onnx_predictor(network())({"x": inputs})["y"] + 0.1
    return Samples([({"x": inputs}, targets)])


@pytest.fixture
def board(profile: HardwareProfile) -> HardwareProfile:
    return profile.model_copy(update={"name": "board", "reach": SshReach(host="board")})


class Cut(LocalTransport):
    """Real local workers; the request `op` finds its worker dead as often as `times` says."""

    def __init__(self, op: str, times: int) -> None:
        super().__init__()
        self.op, self.times, self.started = op, times, 0

    def start(self) -> Any:
        self.started += 1
        connection = super().start()
        real = connection.request

        def request(op: str, timeout_s: float, **fields: Any) -> Any:
            if op == self.op and self.times:
                self.times -= 1
                raise WorkerError("worker 1 died of signal 9 (SIGKILL)")
            return real(op, timeout_s, **fields)

        connection.request = request  # type: ignore[method-assign]
        return connection


Open = Callable[..., TargetValidator]


@pytest.fixture
def open_validator(board: HardwareProfile, samples: Samples) -> Iterator[Open]:
    """Validators whose target is a worker here, or what `transport` makes of it."""
    opened: list[TargetValidator] = []

    def make(transport: Callable[[], Any] = LocalTransport, asked: int | str | None = "all") -> TargetValidator:
        validator = TargetValidator(
            board,
            SimpleNamespace(onnx_bytes=network(), layers=()),  # type: ignore[arg-type]
            samples,
            METRIC,
            FEEDS,
            asked=asked,
            stages=StageClock(),
            make_target=lambda profile: Target(profile, transport=transport(), patience_s=60.0),
        )
        opened.append(validator)
        return validator

    yield make
    for validator in opened:
        validator.__exit__(None, None, None)


def candidate(onnx_bytes: bytes) -> Any:
    return SimpleNamespace(onnx_bytes=onnx_bytes, session_entries={}, formats={})


def on_host(onnx_bytes: bytes, samples: Samples) -> tuple[Any, Any]:
    fp32 = evaluate(onnx_predictor(network()), samples, METRIC).accuracy
    accuracy = evaluate(onnx_predictor(onnx_bytes), samples, METRIC).accuracy
    return accuracy, paired_drop(fp32, accuracy)


def test_the_target_answers_as_this_host_does_where_both_are_alike(open_validator: Open, samples: Samples) -> None:
    changed = network_with(lambda weights: np.multiply(weights, 1.2, out=weights))
    accuracy, drop = on_host(changed, samples)
    found = open_validator().validate(candidate(changed), accuracy, drop).accuracy
    assert found.target_samples == len(samples)
    assert found.target_metric == pytest.approx(accuracy.value, rel=1e-5)
    assert found.target_metric_drop == pytest.approx(drop.value, rel=1e-4)
    assert (found.target_metric_drop_low, found.target_metric_drop_high) == pytest.approx(
        (drop.low, drop.high), rel=1e-4
    )
    assert found.target_differs is False


def test_other_answers_on_the_target_are_told_apart_from_rounding(open_validator: Open, samples: Samples) -> None:
    """What the target runs is not what this host ran: as an engine that rounds worse."""
    accuracy, drop = on_host(network(), samples)
    worse = network_with(lambda weights: np.multiply(weights, 1.5, out=weights))
    found = open_validator().validate(candidate(worse), accuracy, drop).accuracy
    assert found.target_differs is True
    assert found.target_metric < found.host_metric == pytest.approx(accuracy.value)


def test_some_samples_are_spread_over_the_part_and_compared_with_the_same_on_this_host(
    open_validator: Open, samples: Samples
) -> None:
    accuracy, drop = on_host(network(), samples)
    found = open_validator(asked=6).validate(candidate(network()), accuracy, drop).accuracy
    assert found.target_samples == 6
    assert found.host_metric == pytest.approx(float(accuracy.scores[::4].mean()))
    assert found.target_metric == pytest.approx(found.host_metric, rel=1e-5)


@pytest.mark.parametrize("op", ["load", "infer"])
def test_a_worker_that_dies_costs_its_candidate_and_the_next_one_has_another(
    open_validator: Open, samples: Samples, op: str
) -> None:
    transports: list[Cut] = []

    def transport() -> Cut:
        transports.append(Cut(op, times=0 if transports else 1))
        return transports[-1]

    validator = open_validator(transport)
    accuracy, drop = on_host(network(), samples)
    with pytest.raises(MeasurementError, match=f"FP32 itself .* '{op}' on 'board': worker 1 died of signal 9"):
        validator.validate(candidate(network()), accuracy, drop)
    assert validator.validate(candidate(network()), accuracy, drop).accuracy.target_differs is False
    assert [each.started for each in transports] == [1, 1]


def test_an_engine_that_does_not_tell_its_kernels_is_said_so(open_validator: Open, samples: Samples) -> None:
    accuracy, drop = on_host(network(), samples)
    found = open_validator(lambda: Cut("layers", times=1)).validate(candidate(network()), accuracy, drop)
    assert found.accuracy.target_differs is False
    assert found.problems[0].startswith("the target does not say which kernels it runs: 'layers' on 'board'")


def test_one_worker_serves_all_candidates_of_a_confirmation(open_validator: Open, samples: Samples) -> None:
    transports: list[Cut] = []

    def transport() -> Cut:
        transports.append(Cut("", times=0))
        return transports[-1]

    validator = open_validator(transport)
    for _ in range(3):
        validator.validate(candidate(network()), *on_host(network(), samples))
    assert [each.started for each in transports] == [1]


def test_a_target_that_cannot_be_reached_is_no_fault_of_the_candidate(open_validator: Open, samples: Samples) -> None:
    class Gone(LocalTransport):
        def __enter__(self) -> Any:
            raise TargetError("cannot reach board:22")

    with pytest.raises(TargetError, match="cannot reach board:22"):
        open_validator(Gone).validate(candidate(network()), *on_host(network(), samples))


def test_this_machines_own_runtime_is_the_target_and_nothing_runs_twice(
    profile: HardwareProfile, samples: Samples
) -> None:
    def refuse(_: HardwareProfile) -> Target:
        pytest.fail("a worker was started for nothing")

    validator = TargetValidator(
        profile,
        SimpleNamespace(onnx_bytes=network(), layers=()),  # type: ignore[arg-type]
        samples,
        METRIC,
        FEEDS,
        asked=4,
        stages=StageClock(),
        make_target=refuse,
    )
    accuracy, drop = on_host(network(), samples)
    found = validator.validate(candidate(network()), accuracy, drop).accuracy
    assert (found.target_metric, found.host_metric) == (accuracy.value, accuracy.value)
    assert (found.target_metric_drop_low, found.target_metric_drop_high) == (drop.low, drop.high)
    assert found.target_samples == len(samples)


@pytest.mark.parametrize(
    ("transport", "asked", "scope", "expected"),
    [
        ("ssh", None, "batch", 256),
        ("emulated", None, "batch", 64),
        ("ssh", "all", "batch", 600),
        ("ssh", 10, "batch", 10),
        ("ssh", 1000, "batch", 600),
        ("ssh", 10, "all", 600),  # F1 of ten samples is no estimate of F1
    ],
)
def test_how_many_samples_a_target_gets(
    profile: HardwareProfile, transport: str, asked: int | str | None, scope: Any, expected: int
) -> None:
    document = {"transport": transport, **({"host": "board"} if transport == "ssh" else {})}
    target = HardwareProfile.model_validate({**profile.model_dump(), "reach": document})
    part = Samples([({"x": np.zeros((600, 1))}, np.zeros(600))])
    metric = dataclasses.replace(METRIC, scope=scope)
    assert len(chosen_samples(target, asked, part, metric)) == expected


def test_a_gpu_of_this_machine_is_not_this_host(profile: HardwareProfile) -> None:
    assert profile.is_this_host
    document = {**profile.model_dump(), "engine": {"name": "tensorrt"}}
    assert not HardwareProfile.model_validate(document).is_this_host
