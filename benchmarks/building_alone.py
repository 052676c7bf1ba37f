"""Builds one policy in a process of its own, and prints its digest and the memory that took.

Started by `benchmarks.compression` with a folder that holds `network.onnx`, `calibration.npz` and `policy.json`, and
where the variant store lies.
"""

import gc
import json
import sys
from pathlib import Path

from compress.formats.scheme import SCHEMES
from compress.network import load_network
from compress.policy import Policy
from compress.statistics.calibration_file import load_calibration
from compress.stitch import Compressor
from compress.variants import VariantStore
from workloads import load


def main() -> None:
    """Build once; the store in the folder is empty for the first process and full for the next."""
    folder, name, scheme, method, multiple = sys.argv[1:]
    example = load(name).calibration[0]
    network = load_network(Path(folder, "network.onnx").read_bytes(), example)
    calibration = load_calibration(Path(folder, "calibration.npz"))
    compressor = Compressor(
        network,
        calibration,
        SCHEMES[scheme],
        channel_multiple=int(multiple),
        range_method=method,
        store=VariantStore(folder=Path(folder, "variants")),
    )
    policy = Policy.from_json(Path(folder, "policy.json").read_text())
    gc.collect()
    _forget_peak()
    before = _status_bytes("VmRSS")
    candidate = compressor.build(policy)
    print(json.dumps({"digest": candidate.digest, "peak_bytes": _status_bytes("VmHWM") - before}))


def _forget_peak() -> None:
    """Let the kernel's record of the process's largest size begin anew."""
    Path("/proc/self/clear_refs").write_text("5")


def _status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024 * int(next(line for line in lines if line.startswith(f"{field}:")).split()[1])


if __name__ == "__main__":
    main()
