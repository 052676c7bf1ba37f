"""A policy applied to its FP32 network again: the same bytes, on any machine that has the same libraries."""

import hashlib
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.candidate import Candidate
from compress.formats.scheme import SCHEMES
from compress.network import Network, load_network
from compress.policy import Policy
from compress.recovery.build_recovered import build_recovered
from compress.recovery.recovered_weights import RecoveredWeights
from compress.statistics.calibration import Calibration
from compress.statistics.calibration_file import load_calibration
from compress.stitch import Compressor
from compress.variants import VariantStore
from deploy.errors import BundleError
from deploy.manifest import Manifest, Recipe


def recipe_compressor(recipe: Recipe, network: Network, calibration: Calibration, variants: Path | None) -> Compressor:
    """What a search built its candidates with.

    Args:
        recipe: How it was set up.
        network: The FP32 network.
        calibration: What was seen on it.
        variants: A run's finished weights, which spare making them again; None makes them.
    """
    compressor = Compressor(
        network,
        calibration,
        SCHEMES.get(recipe.int8_scheme),
        channel_multiple=recipe.channel_multiple,
        formats=recipe.formats,
        weight_block=recipe.weight_block_size,
        accuracy_level=4 if recipe.weight_only_compute == "int8" else 1,
        store=None if variants is None else VariantStore(folder=variants),
    )
    return compressor.with_range_method(recipe.range_method) if "int8" in compressor.formats else compressor


def read_fp32(data: bytes, recipe: Recipe) -> Network:
    """The FP32 network from its normalized bytes: `fp32.onnx` of a bundle, `network.onnx` of a run.

    Raises:
        CompressionError: They are no normalized network.
    """
    return load_network(data, example_of(recipe))


def read_recipe_calibration(path: Path, recipe: Recipe) -> Calibration:
    """The calibration that the recipe names.

    Raises:
        BundleError: It is another one: other statistics give other bytes.
        CompressionError: It is none.
        OSError: It cannot be read.
    """
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    if sha256 != recipe.calibration_sha256:
        raise BundleError(
            f"{str(path)!r} is another calibration (SHA-256 {sha256[:16]}…) than the policy was made with "
            f"({recipe.calibration_sha256[:16]}…); give the calibration.npz of its run, or a workload to calibrate anew"
        )
    return load_calibration(path)


def apply_policy(policy: Policy, recipe: Recipe, network: Network, calibration: Calibration) -> Candidate:
    """The network under the policy, as the search would build it.

    Raises:
        CompressionError: The policy does not fit the network.
    """
    # With a folder of its own the store keeps on disk what a large network's weights would take of memory.
    with tempfile.TemporaryDirectory(prefix="paretune-variants-") as variants:
        return recipe_compressor(recipe, network, calibration, Path(variants)).build(policy)


def apply_recovered(
    weights: Path, policy: Policy, recipe: Recipe, network: Network, calibration: Calibration
) -> Candidate:
    """The network under the policy, with weights that were recovered for it.

    Args:
        weights: Their file: `recovered/DIGEST.safetensors` of a run, or a bundle's.
        policy: What they were recovered for.
        recipe: How candidates are built.
        network: The FP32 network.
        calibration: What was seen on it.

    Raises:
        BundleError: They were recovered for another policy.
        CompressionError: They cannot be read, or are another network's.
        OSError: They cannot be read.
    """
    recovered = RecoveredWeights.load(weights)
    if recovered.policy.digest != policy.digest:
        raise BundleError(
            f"{str(weights)!r} holds weights of another policy ({recovered.policy.digest[:12]}) than was given "
            f"({policy.digest[:12]}); give the policy.json of its candidate"
        )
    with tempfile.TemporaryDirectory(prefix="paretune-variants-") as variants:
        return build_recovered(recipe_compressor(recipe, network, calibration, Path(variants)), recovered)


def require_same_bytes(candidate: Candidate, manifest: Manifest) -> None:
    """Raise BundleError where the bytes are not the bundle's own, though all that they were made from is."""
    if candidate.digest != manifest.digest:
        made_with = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
        raise BundleError(
            f"applying the policy gave other bytes ({candidate.digest[:12]}) than the bundle holds "
            f"({manifest.digest[:12]}); a library differs: the bundle was made with {made_with}"
        )


def example_of(recipe: Recipe) -> Mapping[str, NDArray[Any]]:
    """Inputs of the shapes that the network was calibrated with; their values decide nothing."""
    return {name: np.zeros(shape, recipe.example_dtypes[name]) for name, shape in recipe.example_shapes.items()}
