"""Writes compressed networks and what they answer, for tests on a machine with a GPU that has no compressor.

    python -m tests.latency.gpu.write_models FOLDER

Beside each ``NAME.onnx`` lies ``NAME.npz``: inputs as ``input/...``, and as ``output/...`` what ONNX Runtime answers
on the processor without optimizations, which is what the graph says.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from compress.candidate import Candidate
from compress.formats.scheme import SCHEMES
from compress.layers import Layer
from compress.network import load_network
from compress.policy import FORMATS, LayerPolicy, Policy
from compress.runtime import open_session
from compress.statistics.calibration import calibrate
from compress.stitch import Compressor
from compress.weight_rows import inputs_per_group
from compress.weights.mask_layer import takes_runs
from workloads import Workload, load

SAMPLES = 4
NAMES = ("fp32", "fp16", "int8", "mixed", "fp16-2:4", "int8-2:4")


def prepare() -> tuple[Workload, Compressor]:
    """The demo's network in the scheme that TensorRT takes, calibrated on one batch."""
    workload = load("mnist-resnet")
    network = load_network(workload.network(), workload.calibration[0])
    calibration = calibrate(network, workload.calibration[:1], threads=1)
    return workload, Compressor(network, calibration, SCHEMES["symmetric"], formats=("fp32", "fp16", "int8"))


def build(compressor: Compressor, name: str) -> Candidate:
    """One of ``NAMES``: all layers in one format; the formats in turn; or one with 2:4 masks in the first half."""
    layers = compressor.network.layers
    turn = ("int8", "fp16", "fp32")
    if name == "mixed":
        return compressor.build(Policy({layer.name: FORMATS[turn[i % 3]] for i, layer in enumerate(layers)}))
    form, _, pattern = name.partition("-")
    masked = replace(FORMATS[form], sparsity=0.5, sparsity_pattern="2:4")

    def choice(place: int, layer: Layer) -> LayerPolicy:
        fits = 2 * place < len(layers) and takes_runs(inputs_per_group(layer))
        return masked if pattern and fits else FORMATS[form]

    return compressor.build(Policy({layer.name: choice(place, layer) for place, layer in enumerate(layers)}))


def answers(candidate: Candidate, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What the graph says on the processor: output name to array."""
    session = open_session(candidate.onnx_bytes, optimize=False)
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(feeds)), strict=True))


def write_models(folder: Path) -> None:
    """Writes all of ``NAMES`` with their answers."""
    folder.mkdir(parents=True, exist_ok=True)
    workload, compressor = prepare()
    feeds = next(workload.search_part.batches(SAMPLES))[0]
    for name in NAMES:
        candidate = build(compressor, name)
        path = folder / f"{name.replace(':', '_')}.onnx"
        path.write_bytes(candidate.onnx_bytes)
        arrays = {f"input/{key}": array for key, array in feeds.items()}
        arrays.update({f"output/{key}": array for key, array in answers(candidate, feeds).items()})
        np.savez(path.with_suffix(".npz"), **arrays)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    write_models(parser.parse_args().folder)
