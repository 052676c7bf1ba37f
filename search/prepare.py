"""From a workload and a target to everything that trials need; each step is done once per run and kept."""

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from compress.equalization_choice import equalized_if_better
from compress.formats.scheme import SCHEMES
from compress.network import Network, load_network
from compress.range_choice import choose_range_method
from compress.statistics.activation_ranges import RANGE_METHODS
from compress.statistics.calibration import Calibration, calibrate
from compress.statistics.calibration_file import load_calibration, save_calibration
from compress.stitch import Compressor
from compress.variants import VariantStore
from compress.whole_file import PARTIAL_SUFFIX
from hwprofiles import HardwareProfile
from search.folder.disk_errors import disk_errors
from search.folder.run_folder import RunFolder, damaged
from search.progress import Listener, Progress
from search.space.left_out import formats_left_out, words_of_left_out
from search.space.space import SearchSpace, build_space
from search.stages import StageClock
from workloads import Workload

RANGES_VERSION = 1
"""The `format_version` of `ranges.json`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """What a run works on.

    Attributes:
        workload: The user's network, data and metric.
        profile: The target.
        network: The normalized FP32 network.
        compressor: Builds its candidates for the target.
        space: The policies worth trying.
    """

    workload: Workload
    profile: HardwareProfile
    network: Network
    compressor: Compressor
    space: SearchSpace


def prepare(
    workload: Workload,
    profile: HardwareProfile,
    folder: RunFolder,
    *,
    threads: int,
    memory_bytes: int,
    stages: StageClock,
    listener: Listener,
) -> Prepared:
    """Read the network, calibrate it and lay out the space; what the folder holds already is read back.

    Raises:
        CompressionError: The network cannot be read or calibrated.
        RunFolderError: The folder belongs to another run.
    """
    with stages.stage("export"):
        network = _read_network(workload, profile, folder, threads)
        listener(Progress(stage="export", done=1, total=1))
    with stages.stage("calibration"):
        calibration = _read_calibration(workload, network, folder, threads, memory_bytes, listener)
    with stages.stage("compressor"):
        compressor = _make_compressor(workload, profile, network, calibration, folder, threads)
    left_out = formats_left_out(network.layers, profile)
    for line in words_of_left_out(left_out, network.layers, profile):
        listener(Progress(stage="calibration", done=1, total=1, note=line))
    space = build_space(
        network.layers,
        compressor.groups.values(),
        formats=compressor.formats,
        patterns=profile.sparsity.patterns,
        channel_multiple=profile.sparsity.channel_multiple,
        cannot_pay=left_out,
    )
    return Prepared(workload=workload, profile=profile, network=network, compressor=compressor, space=space)


def _read_network(workload: Workload, profile: HardwareProfile, folder: RunFolder, threads: int) -> Network:
    """The network, always from the stored bytes: a resumed run must build the same candidates as the first session."""
    example = workload.calibration[0]
    if not folder.network_path.is_file():
        network = load_network(workload.network(), example)
        scheme = SCHEMES.get(profile.formats.int8_scheme)
        if scheme is not None and "int8" in profile.formats.offered:
            network = equalized_if_better(network, workload.calibration, scheme, threads=threads)
        folder.write(folder.network_path, network.onnx_bytes)
    return load_network(folder.network_path.read_bytes(), example)


def _read_calibration(
    workload: Workload, network: Network, folder: RunFolder, threads: int, memory_bytes: int, listener: Listener
) -> Calibration:
    if folder.calibration_path.is_file():
        return load_calibration(folder.calibration_path)
    total = sum(len(next(iter(feeds.values()))) for feeds in workload.calibration)

    def tick(done: int) -> None:
        listener(Progress(stage="calibration", done=done, total=total))

    calibration = calibrate(network, workload.calibration, threads=threads, limit_bytes=memory_bytes, progress=tick)
    # In the run's folder, not the system's temporary one: that may be small, and a full disk must be named rightly.
    with disk_errors(folder.path), _scratch(folder) as scratch:
        archive = Path(scratch) / folder.calibration_path.name
        save_calibration(calibration, archive)
        with archive.open("rb") as written:
            os.fsync(written.fileno())
        archive.replace(folder.calibration_path)
    return calibration


def _make_compressor(
    workload: Workload,
    profile: HardwareProfile,
    network: Network,
    calibration: Calibration,
    folder: RunFolder,
    threads: int,
) -> Compressor:
    """The compressor, its finished weights kept in the run's folder, its ranges chosen once per run."""
    formats, scheme = profile.formats, SCHEMES.get(profile.formats.int8_scheme)
    compressor = Compressor(
        network,
        calibration,
        scheme,
        channel_multiple=profile.sparsity.channel_multiple,
        formats=formats.offered,
        weight_block=formats.weight_block_size,
        accuracy_level=4 if formats.weight_only_compute == "int8" else 1,
        store=VariantStore(folder=folder.variants_path),
        threads=threads,
    )
    if "int8" not in compressor.formats:
        return compressor
    method = folder.read_json(folder.ranges_path, RANGES_VERSION).get("range_method")
    if method is None:
        method = choose_range_method(compressor, workload.calibration, threads=threads)
        folder.write(folder.ranges_path, json.dumps({"format_version": RANGES_VERSION, "range_method": method}))
    if method not in RANGE_METHODS:
        raise damaged(folder.ranges_path, f"no way of choosing ranges is called {method!r}")
    return compressor.with_range_method(method)


def _scratch(folder: RunFolder) -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(dir=folder.path, prefix=".calibration.", suffix=PARTIAL_SUFFIX)
