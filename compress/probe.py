"""Measuring inside a network: a copy of its graph whose outputs are statistics of its tensors."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.graph import add_initializer, derived
from compress.network import serialize
from compress.runtime import open_session

Feeds = Mapping[str, NDArray[Any]]
Statistic = Literal["min", "max", "sum"]

_COMBINE: Mapping[Statistic, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum, "sum": np.add}


@dataclass(frozen=True, kw_only=True)
class Reading:
    """One statistic of one tensor; over batches, minima and maxima are taken and sums are added."""

    name: str
    statistic: Statistic


class Probe:
    """A clone of a graph to hang statistics on; only they are computed and returned, whatever the batch size.

    Args:
        model: The network; left as it was.
    """

    def __init__(self, model: ir.Model) -> None:
        self._model = model.clone()
        self._outputs: dict[Reading, ir.Value] = {}

    @property
    def graph(self) -> ir.Graph:
        """The clone's graph, to find tensors in and to append operators to."""
        return self._model.graph

    def apply(self, op_type: str, inputs: list[ir.Value], name: str, **attributes: Any) -> ir.Value:
        """Append an operator called `name` and return what it writes."""
        node = ir.node(op_type, inputs, attributes=attributes, name=name)
        node.outputs[0].name = f"{name}_out"
        node.outputs[0].type = ir.TensorType(ir.DataType.INT64 if op_type == "Size" else ir.DataType.FLOAT)
        self.graph.append(node)
        return node.outputs[0]

    def constant(self, name: str, array: NDArray[Any]) -> ir.Value:
        """A constant of the clone."""
        return add_initializer(self.graph, name, array)

    def read(self, name: str, statistic: Statistic, value: ir.Value) -> None:
        """Return `value`, a statistic of one batch, as the reading (`name`, `statistic`)."""
        self._outputs[Reading(name=name, statistic=statistic)] = value

    def read_extremes(self, name: str, value: ir.Value, axes: tuple[int, ...] | None = None) -> None:
        """Read the lowest and highest entry of `value` along `axes`; along all of them when None."""
        readings: tuple[tuple[Statistic, str], ...] = (("min", "ReduceMin"), ("max", "ReduceMax"))
        for statistic, op_type in readings:
            inputs, attributes = [value], {"keepdims": 0}
            if axes is not None and self.graph.opset_imports[""] >= 18:
                inputs.append(self.constant(derived(value.name or "", f"{op_type}_axes"), np.array(axes)))
            elif axes is not None:
                attributes["axes"] = axes  # type: ignore[assignment]  # integers and lists of them alike
            reduced = self.apply(op_type, inputs, derived(value.name or "", op_type), **attributes)
            self.read(name, statistic, reduced)

    def sweep(
        self, batches: Iterable[Feeds], *, threads: int, progress: Callable[[int], None] | None = None
    ) -> dict[Reading, NDArray[Any]]:
        """Run all batches and return every reading.

        Args:
            batches: Inputs by name, first axis the batch.
            threads: CPU threads to run on.
            progress: Called with the number of samples done, after each batch.

        Raises:
            CompressionError: There is no data, or the network does not run on it.
        """
        self.graph.outputs.clear()
        self.graph.outputs.extend(self._outputs.values())
        session = open_session(serialize(self._model), threads=threads) if self._outputs else None
        found: dict[Reading, NDArray[Any]] = {}
        count = 0
        for feeds in batches:
            results = _run(session, [value.name for value in self._outputs.values()], feeds) if session else []
            for reading, result in zip(self._outputs, results, strict=True):
                found[reading] = _combined(reading.statistic, found.get(reading), result)
            count += len(next(iter(feeds.values()))) if feeds else 0
            if progress is not None:
                progress(count)
        if count == 0:
            raise CompressionError("calibration() gave no samples; it must yield at least one batch of inputs")
        return found


def _combined(statistic: Statistic, earlier: NDArray[Any] | None, batch: NDArray[Any]) -> NDArray[Any]:
    # Sums over many batches lose their last digits in float32.
    array = batch.astype(np.float64) if statistic == "sum" else np.asarray(batch)
    return array if earlier is None else np.asarray(_COMBINE[statistic](earlier, array))


def _run(session: Any, output_names: list[Any], feeds: Feeds) -> list[NDArray[np.float32]]:
    try:
        results: list[NDArray[np.float32]] = session.run(output_names, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CompressionError(f"the network does not run on the calibration data: {first_line}") from error
    return results
