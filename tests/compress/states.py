"""Layers on their way, with the statistics that given inputs have."""

import numpy as np

from compress.layers import Layer
from compress.statistics.moments import MomentSums
from compress.statistics.responses import Responses
from compress.statistics.windows import Window
from compress.weight_rows import to_rows
from compress.weights.layer_state import LayerState


def layer_of(op_type: str, shape: tuple[int, ...], *, output_axis: int = 0, groups: int = 1) -> Layer:
    """A layer with a weight of that shape."""
    return Layer(
        name="layer",
        node_name="layer",
        op_type=op_type,
        weight_name="weight",
        weight_shape=shape,
        output_axis=output_axis,
        groups=groups,
        macs=100 * int(np.prod(shape)),
    )


def matrix_state(
    weight: np.ndarray, x: np.ndarray, bias: np.ndarray | None, *, output_axis: int = 1, op_type: str = "Gemm"
) -> LayerState:
    """A matrix layer that reads `x`, shape (n, in)."""
    layer = layer_of(op_type, weight.shape, output_axis=output_axis)
    return _state(layer, weight, x[:, None, :], bias)


def convolution_state(weight: np.ndarray, x: np.ndarray, bias: np.ndarray, *, groups: int = 1) -> LayerState:
    """A convolution without padding that reads `x`, shape (n, in, height, width)."""
    layer = layer_of("Conv", weight.shape, groups=groups)
    kernel = weight.shape[2:]
    ones = (1,) * len(kernel)
    window = Window(kernel=kernel, strides=ones, dilations=ones, pads=((0, 0),) * len(kernel), auto_pad="NOTSET")
    cut = window.sample(x, 10**6, np.random.default_rng(0))
    return _state(layer, weight, cut.reshape(len(cut), groups, -1), bias)


def _state(layer: Layer, weight: np.ndarray, rows: np.ndarray, bias: np.ndarray | None) -> LayerState:
    """Rows of shape (n, G, K)."""
    inputs = rows.swapaxes(0, 1).astype(np.float32)
    sums = MomentSums(*inputs.shape[::2])
    sums.add(inputs)
    answers = np.einsum("gnk,grk->ngr", inputs, to_rows(layer, weight)).reshape(rows.shape[0], -1)
    answers = answers + (0 if bias is None else bias)
    responses = Responses(
        mean=answers.mean(axis=0).astype(np.float32),
        covariance=np.cov(answers.T, bias=True).astype(np.float32).reshape(2 * (layer.output_channels,)),
        rows=answers.astype(np.float32),
    )
    return LayerState(
        layer=layer,
        weight=weight.astype(np.float32),
        bias=None if bias is None else bias.astype(np.float32),
        moments=sums.moments(),
        responses=responses,
    )


def mean_answer(state: LayerState) -> np.ndarray:
    """What the layer answers on average, bias included."""
    return state.mean_output(state.rows) + (0 if state.bias is None else state.bias)


def correlated_images(seed: int = 0, channels: int = 6) -> np.ndarray:
    """Images whose channels and neighbouring pixels go together, with means of their own."""
    random = np.random.default_rng(seed)
    sources = random.normal(size=(12, 3, 9, 9))
    smooth = sources[:, :, :8, :8] + sources[:, :, 1:, :8] + sources[:, :, :8, 1:]
    mixed = np.einsum("cs,nshw->nchw", random.normal(size=(channels, 3)), smooth)
    images = mixed + 0.3 * random.normal(size=mixed.shape) + random.normal(size=(channels, 1, 1))
    return images.astype(np.float32)
