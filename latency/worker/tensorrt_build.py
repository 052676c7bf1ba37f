"""From ONNX bytes to a serialized TensorRT engine. The same calls serve TensorRT 10 and 11 and TensorRT-RTX.

TensorRT-RTX builds without a GPU, which is how what we export is checked where there is none.
"""

from __future__ import annotations

import collections
import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

from latency.worker.built_file import write_whole
from latency.worker.engine import EngineError, check_names

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_ERRORS_KEPT = 8
_MIB = 1 << 20
OPTIONS = ("builder_optimization_level", "max_aux_streams", "tf32", "workspace_mib")
"""What a profile's engine options may say to the builder."""


def make_log(trt: Any, on_line: Callable[[str, str], None] | None = None) -> Any:
    """A TensorRT logger that keeps the last errors, for the sentence that quotes them.

    Args:
        trt: the ``tensorrt`` or ``tensorrt_rtx`` module.
        on_line: gets severity and text of every line.
    """

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)
            self.errors: collections.deque[str] = collections.deque(maxlen=_ERRORS_KEPT)

        def log(self, severity: Any, msg: str) -> None:
            if severity in {trt.ILogger.ERROR, trt.ILogger.INTERNAL_ERROR}:
                self.errors.append(" ".join(msg.split()))
            if on_line is not None:
                on_line(str(severity).rpartition(".")[2], msg)

        def last(self) -> str:
            return " | ".join(self.errors) or "it gave no reason"

    return Log()


def require(value: Any, what: str, log: Any, *, kind: str) -> Any:
    """``value``, unless TensorRT says with None or False that it failed.

    Raises:
        EngineError: it did; with the logger's last errors.
    """
    if value is None or value is False:
        raise EngineError(f"TensorRT did not {what}: {log.last()}", kind=kind)
    return value


def create(make: Callable[[], Any], what: str, log: Any, *, kind: str) -> Any:
    """What ``make`` returns; the bindings raise where a constructor of TensorRT returns nothing."""
    try:
        value = make()
    except (TypeError, RuntimeError) as error:
        msg = f"TensorRT did not {what}: {error}: {log.last()}"
        raise EngineError(msg, kind=kind) from error
    return require(value, what, log, kind=kind)


class ParsedNetwork:
    """An ONNX model as a strongly typed TensorRT network: every layer computes in the format that the model says.

    Args:
        trt: the ``tensorrt`` or ``tensorrt_rtx`` module.
        model_bytes: ONNX.
        log: from ``make_log``.

    Raises:
        EngineError: TensorRT refuses the model; with the parser's reasons.
    """

    def __init__(self, trt: Any, model_bytes: bytes, log: Any) -> None:
        self._trt, self._log = trt, log
        self._builder = create(lambda: trt.Builder(log), "make a builder", log, kind="runtime_refused")
        flags = 1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED)
        self._network = create(lambda: self._builder.create_network(flags), "make a network", log, kind="build")
        self._parser = trt.OnnxParser(self._network, log)  # holds the weights until the engine is built
        if not self._parser.parse(model_bytes):
            msg = f"{trt.__name__} {trt.__version__} does not parse the model: {_parser_errors(self._parser)}"
            raise EngineError(msg, kind="model_refused")

    @property
    def inputs(self) -> dict[str, tuple[int, ...]]:
        """Input name to shape; -1 where an axis is dynamic."""
        network = self._network
        tensors = [network.get_input(index) for index in range(network.num_inputs)]
        return {tensor.name: tuple(tensor.shape) for tensor in tensors}

    def build(
        self,
        shapes: Mapping[str, tuple[int, ...]],
        *,
        sparse_weights: bool = False,
        timing_cache: str | None = None,
        options: Mapping[str, str] | None = None,
        capability: str | None = None,
    ) -> bytes:
        """The serialized engine for inputs of exactly these shapes.

        Args:
            shapes: input name to shape.
            sparse_weights: look for 2:4 patterns in the weights, and use kernels for them where they are faster.
            timing_cache: a file of kernel timings to start from and to add to; None, or a runtime without, has none.
            options: of the names in ``OPTIONS``.
            capability: for TensorRT-RTX, the one kind of GPU to build for, such as ``SM89``; None leaves it to the
                runtime: TensorRT builds for the GPU that is there, TensorRT-RTX for several at once.

        Raises:
            EngineError: the shapes do not fit, an option is unknown, or TensorRT does not build.
        """
        trt, log = self._trt, self._log
        config = create(self._builder.create_builder_config, "make a builder's configuration", log, kind="build")
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the inspector tells kernels and formats
        if sparse_weights:
            config.set_flag(trt.BuilderFlag.SPARSE_WEIGHTS)
        if capability is not None:
            config.num_compute_capabilities = 1
            accepted = config.set_compute_capability(getattr(trt.ComputeCapability, capability), 0)
            require(accepted, f"build for {capability}", log, kind="build")
        _apply_options(trt, config, options or {})
        self._add_shapes(config, shapes)
        cache = None if timing_cache is None else self._attach_cache(config, timing_cache)
        make = functools.partial(self._builder.build_serialized_network, self._network, config)
        data = bytes(create(make, "build the model", log, kind="model_refused"))
        if cache is not None:
            serialized = require(config.get_timing_cache(), "return its timing cache", log, kind="build").serialize()
            write_whole(str(timing_cache), bytes(serialized))
        return data

    def _add_shapes(self, config: Any, shapes: Mapping[str, tuple[int, ...]]) -> None:
        check_names(list(self.inputs), shapes)
        profile = self._builder.create_optimization_profile()
        dynamic = False
        for index, (name, declared) in enumerate(self.inputs.items()):
            shape = tuple(shapes[name])
            if self._network.get_input(index).is_shape_tensor:
                msg = f"input '{name}' decides shapes inside the network, which one engine cannot be timed for; fix it"
                raise EngineError(msg, kind="model_refused")
            fits = all(axis in {-1, size} for axis, size in zip(declared, shape))  # noqa: B905 - needs Python 3.10
            if len(declared) != len(shape) or not fits:
                msg = f"input '{name}' has shape {declared} in the model, got {shape}; pass inputs that fit"
                raise EngineError(msg, kind="inputs")
            if -1 in declared:
                profile.set_shape(name, shape, shape, shape)
                dynamic = True
        if dynamic and config.add_optimization_profile(profile) < 0:
            msg = f"TensorRT refuses the input shapes {dict(shapes)}: {self._log.last()}"
            raise EngineError(msg, kind="inputs")

    def _attach_cache(self, config: Any, path: str) -> Any:
        data = Path(path).read_bytes() if Path(path).is_file() else b""
        cache = config.create_timing_cache(data)
        if cache is None or not config.set_timing_cache(cache, False):
            # Of another GPU or TensorRT: a new one takes its place.
            cache = require(config.create_timing_cache(b""), "make a timing cache", self._log, kind="build")
            require(config.set_timing_cache(cache, False), "take a timing cache", self._log, kind="build")
        return cache  # must outlive the build


def build_engine(
    trt: Any,
    model_bytes: bytes,
    shapes: Mapping[str, tuple[int, ...]],
    *,
    sparse_weights: bool = False,
    capability: str | None = None,
    log: Any = None,
) -> bytes:
    """Parses and builds in one go, where nothing is to run: TensorRT-RTX does so without a GPU.

    Raises:
        EngineError: TensorRT refuses the model, with its reasons.
    """
    log = make_log(trt) if log is None else log
    return ParsedNetwork(trt, model_bytes, log).build(shapes, sparse_weights=sparse_weights, capability=capability)


def _parser_errors(parser: Any) -> str:
    texts = []
    for index in range(parser.num_errors):
        error = parser.get_error(index)
        node = f" at {error.node_operator()} '{error.node_name()}'" if error.node_operator() else ""
        texts.append(f"{error.desc()}{node}")
    return "; ".join(texts) or "the parser gave no reason"


def _apply_options(trt: Any, config: Any, options: Mapping[str, str]) -> None:
    for name, text in options.items():
        if name not in OPTIONS:
            msg = f"unknown option '{name}' of the TensorRT builder; known: {', '.join(OPTIONS)}"
            raise EngineError(msg, kind="settings")
        try:
            number = int(text)
        except ValueError as error:
            msg = f"option '{name}' of the TensorRT builder must be a whole number, got {text!r}"
            raise EngineError(msg, kind="settings") from error
        if name == "tf32":
            (config.set_flag if number else config.clear_flag)(trt.BuilderFlag.TF32)
        elif name == "workspace_mib":
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, number * _MIB)
        else:
            setattr(config, name, number)
