"""A graph in torch answers as ONNX Runtime does, or says which operator it has not."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from compress.recovery.errors import UntrainableError
from compress.recovery.torch_graph.graph import TorchGraph
from tests.compress.conftest import Loaded

CPU = torch.device("cpu")


def _feeds(loaded: Loaded) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in loaded.case.example.items()}


def test_answers_are_those_of_onnx_runtime(loaded: Loaded) -> None:
    unknown = {"ConvTranspose", "If", "IsNaN", "LSTM", "QuantizeLinear", "Resize"}
    types = {node.op_type for node in loaded.network.model.graph}
    if types & unknown:
        with pytest.raises(UntrainableError, match="|".join(types & unknown)):
            TorchGraph(loaded.network.model, {}, CPU)
        return
    graph = TorchGraph(loaded.network.model, {}, CPU)
    with torch.no_grad():
        answers = graph(_feeds(loaded))
    for name, wanted in zip(graph.output_names, loaded.outputs, strict=True):
        found = answers[name].numpy()
        assert found.dtype == wanted.dtype
        # Half precision sums in another order than float32 does.
        precise = not types & {"Cast"}
        np.testing.assert_allclose(found, wanted, rtol=1e-4 if precise else 5e-3, atol=1e-4 if precise else 5e-3)


def test_every_learned_weight_gets_a_gradient(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    weights = {
        layer.weight_name: nn.Parameter(
            torch.from_numpy(np.array(loaded.network.model.graph.initializers[layer.weight_name].const_value.numpy()))  # type: ignore[union-attr]
        )
        for layer in loaded.network.layers
    }
    answers = TorchGraph(loaded.network.model, weights, CPU)(_feeds(loaded))
    sum(answer.square().sum() for answer in answers.values()).backward()  # type: ignore[union-attr]
    assert all(weight.grad is not None and bool(weight.grad.abs().sum() > 0) for weight in weights.values())


def test_an_inner_tensor_can_be_asked_for(load: Callable[[str], Loaded]) -> None:
    loaded = load("residual")
    inner = loaded.network.model.graph[0].outputs[0].name or ""
    with torch.no_grad():
        answers = TorchGraph(loaded.network.model, {}, CPU)(_feeds(loaded), [inner])
    assert answers[inner].shape[0] == len(next(iter(loaded.case.example.values())))
