"""From a workload and a target to everything that trials need; each step is done once per run and kept."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from compress.calibration import Calibration, calibrate, load_calibration, save_calibration
from compress.network import Network, load_network
from compress.scheme import SCHEMES
from compress.stitch import Compressor
from hwprofiles import HardwareProfile
from search.progress import Listener, Progress
from search.run_folder import RunFolder, disk_errors
from search.space import SearchSpace, build_space
from search.stages import StageClock
from workloads import Workload


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
    stages: StageClock,
    listener: Listener,
) -> Prepared:
    """Read the network, calibrate it and lay out the space; what the folder holds already is read back.

    Raises:
        CompressionError: The network cannot be read or calibrated.
        RunFolderError: The folder belongs to another run.
    """
    with stages.stage("export"):
        network = _read_network(workload, folder)
        listener(Progress(stage="export", done=1, total=1))
    with stages.stage("calibration"):
        calibration = _read_calibration(workload, network, folder, threads, listener)
    scheme = SCHEMES.get(profile.formats.int8_scheme)
    multiple = profile.sparsity.channel_multiple
    compressor = Compressor(network, calibration, scheme, rank_multiple=multiple)
    bits = profile.formats.weight_bits if scheme is not None else (32,)
    space = build_space(network.layers, weight_bits=bits, rank_multiple=multiple)
    return Prepared(workload=workload, profile=profile, network=network, compressor=compressor, space=space)


def _read_network(workload: Workload, folder: RunFolder) -> Network:
    """The network, always from the stored bytes: a resumed run must build the same candidates as the first session."""
    example = workload.calibration[0]
    if not folder.network_path.is_file():
        folder.write(folder.network_path, load_network(workload.network(), example).onnx_bytes)
    return load_network(folder.network_path.read_bytes(), example)


def _read_calibration(
    workload: Workload, network: Network, folder: RunFolder, threads: int, listener: Listener
) -> Calibration:
    if folder.calibration_path.is_file():
        return load_calibration(folder.calibration_path)
    total = 2 * sum(len(next(iter(feeds.values()))) for feeds in workload.calibration)

    def tick(done: int) -> None:
        listener(Progress(stage="calibration", done=done, total=total))

    calibration = calibrate(network, workload.calibration, threads=threads, progress=tick)
    with disk_errors(folder.path), tempfile.TemporaryDirectory(prefix="paretune-") as scratch:
        archive = Path(scratch) / folder.calibration_path.name
        save_calibration(calibration, archive)
        folder.write(folder.calibration_path, archive.read_bytes())
    return calibration
