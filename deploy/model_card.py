"""`MODEL_CARD.md`: the bundle for people (Mitchell et al. 2019, "Model Cards for Model Reporting")."""

from collections import Counter
from collections.abc import Iterator

from compress.policy import Policy
from deploy.manifest import AccuracyFigure, LatencyFigure, Manifest, RecoveryFacts
from deploy.promises import MEGABYTE


def model_card(manifest: Manifest, policy: Policy) -> str:
    """The card's Markdown.

    Args:
        manifest: The bundle's; its list of files may be empty still.
        policy: What was done to each layer.
    """
    return "\n".join(
        [
            *_head(manifest),
            *_figures(manifest),
            *_layers(policy, manifest.recovery),
            *_use(manifest),
            *_origin(manifest),
            "",
        ]
    )


def _head(manifest: Manifest) -> Iterator[str]:
    latency = manifest.latency.confirmed
    yield f"# {_plain(manifest.name)}, compressed for {_plain(manifest.target.name)}"
    yield ""
    yield (
        f"{_plain(manifest.policy_summary) or 'FP32'}: {1 / latency.ratio:.2f} times as fast as FP32 on "
        f"{_plain(manifest.target.device)}, at {manifest.accuracy.confirmed.metric:.4g} "
        f"{_plain(manifest.workload.metric)} ({_drop(manifest, manifest.accuracy.confirmed)})."
    )
    yield ""


def _figures(manifest: Manifest) -> Iterator[str]:
    latency, accuracy, promises = manifest.latency, manifest.accuracy, manifest.promises
    yield "## Figures"
    yield ""
    yield "Intervals are 95%. Confirmed figures were taken afresh after the search, on samples that it never saw."
    yield ""
    yield "| | found | promised |"
    yield "|---|---|---|"
    yield f"| latency, confirmed | {_latency(latency.confirmed)} | {_at_most(promises.max_latency_ms, 'ms')} |"
    yield f"| latency, these bytes measured again | {_latency(latency.exported)} | |"
    yield f"| FP32 on the same device | {latency.fp32_ms:.4g} ms | |"
    least = "" if promises.min_speedup is None else f"at least {promises.min_speedup:.4g} times"
    yield f"| speedup | {1 / latency.confirmed.ratio:.3g} times | {least} |"
    drop = "" if promises.max_drop is None else f"at most {_amount(manifest, promises.max_drop)}"
    figure = accuracy.confirmed
    yield (
        f"| {_plain(manifest.workload.metric)} on {figure.samples} samples | {figure.metric:.4g}, "
        f"{_drop(manifest, figure)} | {drop} |"
    )
    if accuracy.on_target is not None:
        figure = accuracy.on_target
        yield f"| the same on the target, {figure.samples} samples | {figure.metric:.4g}, {_drop(manifest, figure)} | |"
    size = manifest.files["model.onnx"].bytes / MEGABYTE
    most = None if promises.max_size_bytes is None else promises.max_size_bytes / MEGABYTE
    yield f"| size of model.onnx | {size:.4g} MB | {_at_most(most, 'MB')} |"
    yield ""
    for note in manifest.notes:
        yield f"- {_plain(note)}"
    if manifest.notes:
        yield ""


def _layers(policy: Policy, recovery: RecoveryFacts | None) -> Iterator[str]:
    changed = {name: choice for name, choice in policy.layers.items() if not choice.is_identity}
    formats = Counter(choice.format for choice in policy.layers.values())
    yield "## What was done"
    yield ""
    yield ", ".join(f"{count} layers in {name}" for name, count in formats.most_common()) + "."
    yield ""
    if recovery is not None:
        trained = f", {recovery.epochs} epochs, seed {recovery.seed}" if recovery.epochs else ""
        yield (
            f"After compression the weights were recovered: {_plain(recovery.method)}{trained}, on the data "
            f"`{recovery.data_digest[:12]}`. Before that the network was `{recovery.recovered_from[:12]}`."
        )
        yield ""
    if not changed:
        return
    yield "| layer | format | sparsity | rank |"
    yield "|---|---|---|---|"
    for name, choice in changed.items():
        sparsity = f"{choice.sparsity:g} ({choice.sparsity_pattern})" if choice.sparsity else "–"
        rank = f"{choice.rank:g} of break-even" if choice.rank < 1.0 else "–"
        yield f"| {_plain(name)} | {choice.format} | {sparsity} | {rank} |"
    yield ""


def _use(manifest: Manifest) -> Iterator[str]:
    yield "## Use"
    yield ""
    yield "```"
    yield "python run.py inputs.npz outputs.npz   # numpy and onnxruntime are all it needs"
    yield "paretune verify .                      # files, latency and accuracy against what is promised here"
    yield "```"
    yield ""
    for kind, tensors in (("input", manifest.inputs), ("output", manifest.outputs)):
        for tensor in tensors:
            shape = ", ".join(str(axis) for axis in tensor.shape)
            yield f"- {kind} `{tensor.name}`: {tensor.dtype} ({shape})"
    yield ""
    yield (
        f"The figures hold for {manifest.target.engine.batch_size} sample(s) per inference and "
        f"{manifest.session.threads} thread(s) on the device named above, with the session settings in "
        "`manifest.json`; other devices run other kernels. Accuracy is known on data like the validation data. "
        f"`example.npz` holds {manifest.target.engine.batch_size} sample(s) of the workload's own data: what was timed."
    )
    yield ""


def _origin(manifest: Manifest) -> Iterator[str]:
    engine = manifest.engine
    yield "## Origin"
    yield ""
    yield f"- made {manifest.created_at} from trial {manifest.trial}, policy `{manifest.policy_digest[:12]}`"
    yield f"- network `{manifest.digest[:12]}` of FP32 network `{manifest.fp32_digest[:12]}`"
    yield f"- workload {_plain(manifest.workload.name)} `{manifest.workload.digest[:12]}`"
    yield f"- measured with {_plain(manifest.target.runtime)} on hardware `{manifest.target.hardware_id}`"
    if engine is not None:
        yield f"- `engine.plan` is for {_plain(str(engine.get('accelerator')))}, {_plain(str(engine.get('runtime')))}"
    versions = ", ".join(f"{name} {version}" for name, version in manifest.versions.items())
    yield f"- {versions}"


def _latency(figure: LatencyFigure) -> str:
    ratio = f"{figure.ratio:.3f} [{figure.ratio_low:.3f}, {figure.ratio_high:.3f}] of FP32"
    return f"{figure.ms:.4g} ms [{figure.ms_low:.4g}, {figure.ms_high:.4g}], {ratio} ({figure.grade})"


def _drop(manifest: Manifest, figure: AccuracyFigure) -> str:
    low, high = (_number(manifest, value) for value in (figure.drop_low, figure.drop_high))
    return f"{_amount(manifest, figure.drop)} below FP32 [{low}, {high}]"


def _amount(manifest: Manifest, drop: float) -> str:
    unit = " points" if manifest.workload.metric_is_fraction else ""
    return f"{_number(manifest, drop)}{unit}"


def _number(manifest: Manifest, drop: float) -> str:
    return f"{100 * drop:.2f}" if manifest.workload.metric_is_fraction else f"{drop:.4g}"


def _at_most(value: float | None, unit: str) -> str:
    return "" if value is None else f"at most {value:.4g} {unit}"


def _plain(text: str) -> str:
    """A user's text inside a table's cell: Markdown must not read it."""
    return text.replace("\\", "\\\\").replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
