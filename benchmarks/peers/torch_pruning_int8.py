"""Torch-Pruning, three epochs of training, and ONNX Runtime's static quantization: what a plain user does by hand.

Channels go by the magnitude of their groups, widths are rounded to multiples of 16, the pruned network is trained on
the images that trained the whole one, exported, and quantized with one scale per channel on the workload's calibration
inputs. Nothing is chosen on validation data.
"""

import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads import Workload

ROUND_TO = 16
BATCH_SIZE = 16
PEAK_LEARNING_RATE = 3e-3
LABEL_SMOOTHING = 0.1


def pruned_and_quantized(workload: Workload, *, ratio: float, epochs: int, seed: int = 0) -> bytes:
    """The 8-bit ONNX network of a classifier that has lost `ratio` of its channels.

    Args:
        workload: With a torch module of one input and `training()` that gives targets.
        ratio: Share of the channels of every group that goes, in (0, 1).
        epochs: Of training after pruning.
        seed: Of the orders drawn.
    """
    import torch
    import torch_pruning

    torch.manual_seed(seed)
    network: Any = workload.network()
    (name, array), *_ = workload.calibration[0].items()
    example = torch.from_numpy(array[:1])
    last = [module for module in network.modules() if isinstance(module, torch.nn.Linear)][-1:]
    pruner = torch_pruning.pruner.MagnitudePruner(
        network,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=ratio,
        ignored_layers=last,
        round_to=ROUND_TO,
    )
    pruner.step()
    _train(network, workload, epochs=epochs, seed=seed)
    with tempfile.TemporaryDirectory(prefix="paretune-peer-") as scratch:
        return _quantized(network.eval(), workload, name, Path(scratch))


def _train(network: Any, workload: Workload, *, epochs: int, seed: int) -> None:
    import torch

    assert workload.training is not None
    inputs, targets = _joined(workload.training())
    steps = -(-len(targets) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(network.parameters(), lr=PEAK_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, max_lr=PEAK_LEARNING_RATE, epochs=epochs, steps_per_epoch=steps
    )
    random = np.random.default_rng(seed)
    network.train()
    for _ in range(epochs):
        for chosen in np.array_split(random.permutation(len(targets)), steps):
            scores = network(torch.from_numpy(inputs[chosen]))
            wanted = torch.from_numpy(targets[chosen])
            loss = torch.nn.functional.cross_entropy(scores, wanted, label_smoothing=LABEL_SMOOTHING)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            optimizer.step()
            schedule.step()


def _joined(batches: Iterator[tuple[Mapping[str, NDArray[Any]], NDArray[Any]]]) -> tuple[NDArray[Any], NDArray[Any]]:
    pairs = [(next(iter(feeds.values())), targets) for feeds, targets in batches]
    return np.concatenate([pair[0] for pair in pairs]), np.concatenate([pair[1] for pair in pairs])


def _quantized(network: Any, workload: Workload, name: str, folder: Path) -> bytes:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
    from onnxruntime.quantization.shape_inference import quant_pre_process

    from compress.network import load_network

    class Calibration(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime ships no types
        def __init__(self) -> None:
            self._left = iter([{name: feeds[name]} for feeds in workload.calibration])

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            return next(self._left, None)

    whole, prepared, quantized = (folder / f"{stage}.onnx" for stage in ("whole", "prepared", "quantized"))
    whole.write_bytes(load_network(network, workload.calibration[0]).onnx_bytes)
    quant_pre_process(str(whole), str(prepared), skip_symbolic_shape=True)
    quantize_static(
        str(prepared),
        str(quantized),
        Calibration(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
    )
    return quantized.read_bytes()
