"""Small networks of every kind that the compressor must cope with, each with an input to feed it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from tests.compress.zoo import attention, convolutions, heads, oddities, torch_modules
from tests.compress.zoo.case import Case, TorchCase

ZOO: Mapping[str, Callable[[], Case]] = MappingProxyType(
    {
        maker.__name__: maker
        for family in (convolutions, heads, oddities, attention)
        for maker in vars(family).values()
        if getattr(maker, "__module__", "") == family.__name__ and not maker.__name__.startswith("_")
    }
)
TORCH_ZOO: Mapping[str, Callable[[], TorchCase]] = MappingProxyType(
    {
        maker.__name__: maker
        for maker in vars(torch_modules).values()
        if getattr(maker, "__module__", "") == torch_modules.__name__ and maker.__name__.endswith("_net")
    }
)


def write(case: Case, folder: Path) -> Path:
    """The ONNX file of `case`."""
    path = folder / "network.onnx"
    path.write_bytes(case.proto.SerializeToString())
    return path
