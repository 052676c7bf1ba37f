"""A check says what can be said, one finding after another, and stops where nothing more can be seen."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from hwprofiles import Engine, HardwareProfile, SshReach
from latency.check import check_target
from latency.effort import Effort
from latency.finding import Finding
from latency.transports.local import LocalTransport

Feeds = dict[str, np.ndarray]
LOOKED_AT = ["reached", "engine", "machine", "free memory", "load", "clock setting", "temperature", "network"]
MEASURED = ["quiet", "steady clock", "A/A"]


def names(findings: list[Finding]) -> list[str]:
    return [finding.name for finding in findings]


@pytest.fixture
def divides_by_zero() -> bytes:
    """A network whose outputs are infinite."""
    graph = helper.make_graph(
        [helper.make_node("Sub", ["x", "x"], ["zero"]), helper.make_node("Div", ["x", "zero"], ["y"])],
        "broken",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 8])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return bytes(model.SerializeToString())


def test_everything_is_looked_at_in_order(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds, quick: Effort
) -> None:
    findings = list(check_target(profile, baseline, feeds, repeats=3, effort=quick))
    assert names(findings) == LOOKED_AT + MEASURED
    seen = {finding.name: finding for finding in findings}
    python = ".".join(map(str, sys.version_info[:3]))
    assert seen["engine"].seen == f"onnxruntime {_onnxruntime()}, Python {python}, numpy {np.__version__}"
    assert seen["network"].seen == "runs in CPUExecutionProvider, and its outputs are finite"
    assert "over 3 measurements" in seen["steady clock"].seen
    assert [seen[name].status for name in ("reached", "engine", "network")] == ["ok"] * 3


def _onnxruntime() -> str:
    import onnxruntime

    return str(onnxruntime.__version__)


def test_a_target_that_is_not_there(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    reach = SshReach(host="127.0.0.1", port=1, user="me", connect_timeout_s=5)
    findings = list(check_target(profile.model_copy(update={"reach": reach}), baseline, feeds))
    assert [(finding.name, finding.status) for finding in findings] == [("reached", "failed")]
    assert "`ssh HOST` must work with your key" in findings[0].remedy


def test_a_worker_that_does_not_start(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    transport = LocalTransport([sys.executable, "-c", "import sys; sys.exit('no such module')"])
    findings = list(check_target(profile, baseline, feeds, transport=transport))
    assert [(finding.name, finding.status) for finding in findings] == [("reached", "failed")]
    assert "no such module" in findings[0].seen


def test_a_target_without_its_engine(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    code = "import sys; sys.modules['onnxruntime'] = None; sys.path.insert(0, sys.argv[1]); "
    code += "from latency.worker.serve import main; main()"
    transport = LocalTransport([sys.executable, "-c", code, "{archive}"])
    findings = list(check_target(profile, baseline, feeds, transport=transport))
    assert [(finding.name, finding.status) for finding in findings] == [("reached", "ok"), ("engine", "failed")]
    assert "install" in findings[1].remedy


def test_another_machine_than_the_profiles_ends_the_check(
    profile: HardwareProfile, baseline: bytes, feeds: Feeds
) -> None:
    other = profile.model_copy(update={"requires": ("no-such-instruction",)})
    findings = list(check_target(other, baseline, feeds))
    assert names(findings) == ["reached", "engine", "machine"]
    assert findings[-1].status == "failed"
    assert "no-such-instruction" in findings[-1].seen


def test_outputs_that_are_not_finite(profile: HardwareProfile, divides_by_zero: bytes, feeds: Feeds) -> None:
    finding = next(one for one in check_target(profile, divides_by_zero, feeds) if one.name == "network")
    assert finding.status == "failed"
    assert "outputs y are not finite" in finding.seen


def test_a_network_that_the_engine_refuses(profile: HardwareProfile, broken_model: bytes, feeds: Feeds) -> None:
    findings = list(check_target(profile, broken_model, feeds))
    assert names(findings) == LOOKED_AT
    assert findings[-1].status == "failed"
    assert "NoSuchOperator" in findings[-1].seen


@pytest.mark.parametrize("fault", ["dies", "garbage"])
def test_workers_that_die_over_the_measurement(
    profile: HardwareProfile,
    baseline: bytes,
    feeds: Feeds,
    quick: Effort,
    faulty: Callable[[str], LocalTransport],
    tmp_path: Path,
    fault: str,
) -> None:
    findings = []
    for finding in check_target(profile, baseline, feeds, effort=quick, transport=faulty(fault)):
        findings.append(finding)
        if finding.name == "network":
            (tmp_path / "armed").touch()
    assert names(findings) == [*LOOKED_AT, "measuring"]
    assert findings[-1].status == "failed"


def test_an_emulated_target_is_compared_and_not_timed(profile: HardwareProfile, baseline: bytes, feeds: Feeds) -> None:
    from hwprofiles import EmulatedReach

    emulated = profile.model_copy(update={"reach": EmulatedReach(), "engine": Engine()})
    findings = list(check_target(emulated, baseline, feeds, transport=LocalTransport()))
    assert names(findings) == ["reached", "engine", "machine", "free memory", "network"]
    assert "its outputs: bit-identical on 1 samples to onnxruntime" in findings[-1].seen
    assert findings[-1].status == "ok"
