"""The networks of a bundle, read back for use: that they are those of the manifest, and what they run on."""

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from compress.errors import CompressionError, PolicyError
from compress.policy import Policy
from compress.runtime import open_session
from deploy.bundle import ENGINE_FILE, BuiltEngine
from deploy.errors import DamagedBundleError
from deploy.manifest import EXAMPLE_FILE, FP32_FILE, MODEL_FILE, POLICY_FILE, SPINNING, Manifest
from deploy.opened import OpenedBundle
from deploy.remeasure import Timed
from deploy.tensor_specs import read_specs

READ_FILES = (MODEL_FILE, FP32_FILE, POLICY_FILE, EXAMPLE_FILE, ENGINE_FILE)
"""What `read_shipped` reads of a bundle."""


def read_shipped(bundle: OpenedBundle, manifest: Manifest) -> Timed:
    """The shipped network, its FP32 and the inputs that they are timed on.

    Raises:
        DamagedBundleError: The files are not of one piece: another network, policy or interface than the manifest
            tells, a network that reads other files, or inputs that are none of its own.
    """
    shipped = Timed(
        model=bundle.read(MODEL_FILE),
        session_entries={key: value for key, value in manifest.session.entries.items() if key != SPINNING},
        fp32=bundle.read(FP32_FILE),
        feeds=_read_example(bundle, manifest),
        engine=_engine(bundle, manifest),
        digest=manifest.digest,
        fp32_digest=manifest.fp32_digest,
    )
    _require_consistent(bundle, manifest)
    if read_specs(shipped.model) != (manifest.inputs, manifest.outputs):
        raise DamagedBundleError(f"{MODEL_FILE} has other inputs or outputs than the manifest tells")
    read_specs(shipped.fp32)
    return shipped


def describe_network(model: bytes, session_entries: Mapping[str, str]) -> str:
    """The inputs and outputs of a network that ONNX Runtime loads here.

    Raises:
        DamagedBundleError: It does not, or the network reads other files.
    """
    inputs, outputs = read_specs(model)
    try:
        open_session(model, session_entries=session_entries)
    except CompressionError as error:
        raise DamagedBundleError(str(error)) from error
    return f"{', '.join(each.name for each in inputs)} → {', '.join(each.name for each in outputs)}"


def _require_consistent(bundle: OpenedBundle, manifest: Manifest) -> None:
    for name, digest in ((MODEL_FILE, manifest.digest), (FP32_FILE, manifest.fp32_digest)):
        if manifest.files[name].sha256 != digest:
            raise DamagedBundleError(f"the manifest speaks of another {name} ({digest[:12]}) than it lists")
    try:
        policy = Policy.from_json(bundle.read(POLICY_FILE).decode())
    except (PolicyError, UnicodeDecodeError) as error:
        raise DamagedBundleError(f"{POLICY_FILE} is no policy: {error}") from error
    if policy.digest != manifest.policy_digest:
        raise DamagedBundleError(f"the manifest speaks of another policy ({manifest.policy_digest[:12]}) than it lists")


def _read_example(bundle: OpenedBundle, manifest: Manifest) -> Mapping[str, NDArray[Any]]:
    try:
        with np.load(io.BytesIO(bundle.read(EXAMPLE_FILE)), allow_pickle=False) as file:
            feeds = dict(file)
    except (ValueError, OSError, EOFError, KeyError) as error:
        raise DamagedBundleError(f"{EXAMPLE_FILE} cannot be read: {error}") from error
    if set(feeds) != {tensor.name for tensor in manifest.inputs} or not all(len(array) for array in feeds.values()):
        raise DamagedBundleError(f"{EXAMPLE_FILE} holds {sorted(feeds)}, which are not the network's inputs")
    return feeds


def _engine(bundle: OpenedBundle, manifest: Manifest) -> BuiltEngine | None:
    if manifest.engine is None or ENGINE_FILE not in manifest.files:
        return None
    return BuiltEngine(data=bundle.read(ENGINE_FILE), facts=manifest.engine)
