"""`manifest.json`: what a bundle is, what it was measured to be, and what it promises."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
)

from deploy.errors import BundleError, DamagedBundleError
from hwprofiles import Engine

FORMAT_VERSION = 2
"""Since 2 a bundle is exported, with FP32 and promises; 1 is a candidate's folder in a run (`deploy.bundle`)."""

MANIFEST_FILE = "manifest.json"
MODEL_FILE = "model.onnx"
FP32_FILE = "fp32.onnx"
POLICY_FILE = "policy.json"
EXAMPLE_FILE = "example.npz"
MEASUREMENTS_FILE = "measurements.jsonl"
CALIBRATION_FILE = "calibration.npz"
RECOVERED_FILE = "recovered.safetensors"

SPINNING = "session.intra_op.allow_spinning"
"""The session entry for the profile's `engine.spinning`; the others are what the network itself needs."""

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


def _stays_inside(name: str) -> str:
    """A path of the bundle, spelt in the one way that every system reads alike."""
    path = PurePosixPath(name)
    plain = name.isprintable() and "\\" not in name and ":" not in name and path.as_posix() == name
    if not plain or path.is_absolute() or ".." in path.parts or name in (".", MANIFEST_FILE):
        raise ValueError(f"{name!r} is no path of a file inside the bundle")
    return name


InnerPath = Annotated[str, AfterValidator(_stays_inside)]


class Facts(BaseModel):
    """A frozen piece of a manifest that refuses keys it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class FileFacts(Facts):
    """One file of the bundle."""

    sha256: Digest
    bytes: Annotated[int, Field(ge=0)]


class TensorSpec(Facts):
    """An input or output; an axis that may have any length is -1 or, where the network names it, that name."""

    name: str
    dtype: str
    shape: tuple[int | str, ...]


class WorkloadFacts(Facts):
    """What accuracy was taken on. `origin` is a built-in's name or a path on the machine that exported."""

    name: str
    origin: str
    digest: Digest
    metric: str
    metric_is_fraction: bool
    samples: Annotated[int, Field(ge=1)]


class TargetFacts(Facts):
    """The device that the figures are of: where and as what it is reached is nobody's business but its owner's."""

    name: str
    summary: str
    device: str
    runtime: str
    hardware_id: str
    engine: Engine
    machine: Mapping[str, Any]


class SessionSettings(Facts):
    """How ONNX Runtime has to be set up to run the network as it was measured."""

    provider: str
    provider_options: Mapping[str, str]
    threads: Annotated[int, Field(ge=1)]
    entries: Mapping[str, str]


class LatencyFigure(Facts):
    """One latency: a ratio to FP32 taken in the same processes, and the same in ms, with 95% intervals.

    Milliseconds are the ratio times `Latency.fp32_ms`. The raw samples are `lines` of `measurements.jsonl`, from 0;
    none where they are no longer known.
    """

    ratio: Positive
    ratio_low: Positive
    ratio_high: Positive
    ms: Positive
    ms_low: Positive
    ms_high: Positive
    grade: str
    lines: tuple[int, ...]


class SpeedFacts(Facts):
    """By which power of FP32's time the ratio grows where the device is slower, and the standard deviation of that."""

    elasticity: Finite
    deviation: Annotated[float, Field(ge=0, allow_inf_nan=False)]


class Latency(Facts):
    """The latency as the search confirmed it, and of the shipped bytes measured again; `fp32_ms` is the run's FP32.

    Both are at the speed of the device at which FP32 takes `fp32_ms`, as far as it is known how the ratio `follows` it.
    """

    fp32_ms: Positive
    confirmed: LatencyFigure
    exported: LatencyFigure
    follows: SpeedFacts | None = None

    @model_serializer(mode="wrap")
    def _as_far_as_known(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What is not known is left out, so that who does not know of it can read the rest."""
        return {name: value for name, value in write(self).items() if value is not None}


class AccuracyFigure(Facts):
    """The metric and what it lost against FP32 on the same samples, with the paired 95% interval."""

    metric: Finite
    drop: Finite
    drop_low: Finite
    drop_high: Finite
    samples: Annotated[int, Field(ge=1)]


class AccuracyFacts(Facts):
    """Accuracy on samples that the search never saw: on the host that searched, and on the target where it was run.

    `batch_size` is that of the validation: outputs of dynamic formats depend on it.
    """

    batch_size: Annotated[int, Field(ge=1)]
    confirmed: AccuracyFigure
    on_target: AccuracyFigure | None = None


class Promises(Facts):
    """What `paretune verify` holds the bundle to; None promises nothing of the kind.

    `max_latency_ms` is of the target; elsewhere its ratio to `Latency.fp32_ms` is what counts.
    """

    max_latency_ms: Positive | None = None
    max_drop: Finite | None = None
    min_speedup: Positive | None = None
    max_size_bytes: Annotated[int, Field(gt=0)] | None = None


class Recipe(Facts):
    """What a policy needs, besides the network, to become the same bytes again (`deploy.reapply`).

    Attributes:
        int8_scheme: Name of the 8-bit scheme; `none` where 8 bits do not pay.
        formats: Number formats that the compressor offered.
        channel_multiple: Widths and ranks are multiples of it.
        weight_block_size: Inputs that share a scale in weight-only formats.
        weight_only_compute: What their kernels compute in.
        range_method: How ranges of activations were chosen.
        calibration_sha256: Of `calibration.npz`: the bundle's, or the run's.
        example_shapes: Input name to the shape of one calibration batch.
        example_dtypes: Input name to dtype.
    """

    int8_scheme: str
    formats: tuple[str, ...]
    channel_multiple: Annotated[int, Field(ge=1)]
    weight_block_size: Annotated[int, Field(ge=1)]
    weight_only_compute: str
    range_method: str
    calibration_sha256: Digest
    example_shapes: Mapping[str, tuple[int, ...]]
    example_dtypes: Mapping[str, str]


class RecoveryFacts(Facts):
    """How the network's weights were recovered after compression, as `compress.recovery.lineage` has it.

    `weights_digest` is of the recovered weights: with the recipe's calibration and these the policy becomes the same
    bytes again.
    """

    recovered_from: Digest
    method: str
    epochs: Annotated[int, Field(ge=0)]
    steps: Annotated[int, Field(ge=0)]
    seed: int
    data_digest: Digest
    started_from: Digest | None
    seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)]
    weights_digest: Digest


class Manifest(Facts):
    """A bundle's manifest.

    Attributes:
        name: What the network is called.
        digest: SHA-256 of `model.onnx`.
        fp32_digest: SHA-256 of `fp32.onnx`, the network that it was made from.
        policy_digest: Of the policy, as `compress.policy` has it.
        policy_summary: The policy in a few words.
        trial: The trial's number in the run.
        versions: Library versions on the host that searched.
        engine: What `engine.plan` is for; None where there is none.
        recovery: How its weights were recovered; None where they are what the policy gives.
        notes: What whoever ships this should know.
    """

    format_version: Literal[2] = 2
    name: str
    created_at: str
    digest: Digest
    fp32_digest: Digest
    policy_digest: Digest
    policy_summary: str
    trial: int
    files: Mapping[InnerPath, FileFacts]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    session: SessionSettings
    workload: WorkloadFacts
    target: TargetFacts
    versions: Mapping[str, str]
    latency: Latency
    accuracy: AccuracyFacts
    promises: Promises
    recipe: Recipe
    engine: Mapping[str, Any] | None = None
    recovery: RecoveryFacts | None = None
    notes: tuple[str, ...] = ()

    def to_json(self) -> bytes:
        """The file's content; `recovery` is in it where there is one."""
        document = self.model_dump(mode="json", exclude={"recovery"} if self.recovery is None else None)
        return json.dumps(document, indent=1, sort_keys=True, allow_nan=False).encode()


class CandidateManifest(BaseModel):
    """The manifest of format 1: a candidate's folder in a run. What else it says of the run is kept as it is."""

    model_config = ConfigDict(frozen=True, extra="allow")

    format_version: Literal[1]
    digest: Digest
    files: Mapping[InnerPath, FileFacts]
    session_entries: Mapping[str, str]


def read_manifest(data: bytes) -> Manifest | CandidateManifest:
    """Read the manifest of an exported bundle, or of a candidate's folder.

    Raises:
        BundleError: A newer paretune wrote it.
        DamagedBundleError: It is no manifest, or one that says what no paretune would write.
    """
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise DamagedBundleError(f"{MANIFEST_FILE} is damaged or cut off: {error}; export the bundle again") from error
    version = document.get("format_version") if isinstance(document, dict) else None
    if not isinstance(version, int) or isinstance(version, bool):
        raise DamagedBundleError(f"{MANIFEST_FILE} lacks format_version, got {version!r}; is this a bundle?")
    if version > FORMAT_VERSION:
        raise BundleError(
            f"the bundle has format_version {version}, this paretune reads up to {FORMAT_VERSION}; upgrade paretune"
        )
    try:
        return (CandidateManifest if version == 1 else Manifest).model_validate(document)
    except ValidationError as error:
        problem = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in problem["loc"])
        message = problem["msg"].removeprefix("Value error, ")
        raise DamagedBundleError(
            f"{MANIFEST_FILE}: {where}: {message[:1].lower()}{message[1:]}, got {_short(problem['input'])}"
        ) from error


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
