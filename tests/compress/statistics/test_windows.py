"""Windows are what ONNX Runtime's convolution multiplies its kernel with, whatever its geometry."""

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import helper

from compress.runtime import open_session
from compress.statistics.windows import Window


@st.composite
def geometries(draw: st.DrawFn) -> tuple[tuple[int, ...], dict[str, object]]:
    """A kernel and the attributes of a Conv on 1 to 3 axes."""
    axes = draw(st.integers(1, 3))

    def each(low: int, high: int) -> list[int]:
        return draw(st.lists(st.integers(low, high), min_size=axes, max_size=axes))

    kernel, attributes = tuple(each(1, 3)), {"strides": each(1, 3)}
    auto_pad = draw(st.sampled_from(["NOTSET", "NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto_pad == "NOTSET":
        return kernel, {**attributes, "dilations": each(1, 2), "pads": each(0, 2) + each(0, 2)}
    # ONNX Runtime pads SAME for kernels that are not dilated only.
    return kernel, {**attributes, "auto_pad": auto_pad}


@settings(deadline=None, max_examples=60, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(geometries(), st.sampled_from([1, 2]), st.integers(0, 99))
def test_windows_answer_like_the_runtime(
    geometry: tuple[tuple[int, ...], dict[str, object]], groups: int, seed: int
) -> None:
    kernel, attributes = geometry
    random = np.random.default_rng(seed)
    x = random.normal(size=(2, 2 * groups, *(random.integers(5, 8) for _ in kernel))).astype(np.float32)
    weight = random.normal(size=(3 * groups, 2, *kernel)).astype(np.float32)
    output = _convolve(x, weight, groups, attributes)
    node = ir.Node("", "Conv", [], ir.convenience.convert_attributes(attributes))  # type: ignore[arg-type]
    cut = Window.of(node, weight.shape).sample(x, 10**6, random)
    rows = cut.reshape(len(cut), groups, -1)
    found = np.einsum("ngk,grk->ngr", rows, weight.reshape(groups, 3, -1)).reshape(len(cut), -1)
    np.testing.assert_allclose(found, np.moveaxis(output, 1, -1).reshape(-1, 3 * groups), rtol=1e-4, atol=1e-4)


def _convolve(x: np.ndarray, weight: np.ndarray, groups: int, attributes: dict[str, object]) -> np.ndarray:
    node = helper.make_node("Conv", ["x", "w"], ["y"], group=groups, **attributes)
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, x.shape)],
        [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * x.ndim)],
        [onnx.numpy_helper.from_array(weight, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    output: np.ndarray = open_session(model.SerializeToString(), optimize=False).run(None, {"x": x})[0]
    return output


def _window() -> Window:
    return Window(kernel=(3,), strides=(1,), dilations=(1,), pads=((1, 1),), auto_pad="NOTSET")


def test_a_sample_is_some_of_all_windows_in_their_order() -> None:
    x = np.arange(40, dtype=np.float32).reshape(2, 1, 20)
    everything = _window().sample(x, 100, np.random.default_rng(0))
    assert everything.shape == (40, 1, 3)
    some = _window().sample(x, 12, np.random.default_rng(0))
    places = [int(np.flatnonzero((everything == window).all(axis=(1, 2)))[0]) for window in some]
    assert places == sorted(set(places))
    assert len(places) == 12
    np.testing.assert_array_equal(some, _window().sample(x, 12, np.random.default_rng(0)))


@pytest.mark.parametrize("count", [1, 39, 40, 41])
def test_no_more_than_there_are(count: int) -> None:
    x = np.zeros((2, 1, 20), np.float32)
    assert len(_window().sample(x, count, np.random.default_rng(0))) == min(count, 40)
