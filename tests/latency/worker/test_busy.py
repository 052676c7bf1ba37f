"""Back-to-back inferences fill the time that was asked for, however fast or slow the model is."""

from __future__ import annotations

import time

import pytest

from latency.worker.busy import keep_busy


class Sleeper:
    """An engine whose inferences take a known time."""

    def __init__(self, inference_s: float) -> None:
        self.inference_s = inference_s
        self.calls: list[int] = []

    def time(self, count: int) -> list[list[int | None]]:
        self.calls.append(count)
        time.sleep(count * self.inference_s)
        return [[round(self.inference_s * 1e9), None, None]] * count


def test_the_time_is_filled_and_every_inference_counted() -> None:
    engine = Sleeper(0.001)
    answer = keep_busy(engine, 0.2)  # type: ignore[arg-type]
    assert answer["elapsed_s"] >= 0.2
    assert answer["inferences"] == sum(engine.calls)
    assert answer["median_ns"] == 1_000_000
    assert max(engine.calls) > 1


@pytest.mark.parametrize("seconds", [0.0, 0.01])
def test_a_slow_model_runs_once(seconds: float) -> None:
    engine = Sleeper(0.1)
    assert keep_busy(engine, seconds)["inferences"] == 1  # type: ignore[arg-type]
    assert engine.calls == [1]
