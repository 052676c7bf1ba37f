"""A TensorRT engine's context with its inputs and outputs on the GPU."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from latency.worker.engine import EngineError, check_names
from latency.worker.tensorrt_build import create, require

if TYPE_CHECKING:
    from collections.abc import Mapping

    from latency.worker.cuda_driver import Gpu


class BoundContext:
    """An execution context whose tensors all have a shape and a place on the GPU.

    Args:
        trt: the ``tensorrt`` or ``tensorrt_rtx`` module.
        engine: the deserialized engine.
        context: a context of it that nobody else uses.
        gpu: where it runs, and in whose stream.
        log: from ``make_log``, the one of the engine.
        inputs: input name to array.

    Raises:
        EngineError: names, types or shapes do not fit the engine, or an output's shape depends on values.
    """

    def __init__(
        self, trt: Any, engine: Any, context: Any, gpu: Gpu, log: Any, inputs: Mapping[str, np.ndarray]
    ) -> None:
        self._trt, self._engine, self._gpu, self._log = trt, engine, gpu, log
        self.context = context
        check_names(self._names(trt.TensorIOMode.INPUT), inputs)
        self.inputs = {name: np.ascontiguousarray(array) for name, array in inputs.items()}
        self._set_shapes()
        self.outputs = {name: self._output(name) for name in self._names(trt.TensorIOMode.OUTPUT)}
        self._addresses: dict[str, int] = {}
        try:
            for name, array in {**self.inputs, **self.outputs}.items():
                self._addresses[name] = gpu.allocate(array.nbytes)
                accepted = context.set_tensor_address(name, self._addresses[name])
                require(accepted, f"take an address for '{name}'", log, kind="inference")
            self._upload(self.inputs)
        except EngineError:
            self.free()
            raise

    def enqueue(self) -> None:
        """Puts one inference on the bound inputs into the GPU's stream.

        Raises:
            EngineError: TensorRT refuses.
        """
        if not self.context.execute_async_v3(self._gpu.stream):
            require(None, "run the engine", self._log, kind="inference")

    def infer(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """One inference on other inputs of the bound shapes: output name to array.

        Raises:
            EngineError: names, types or shapes are not the bound ones.
        """
        check_names(list(self.inputs), inputs)
        arrays = {name: np.ascontiguousarray(inputs[name]) for name in self.inputs}
        for name, bound in self.inputs.items():
            given = arrays[name]
            if given.shape != bound.shape or given.dtype != bound.dtype:
                msg = (
                    f"the engine was built for input '{name}' as {bound.dtype} {bound.shape}, "
                    f"got {given.dtype} {given.shape}; pass that, or bind other inputs"
                )
                raise EngineError(msg, kind="inputs")
        try:
            self._upload(arrays)
            self.enqueue()
            outputs = {name: np.empty_like(array) for name, array in self.outputs.items()}
            for name, array in outputs.items():
                self._gpu.download(array, self._addresses[name])
        finally:
            self._upload(self.inputs)  # what is timed stays what was bound
        return outputs

    def free(self) -> None:
        """Gives the places on the GPU back."""
        while self._addresses:
            self._gpu.free(self._addresses.popitem()[1])

    def _set_shapes(self) -> None:
        for name, array in self.inputs.items():
            wanted = self._dtype(name)
            if array.dtype != wanted:
                msg = f"input '{name}' must be {wanted}, got {array.dtype}; convert it"
                raise EngineError(msg, kind="inputs")
            accepted = self.context.set_input_shape(name, array.shape)
            require(accepted, f"take shape {array.shape} for input '{name}'", self._log, kind="inputs")
        missing = create(self.context.infer_shapes, "infer shapes", self._log, kind="model_refused")
        if missing:
            msg = f"TensorRT cannot tell all shapes from the inputs'; not specified: {', '.join(missing)}"
            raise EngineError(msg, kind="model_refused")

    def _output(self, name: str) -> np.ndarray:
        shape = tuple(self.context.get_tensor_shape(name))
        if any(axis < 0 for axis in shape):
            msg = (
                f"the shape {shape} of output '{name}' depends on the inputs' values, so its place on the GPU cannot "
                "be set before the run; export the model with outputs of known shape"
            )
            raise EngineError(msg, kind="model_refused")
        return np.empty(shape, self._dtype(name))

    def _upload(self, arrays: Mapping[str, np.ndarray]) -> None:
        for name, array in arrays.items():
            self._gpu.upload(self._addresses[name], array)

    def _names(self, mode: Any) -> list[str]:
        engine = self._engine
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        return [name for name in names if engine.get_tensor_mode(name) == mode]

    def _dtype(self, name: str) -> np.dtype[Any]:
        element = self._engine.get_tensor_dtype(name)
        try:
            dtype: np.dtype[Any] = np.dtype(self._trt.nptype(element))
        except TypeError as error:
            msg = f"'{name}' is {element}, which numpy does not have; give the model inputs and outputs that it has"
            raise EngineError(msg, kind="model_refused") from error
        return dtype
