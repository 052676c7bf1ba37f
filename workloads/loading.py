"""From what a user names to a checked workload."""

import difflib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from workloads import builtin
from workloads.digest import digest
from workloads.errors import WorkloadError
from workloads.sample_runs import Feeds
from workloads.samples import Samples, checked_feeds
from workloads.sources import local_sources
from workloads.user_code import call, collect, load_module
from workloads.workload import Metric, Workload

if TYPE_CHECKING:
    import torch

_REQUIRED = ("model", "calibration", "validation", "metric")
_OPTIONAL = ("latency_input", "training", "groups")
_LONGEST = 100  # characters of a name: file systems take 255 bytes, and the target's name stands behind it


def load(reference: str | Path) -> Workload:
    """The workload that `reference` names: a built-in one, or the path of a Python file.

    The file imports nothing of ours and defines

    - `model()`: an `nn.Module` in eval mode, or the path of an ONNX file, relative to the workload file;
    - `calibration()`: an iterable of feeds, `{input name: array}`, first axis the batch;
    - `validation()`: an iterable of `(feeds, targets)`, always in the same order;
    - `metric(outputs, targets)`: one score per sample, higher is better; `outputs` is the array itself where the
      network has one output, and a dict from output name to array where it has several;

    and, where wanted, `latency_input()` (feeds to time: at most the target's batch size, fewer are repeated),
    `training()`, `groups()`, `NAME` (a folder's name too), and `METRIC_SCOPE = "all"` for a metric that needs all
    samples together. `model`, `calibration`, `validation` and
    `latency_input` are called here, once.

    Raises:
        WorkloadError: There is no such workload, or something in it is missing, malformed, or fails.
    """
    name = str(reference)
    if name in builtin.BUILTIN_WORKLOADS:
        path = Path(builtin.__file__).parent / f"{builtin.BUILTIN_WORKLOADS[name]}.py"
        return _from_module(path, package=builtin.__name__, origin=name)
    path = Path(reference)
    if path.suffix == ".onnx":
        raise WorkloadError(f"{path} is a network, not a workload; give --model {path} with --data and --metric")
    if path.suffix != ".py" and len(path.parts) <= 1:
        raise WorkloadError(_unknown(name))
    if not path.is_file() or path.suffix != ".py":
        raise WorkloadError(f"there is no workload file {path}; give the path of a .py file or one of {_known()}")
    return _from_module(path, package=None, origin=str(path.resolve()))


def _known() -> list[str]:
    return sorted(builtin.BUILTIN_WORKLOADS)


def _unknown(name: str) -> str:
    close = difflib.get_close_matches(name, _known(), n=1, cutoff=0.5)
    meant = f"did you mean {close[0]!r}? " if close else ""
    return (
        f"unknown workload {name!r}: {meant}The built-in ones are {_known()}; your own is given as a path to a .py file"
    )


def _from_module(path: Path, *, package: str | None, origin: str) -> Workload:
    module = load_module(path, package=package)
    functions = _functions(module, path)
    network = _network(functions["model"], path)
    calibration = _calibration(functions["calibration"])
    samples = Samples(collect(functions["validation"], name="validation()"))
    _check_same_names(calibration, samples)
    latency_input = None
    if "latency_input" in functions:
        latency_input = checked_feeds(call(functions["latency_input"], name="latency_input()"), "latency_input()")
    search_part, confirmation_part = samples.split()
    parts = {
        "sources": [source.read_bytes() for source in local_sources(path, package=package)],
        "network": network,
        "calibration": list(calibration),
        "validation": samples,
        "latency_input": latency_input,
    }
    return Workload(
        name=_name(module, path),
        origin=origin,
        digest=digest(parts),
        network=lambda: network,
        calibration=calibration,
        search_part=search_part,
        confirmation_part=confirmation_part,
        metric=_metric(functions["metric"], module),
        latency_input=latency_input,
        training=functions.get("training"),
        groups=functions.get("groups"),
    )


def _functions(module: ModuleType, path: Path) -> dict[str, Callable[..., Any]]:
    found = {name: getattr(module, name) for name in (*_REQUIRED, *_OPTIONAL) if hasattr(module, name)}
    missing = [f"{name}()" for name in _REQUIRED if name not in found]
    if missing:
        raise WorkloadError(
            f"{path} lacks {', '.join(missing)}; a workload file defines model(), calibration(), validation() and "
            "metric(outputs, targets)"
        )
    for name, value in found.items():
        if not callable(value):
            raise WorkloadError(f"{path}: {name} must be a function, got {type(value).__name__}; write def {name}(...)")
    return found


def _name(module: ModuleType, path: Path) -> str:
    name = getattr(module, "NAME", path.stem)
    if not isinstance(name, str) or not name:
        raise WorkloadError(f"{path}: NAME must be a text of at least one character, got {name!r}")
    # Runs are kept in a folder of that name.
    if set(name) & set("/\\") or not name.isprintable() or name[0] in ". " or name[-1] == " " or len(name) > _LONGEST:
        raise WorkloadError(
            f"{path}: NAME must do as a folder's name, got {name!r}; use up to {_LONGEST} printable characters "
            "without / and \\ that do not begin with a dot"
        )
    return name


def _metric(function: Callable[..., Any], module: ModuleType) -> Metric:
    name = getattr(function, "__name__", "metric")
    return Metric(name=name, function=function, scope=getattr(module, "METRIC_SCOPE", "batch"))


def _network(function: Callable[[], Any], path: Path) -> "torch.nn.Module | Path":
    network = call(function, name="model()")
    if isinstance(network, str | Path):
        file = (path.parent / network).resolve()
        if not file.is_file():
            raise WorkloadError(f"model() gave the path {str(network)!r}, but there is no file {file}; export it there")
        return file
    torch = sys.modules.get("torch")  # whoever made a module has imported it
    if torch is None or not isinstance(network, torch.nn.Module):
        raise WorkloadError(
            f"model() must give a torch.nn.Module or the path of an ONNX file, got {type(network).__name__}"
        )
    if network.training:
        raise WorkloadError("model() gave a module in training mode; call .eval() on it before returning it")
    return network  # type: ignore[no-any-return]  # mypy does not follow isinstance through sys.modules


def _calibration(function: Callable[[], Any]) -> tuple[Feeds, ...]:
    given = collect(function, name="calibration()")
    feeds = tuple(checked_feeds(each, f"calibration(), batch {number}") for number, each in enumerate(given))
    if not any(len(array) for each in feeds for array in each.values()):
        raise WorkloadError("calibration() gave no samples; yield at least one {input name: array}")
    return feeds


def _check_same_names(calibration: tuple[Mapping[str, Any], ...], samples: Samples) -> None:
    for number, feeds in enumerate(calibration):
        if set(feeds) != set(samples.input_names):
            raise WorkloadError(
                f"calibration(), batch {number} feeds {sorted(feeds)} but validation() feeds "
                f"{sorted(samples.input_names)}; both must feed the network's inputs"
            )
