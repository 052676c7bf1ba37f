"""Single choices of a real network, measured; and what ends the sweep early."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from compress.errors import PolicyError
from compress.policy import Policy
from compress.runtime import open_session
from search.folder.run_folder import RunFolder
from search.layers.graph import LayerGraph
from search.prepare import Prepared
from search.progress import Progress, silent
from search.stages import INFERENCE_STAGES, StageClock
from search.sweep.damage import measure_joints, sweep_damage
from search.sweep.probe import Probe
from search.sweep.readings import Key, Reading
from search.sweep.readings_file import ReadingsFile
from workloads import WorkloadError

MakeProbe = Callable[..., Probe]


@pytest.fixture
def make_probe(prepared: Prepared) -> MakeProbe:
    def make(**changes: Any) -> Probe:
        options: dict[str, Any] = {"threads": 1, "target_batch_size": 1, "stages": StageClock(), **changes}
        return Probe(prepared.compressor, prepared.workload.search_part, **options)

    return make


@pytest.fixture
def file(folder: RunFolder) -> ReadingsFile:
    return ReadingsFile(folder, network_digest="d", samples=32)


class Recorder:
    """A real probe that remembers what it was asked, and may fail."""

    def __init__(self, probe: Probe, before: Callable[[int], None] = lambda _: None) -> None:
        self._probe, self._before = probe, before
        self.asked: list[Policy] = []

    def measure(self, policy: Policy) -> Reading:
        self.asked.append(policy)
        self._before(len(self.asked))
        return self._probe.measure(policy)


def graph_of(prepared: Prepared) -> LayerGraph:
    return LayerGraph(macs={layer.name: layer.macs for layer in prepared.network.layers}, neighbours=())


def sweep(prepared: Prepared, probe: Any, file: ReadingsFile, **options: Any) -> bool:
    options = {"limit_s": math.inf, "listener": silent, **options}
    return sweep_damage(prepared.space, graph_of(prepared), probe, file, **options)


def test_a_divergence_is_that_of_the_outputs(prepared: Prepared, make_probe: MakeProbe) -> None:
    policy = prepared.space.policy({"bits/wide": "int8"})
    reading = make_probe().measure(policy)
    candidate = prepared.compressor.build(policy)
    feeds, _ = next(prepared.workload.search_part.batches(1000))
    ours, theirs = (
        open_session(model, session_entries=candidate.session_entries).run(None, dict(feeds))[0]
        for model in (candidate.onnx_bytes, prepared.network.onnx_bytes)
    )
    expected = np.square(ours - theirs).mean(axis=1) / np.square(theirs - theirs.mean(axis=0)).mean()
    assert len(expected) == 24  # fewer than a sweep takes: all of them
    assert reading.mean == pytest.approx(expected.mean(), rel=1e-4)
    assert reading.standard_error == pytest.approx(expected.std(ddof=1) / math.sqrt(24), rel=1e-4)


def test_fp32_does_not_diverge_from_itself(prepared: Prepared, make_probe: MakeProbe) -> None:
    assert make_probe().measure(prepared.space.policy({})).mean == 0.0


def test_few_samples_are_enough(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("search.sweep.probe.SAMPLES", 8)
    stages = StageClock()
    part = prepared.workload.search_part
    probe = Probe(prepared.compressor, part, threads=1, target_batch_size=1, stages=stages, clock=iter([0, 2]).__next__)
    assert probe.validation_s == 2 / 8 * len(part)
    assert probe.measure(prepared.space.policy({"bits/wide": "int8"})).standard_error > 0


def test_every_choice_is_known_in_the_end_and_the_delicate_layer_stands_out(
    prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile
) -> None:
    heard: list[Progress] = []
    assert sweep(prepared, make_probe(), file, listener=heard.append)
    keys = {(knob.name, choice) for knob in prepared.space.knobs for choice in knob.choices[1:]}
    assert set(file.readings) <= keys
    assert {key for key in keys if key[0].startswith("bits/")} <= set(file.readings)
    eight = {name: reading.mean for (name, choice), reading in file.readings.items() if choice == "int8" and reading}
    assert eight["bits/delicate"] > 20 * eight["bits/stem"]
    assert (heard[-1].stage, heard[-1].done, heard[-1].total) == ("sweep", len(keys), len(keys))
    assert [step.done for step in heard] == sorted(step.done for step in heard)


def test_its_inference_is_inference(prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile) -> None:
    stages = StageClock()
    sweep(prepared, make_probe(stages=stages), file)
    stages_of_a_sweep = {"building", "session loading", "scoring", "accuracy inference", "waiting for a turn"}
    assert stages_of_a_sweep == set(stages.seconds)
    assert any(stages.seconds[name] > 0 for name in INFERENCE_STAGES if name in stages.seconds)


def test_nothing_is_measured_twice(prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile) -> None:
    sweep(prepared, make_probe(), file)
    again = Recorder(make_probe())
    assert sweep(prepared, again, file)
    assert again.asked == []


def test_an_interrupted_sweep_goes_on_where_it_was(
    prepared: Prepared, make_probe: MakeProbe, folder: RunFolder, file: ReadingsFile
) -> None:
    def interrupt(count: int) -> None:
        if count == 4:
            raise KeyboardInterrupt

    first = Recorder(make_probe(), interrupt)
    with pytest.raises(KeyboardInterrupt):
        sweep(prepared, first, file)
    resumed = ReadingsFile(folder, network_digest="d", samples=32)
    resumed.read()
    assert len(resumed.readings) == 3
    second = Recorder(make_probe())
    assert sweep(prepared, second, resumed)
    assert second.asked[0] == first.asked[3]
    assert not set(first.asked[:3]) & set(second.asked)


def test_time_runs_out(prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile) -> None:
    seconds = iter(range(100))
    assert not sweep(prepared, make_probe(), file, limit_s=4.0, clock=lambda: float(next(seconds)))
    assert len(file.readings) == 3
    assert ReadingsFile.read(file) == ""  # what there is lies on the disk
    assert len(file.readings) == 3


@pytest.mark.parametrize("error", [PolicyError("no such thing"), WorkloadError("not finite")])
def test_a_choice_that_fails_is_passed_over_and_not_tried_again(
    prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile, error: Exception
) -> None:
    def fail(count: int) -> None:
        if count == 2:
            raise error

    recorder = Recorder(make_probe(), fail)
    assert sweep(prepared, recorder, file)
    failed: list[Key] = [key for key, reading in file.readings.items() if reading is None]
    assert [prepared.space.policy(dict(failed))] == [recorder.asked[1]]
    again = Recorder(make_probe())
    sweep(prepared, again, file)
    assert again.asked == []


def test_choices_are_turned_together_as_far_as_they_are_known_alone(
    prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile
) -> None:
    sweep(prepared, make_probe(), file)
    file.readings["bits/head", "int8"] = None
    measure_joints(prepared.space, make_probe(), file, limit_s=math.inf)
    assert len(file.joints) > 2
    assert all("bits/head" not in joint.params or joint.params["bits/head"] != "int8" for joint in file.joints)
    (eight,) = [joint for joint in file.joints if all(name.startswith("bits/") for name in joint.params)]
    assert set(eight.params.values()) == {"int8"}
    assert eight.reading == make_probe().measure(prepared.space.policy(eight.params))


def test_what_was_measured_together_is_not_measured_again(
    prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile
) -> None:
    sweep(prepared, make_probe(), file)
    seconds = iter(range(100))
    measure_joints(prepared.space, make_probe(), file, limit_s=2.0, clock=lambda: float(next(seconds)))
    assert len(file.joints) == 1
    again = Recorder(make_probe())
    measure_joints(prepared.space, again, file, limit_s=math.inf)
    assert len(again.asked) == len(file.joints) - 1
    assert prepared.space.policy(file.joints[0].params) not in again.asked


def test_choices_that_fail_together_are_passed_over(
    prepared: Prepared, make_probe: MakeProbe, file: ReadingsFile
) -> None:
    sweep(prepared, make_probe(), file)

    def fail(count: int) -> None:
        if count == 1:
            raise PolicyError("no such thing")

    recorder = Recorder(make_probe(), fail)
    measure_joints(prepared.space, recorder, file, limit_s=math.inf)
    assert len(file.joints) == len(recorder.asked) - 1 > 0
