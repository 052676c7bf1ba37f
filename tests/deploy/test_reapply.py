"""A policy gives the same bytes again, and says so where it cannot."""

from __future__ import annotations

from pathlib import Path

import pytest

from compress.policy import LayerPolicy, Policy
from deploy.errors import BundleError
from deploy.exportable import Exportable
from deploy.manifest import Manifest, read_manifest
from deploy.reapply import apply_policy, read_fp32, read_recipe_calibration, require_same_bytes


@pytest.fixture
def manifest(bundle: Path) -> Manifest:
    found = read_manifest((bundle / "manifest.json").read_bytes())
    assert isinstance(found, Manifest)
    return found


@pytest.fixture
def calibration(point: Exportable, tmp_path: Path) -> Path:
    path = tmp_path / "calibration.npz"
    assert point.calibration is not None
    path.write_bytes(point.calibration)
    return path


def test_the_policy_of_a_bundle_gives_its_bytes(bundle: Path, manifest: Manifest, calibration: Path) -> None:
    network = read_fp32((bundle / "fp32.onnx").read_bytes(), manifest.recipe)
    policy = Policy.from_json((bundle / "policy.json").read_text())
    statistics = read_recipe_calibration(calibration, manifest.recipe)
    candidate = apply_policy(policy, manifest.recipe, network, statistics)
    assert candidate.onnx_bytes == (bundle / "model.onnx").read_bytes()
    require_same_bytes(candidate, manifest)
    first, *_ = policy.layers
    other = apply_policy(Policy({**policy.layers, first: LayerPolicy()}), manifest.recipe, network, statistics)
    with pytest.raises(
        BundleError, match=r"gave other bytes \(\w{12}\) than the bundle holds .* made with onnxruntime"
    ):
        require_same_bytes(other, manifest)


def test_another_calibration_is_refused(manifest: Manifest, calibration: Path) -> None:
    calibration.write_bytes(calibration.read_bytes() + b" ")
    with pytest.raises(BundleError, match=r"is another calibration \(SHA-256 .* than the policy was made with"):
        read_recipe_calibration(calibration, manifest.recipe)
