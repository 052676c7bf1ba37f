"""`paretune apply`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from compress.network import Network
    from compress.policy import Policy
    from compress.statistics.calibration import Calibration
    from deploy.manifest import Manifest
    from workloads import Feeds


def apply(
    model: Annotated[
        Path, typer.Argument(metavar="MODEL", help="The FP32 network: a bundle's fp32.onnx, or any ONNX file.")
    ],
    policy: Annotated[Path, typer.Argument(metavar="POLICY", help="A bundle's policy.json, or one edited from it.")],
    *,
    out: Annotated[Path, typer.Option(help="The ONNX file to write.")],
    recipe: Annotated[
        Path | None,
        typer.Option(
            metavar="MANIFEST",
            help="The manifest.json that tells how candidates were built (8-bit scheme, block sizes, ranges). "
            "Default: the one beside POLICY.",
        ),
    ] = None,
    calibration: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|WORKLOAD",
            help="The run's calibration.npz, for the same bytes; or a workload, to calibrate anew. Default: the "
            "calibration.npz beside POLICY (paretune export --with-calibration).",
        ),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Of a recovered candidate: its weights, the run's recovered/DIGEST.safetensors. Default: the "
            "recovered.safetensors beside POLICY (paretune export --with-calibration).",
        ),
    ] = None,
) -> None:
    """Apply a policy to an FP32 network again.

    Weights are rounded, masked and factorized by what the calibration data did inside the network, so the same bytes
    need the same calibration: the one whose SHA-256 the manifest names. With another network, policy or workload the
    result is a new network, and nobody has measured it.

    For example:

        paretune apply bundle/fp32.onnx bundle/policy.json --calibration results/demo/calibration.npz --out again.onnx

        paretune apply bundle/fp32.onnx bundle/policy.json --weights results/demo/recovered/DIGEST.safetensors \
            --calibration results/demo/calibration.npz --out again.onnx

        paretune apply retrained.onnx bundle/policy.json --calibration my_workload.py --out compressed.onnx
    """
    from compress.policy import Policy
    from deploy.manifest import CALIBRATION_FILE, MANIFEST_FILE
    from deploy.reapply import apply_policy, apply_recovered, require_same_bytes
    from deploy.whole_folder import write_file
    from search.cli.inputs import require_folder

    require_folder(out, "--out")
    manifest = _read_manifest(recipe or policy.parent / MANIFEST_FILE)
    chosen = Policy.from_json(policy.read_text())
    recovered = _find_weights(weights, policy, manifest, chosen)
    source = calibration or str(policy.parent / CALIBRATION_FILE)
    network, statistics, is_new = _prepare(model, source, manifest)
    if recovered is None:
        candidate = apply_policy(chosen, manifest.recipe, network, statistics)
    else:
        candidate = apply_recovered(recovered, chosen, manifest.recipe, network, statistics)
    is_same = not is_new and network.digest == manifest.fp32_digest and chosen.digest == manifest.policy_digest
    if is_same:
        require_same_bytes(candidate, manifest)
    write_file(out, candidate.onnx_bytes)
    what = "the same bytes as the bundle's" if is_same else "a network that nobody has measured or validated"
    typer.echo(f"{out}: {candidate.digest[:12]}, {what}")
    for key, value in candidate.session_entries.items():
        typer.echo(f"it needs the session entry {key} = {value}")


def _find_weights(given: Path | None, beside: Path, manifest: "Manifest", policy: "Policy") -> Path | None:
    """The file of recovered weights; None where the policy alone says what becomes of the network."""
    from deploy.manifest import RECOVERED_FILE

    if given is not None or manifest.recovery is None or policy.digest != manifest.policy_digest:
        return given
    kept = beside.parent / RECOVERED_FILE
    if kept.is_file():
        return kept
    raise typer.BadParameter(
        "this candidate's weights were recovered after compression, and no policy says what they are; give --weights: "
        f"recovered/{manifest.digest}.safetensors of its run"
    )


def _read_manifest(path: Path) -> "Manifest":
    from deploy.manifest import Manifest, read_manifest

    if not path.is_file():
        raise typer.BadParameter(f"there is no {str(path)!r}; give a bundle's manifest.json with --recipe")
    manifest = read_manifest(path.read_bytes())
    if not isinstance(manifest, Manifest):
        raise typer.BadParameter(f"{str(path)!r} is of a candidate's folder and has no recipe; export it first")
    return manifest


def _prepare(model: Path, source: str, manifest: "Manifest") -> "tuple[Network, Calibration, bool]":
    """The network, its calibration, and whether that was taken anew."""
    from compress.statistics.calibration import calibrate
    from deploy.reapply import example_of, read_recipe_calibration
    from workloads import load

    if source.endswith(".npz"):
        if not Path(source).is_file():
            raise typer.BadParameter(
                f"there is no {source!r}; give --calibration: the run's calibration.npz, or a workload to calibrate on"
            )
        network = _read_network(model, manifest, example_of(manifest.recipe))
        if network.digest != manifest.fp32_digest:
            raise typer.BadParameter(
                f"{str(model)!r} is another network ({network.digest[:12]}) than the policy was made for "
                f"({manifest.fp32_digest[:12]}), and its calibration says nothing of it; give the bundle's fp32.onnx, "
                "or a workload to calibrate anew with --calibration"
            )
        return network, read_recipe_calibration(Path(source), manifest.recipe), False
    workload = load(source)
    network = _read_network(model, manifest, workload.calibration[0])
    return network, calibrate(network, workload.calibration), True


def _read_network(model: Path, manifest: "Manifest", example: "Feeds") -> "Network":
    """The network, as it is where it is the bundle's own: that is normalized already."""
    from hashlib import sha256

    from compress.network import load_network

    if not model.is_file():
        raise typer.BadParameter(f"there is no ONNX file {str(model)!r}")
    data = model.read_bytes()
    return load_network(data if sha256(data).hexdigest() == manifest.fp32_digest else model, example)
