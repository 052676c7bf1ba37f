"""What a user may bring by mistake gets one line that says what to do."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper
from torch import nn

from compress.errors import CompressionError, NetworkError
from compress.network import load_network
from compress.statistics.calibration import calibrate
from tests.compress.conftest import Loaded
from tests.compress.policies import mixed
from tests.compress.zoo import ZOO, write
from tests.compress.zoo.case import GraphBuilder, images


def _refused(source: object, example: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(NetworkError, match=message) as caught:
        load_network(source, example)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)


def test_a_missing_file(tmp_path: Path) -> None:
    _refused(tmp_path / "none.onnx", {}, "no ONNX file at .*none.onnx")
    _refused(tmp_path, {}, "no ONNX file at")


@pytest.mark.parametrize("content", [b"", b"hello, I am no network\n" * 40, b"\x00" * 64, b"\x80\x02}q\x00."])
def test_a_file_of_something_else(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "garbage.onnx"
    path.write_bytes(content)
    _refused(path, {}, "garbage.onnx")


def test_bytes_of_something_else() -> None:
    _refused(b"hello, I am no network" * 9, {}, "no normalized network")
    _refused(b"", {}, "no normalized network")


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.9, 0.999])
def test_a_truncated_file(tmp_path: Path, kept: float) -> None:
    path = write(ZOO["residual"](), tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    _refused(path, {"image": images()}, "network.onnx")


def test_missing_external_data(tmp_path: Path) -> None:
    path = tmp_path / "network.onnx"
    proto = ZOO["plain_convolutions"]().proto
    onnx.save(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    assert load_network(path, {"image": images()}).layers
    (tmp_path / "weights.bin").unlink()
    _refused(path, {"image": images()}, "does not load as ONNX")


def test_inputs_of_other_names_or_axes(tmp_path: Path) -> None:
    path = write(ZOO["plain_convolutions"](), tmp_path)
    _refused(path, {"picture": images()}, r"inputs are \['image'\] but the workload's data has \['picture'\]")
    _refused(path, {"image": images()[0]}, r"input 'image': the network expects 4 axes .* has 3 \[3, 8, 8\]")


def test_an_operator_that_nobody_has(tmp_path: Path) -> None:
    """A custom operator is left alone, and what runs the network says which one it lacks."""
    g = GraphBuilder()
    x = g.node("Relu", g.conv("image", 3, 8))
    g.conv(x, 8, 4, to="map")
    proto = g.build({"image": ["batch", 3, 8, 8]}, {"map": ["batch", 4, 8, 8]})
    proto.graph.node[1].domain = "mystery"
    proto.opset_import.append(helper.make_opsetid("mystery", 1))
    path = tmp_path / "custom.onnx"
    path.write_bytes(proto.SerializeToString())
    network = load_network(path, {"image": images()})
    assert len(network.layers) == 2
    with pytest.raises(CompressionError, match=r"does not load the network: .*mystery") as caught:
        calibrate(network, [{"image": images()}])
    assert "\n" not in str(caught.value)


class _Branches(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x if x.sum() > 0 else -x


def test_modules_that_cannot_be_exported() -> None:
    example = {"input": images()}
    _refused(nn.ReLU(), example, r"training mode; call \.eval\(\)")
    _refused(nn.ReLU().eval(), {"image": images()}, r"inputs \['image'\] but forward\(\) takes \['input'\]")
    _refused(_Branches().eval(), {"x": images()}, "torch could not export the module to ONNX")


_BUILD = """
import hashlib, sys
from pathlib import Path
import numpy as np
from compress.statistics.calibration_file import load_calibration
from compress.network import load_network
from compress.policy import Policy
from compress.formats.scheme import SCHEMES
from compress.stitch import Compressor
folder = Path(sys.argv[1])
network = load_network(folder / "network.onnx", dict(np.load(folder / "example.npz")))
compressor = Compressor(network, load_calibration(folder / "calibration.npz"), SCHEMES["u8s8"])
candidate = compressor.build(Policy.from_json((folder / "policy.json").read_text()))
print(network.digest, candidate.digest)
"""


def test_another_process_makes_the_same_bytes(load: Callable[[str], Loaded], tmp_path: Path) -> None:
    from compress.statistics.calibration_file import save_calibration

    loaded = load("inception")
    names = [layer.name for layer in loaded.network.layers]
    policy = mixed(loaded.network, names[1:], names)
    candidate = loaded.compressor().build(policy)
    write(ZOO["inception"](), tmp_path)
    np.savez(tmp_path / "example.npz", **loaded.case.example)  # type: ignore[arg-type]
    save_calibration(loaded.calibration, tmp_path / "calibration.npz")
    (tmp_path / "policy.json").write_text(policy.to_json())
    for seed in ("1", "2"):
        result = subprocess.run(
            [sys.executable, "-W", "error", "-c", _BUILD, str(tmp_path)],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert result.stdout.split() == [loaded.network.digest, candidate.digest]
