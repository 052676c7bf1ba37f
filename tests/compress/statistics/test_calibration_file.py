"""A calibration on disk is the calibration, or it is refused in one line."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from compress.errors import CompressionError
from compress.formats.scheme import SCHEMES
from compress.policy import FORMATS
from compress.statistics.calibration import calibrate
from compress.statistics.calibration_file import FORMAT_VERSION, load_calibration, save_calibration
from compress.stitch import Compressor
from tests.compress.conftest import Loaded
from tests.compress.policies import assorted

_NAMES = ["residual", "grouped", "transformer_block", "one_dimensional", "nothing_to_compress"]


@pytest.mark.parametrize("name", _NAMES)
def test_a_saved_calibration_builds_the_same_bytes(load: Callable[[str], Loaded], tmp_path: Path, name: str) -> None:
    loaded, path = load(name), tmp_path / "calibration.npz"
    save_calibration(loaded.calibration, path)
    found = load_calibration(path)
    assert found.sample_count == loaded.calibration.sample_count
    again = Compressor(loaded.network, found, SCHEMES["u8s8"], formats=FORMATS, weight_block=16)
    compressor = loaded.compressor()
    for policy in assorted(compressor, 2).values():
        assert again.build(policy).onnx_bytes == compressor.build(policy).onnx_bytes


def test_moments_that_are_shared_stay_shared(load: Callable[[str], Loaded], tmp_path: Path) -> None:
    path = tmp_path / "calibration.npz"
    save_calibration(load("transformer_block").calibration, path)
    found = load_calibration(path).moments
    assert found["q"] is found["k"] is found["v"]


def test_moments_by_channel_stay_so(load: Callable[[str], Loaded], tmp_path: Path) -> None:
    """Little memory: large kernels are read channel by channel, and the file says so."""
    loaded, path = load("residual"), tmp_path / "calibration.npz"
    small = calibrate(loaded.network, [loaded.case.example], limit_bytes=40_000)
    by_channel = {name: moments.by_channel for name, moments in small.moments.items()}
    assert set(by_channel.values()) == {True, False}
    save_calibration(small, path)
    assert {name: moments.by_channel for name, moments in load_calibration(path).moments.items()} == by_channel
    compressor = Compressor(loaded.network, small, SCHEMES["u8s8"], formats=FORMATS)
    again = Compressor(loaded.network, load_calibration(path), SCHEMES["u8s8"], formats=FORMATS)
    for policy in assorted(compressor, 2).values():
        assert again.build(policy).onnx_bytes == compressor.build(policy).onnx_bytes


def test_the_first_version_is_refused(tmp_path: Path) -> None:
    """It held ranges and factors, and no version."""
    path = tmp_path / "calibration.npz"
    np.savez(path, **{"ranges/x": np.zeros(2), "sample_count": np.array(3)})
    with pytest.raises(CompressionError, match="the calibration is of format 1, this paretune reads 2; remove it"):
        load_calibration(path)


def test_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "calibration.npz"
    header = f'{{"format_version": {FORMAT_VERSION + 1}}}'
    np.savez(path, header=np.frombuffer(header.encode(), np.uint8))
    with pytest.raises(CompressionError, match=f"is of format {FORMAT_VERSION + 1}, this paretune reads"):
        load_calibration(path)


@pytest.mark.parametrize("damage", ["empty", "text", "cut", "flipped", "pickle", "header", "part"])
def test_damaged_files_are_refused(load: Callable[[str], Loaded], tmp_path: Path, damage: str) -> None:
    path = tmp_path / "calibration.npz"
    save_calibration(load("residual").calibration, path)
    whole = path.read_bytes()
    if damage == "pickle":
        np.savez(path, allow_pickle=True, header=np.array([{"format_version": FORMAT_VERSION}], object))
    elif damage == "header":
        np.savez(path, header=np.frombuffer(b"{nothing", np.uint8))
    elif damage == "part":
        with np.load(path) as archive:
            np.savez(path, header=archive["header"])
    else:
        middle = len(whole) // 2
        path.write_bytes(
            {
                "empty": b"",
                "text": b"no archive",
                "cut": whole[:middle],
                "flipped": whole[:middle]
                + bytes(255 - byte for byte in whole[middle : middle + 64])
                + whole[middle + 64 :],
            }[damage]
        )
    with pytest.raises(CompressionError, match=r"is no calibration of ours .*; remove it to calibrate") as caught:
        load_calibration(path)
    assert "\n" not in str(caught.value)
