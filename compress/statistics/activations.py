"""Running the FP32 network with its inner tensors laid open, a bounded number of bytes at a time."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from compress.errors import CompressionError
from compress.network import Network, serialize
from compress.runtime import open_session

Feeds = Mapping[str, NDArray[Any]]


def observe(
    network: Network,
    names: Iterable[str],
    batches: Sequence[Feeds],
    *,
    limit_bytes: int,
    threads: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Iterator[dict[str, NDArray[Any]]]:
    """The named tensors on all samples, a few samples at a time and in their order.

    Args:
        network: The network; left as it was.
        names: Inputs, outputs or inner tensors of its main graph.
        batches: Inputs by name, first axis the batch.
        limit_bytes: About as many bytes of tensors exist at once; one sample is always run.
        threads: CPU threads inside an operator.
        progress: Called with the number of samples done.

    Raises:
        CompressionError: ONNX Runtime does not load the network, or it does not take the data.
    """
    wanted = list(dict.fromkeys(names))
    given = {value.name for value in network.model.graph.inputs}
    inner = [name for name in wanted if name not in given]
    session = open_session(_with_outputs(network.model, inner), threads=threads)
    done, chunk = 0, 1
    for feeds in batches:
        count, start = sample_count(feeds), 0
        while start < count:
            part = {name: array[start : start + chunk] for name, array in feeds.items()}
            found = dict(zip(inner, _run(session, inner, part), strict=True)) if inner else {}
            found |= {name: part[name] for name in wanted if name in given}
            size = sample_count(part)
            start, done = start + size, done + size
            yield found
            per_sample = math.ceil(sum(array.nbytes for array in found.values()) / size)
            chunk = max(1, limit_bytes // max(1, per_sample))
            if progress is not None:
                progress(done)


def sample_count(feeds: Feeds) -> int:
    """Samples in a batch; none where it has no inputs."""
    return len(next(iter(feeds.values()), ()))


def _run(session: Any, names: list[str], feeds: Feeds) -> list[NDArray[Any]]:
    try:
        outputs: list[NDArray[Any]] = session.run(names, dict(feeds))
    except Exception as error:  # onnxruntime's exceptions share no public base class
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise CompressionError(f"the network does not run on the calibration data: {first_line}") from error
    return outputs


def _with_outputs(model: ir.Model, names: Sequence[str]) -> bytes:
    """The network with some inner tensors as its outputs; operators that only others need are left out."""
    opened = model.clone()
    values = {value.name: value for node in opened.graph for value in node.outputs}
    opened.graph.outputs.clear()
    opened.graph.outputs.extend(values[name] for name in names)
    return serialize(opened)
