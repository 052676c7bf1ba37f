"""Running a user's own code, and saying where it failed."""

import functools
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Callable, Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from workloads.errors import WorkloadError
from workloads.sources import OUR_PACKAGES, check_names


def call(function: Callable[..., Any], *arguments: Any, name: str) -> Any:
    """`function(*arguments)`, where `function` is a user's and called `name` in messages.

    Raises:
        WorkloadError: It raised; the message has its name, the file and line, and what it said.
    """
    try:
        return function(*arguments)
    except WorkloadError:
        raise
    except (Exception, SystemExit) as error:
        raise _failure(name, error, _file_of(function)) from error


def collect(function: Callable[[], Any], *, name: str) -> list[Any]:
    """All that the iterable which `function()` gives yields; `function` is a user's and called `name` in messages.

    Raises:
        WorkloadError: It, or the iteration, raised, or it gave no iterable.
    """
    given = call(function, name=name)
    if not isinstance(given, Iterable):
        raise WorkloadError(
            f"{name} must give an iterable (a list, or yield), got {type(given).__name__} {given!r:.40}"
        )

    @functools.wraps(function)
    def exhaust() -> list[Any]:
        return list(given)

    result: list[Any] = call(exhaust, name=name)
    return result


def load_module(path: Path, *, package: str | None = None) -> ModuleType:
    """Run the Python file at `path` as a module of its own.

    Its folder is appended to the module path, for good, so that it can import what lies beside it, also later and
    from inside its functions, while nothing beside it shadows a module of ours.

    Args:
        path: An existing file.
        package: The package that the file belongs to, for our own files; their folder is not appended.

    Raises:
        WorkloadError: It failed, or one of its imports means a module beside it and would get another.
    """
    path = path.resolve()
    if package is None and str(path.parent) not in sys.path:
        sys.path.append(str(path.parent))
    check_names(path, package=package)
    name = f"workload_{path.stem}_{hashlib.sha256(str(path).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise WorkloadError(f"{path} is not a Python file; a workload is a file that ends in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses and pickle look a class's module up there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise _failure(f"importing {path.name}", error, str(path)) from error
    return module


def _file_of(function: Callable[..., Any]) -> str | None:
    try:
        return inspect.getsourcefile(inspect.unwrap(function))
    except TypeError:  # a callable without source, such as an instance or a builtin
        return None


def _failure(name: str, error: BaseException, file: str | None) -> WorkloadError:
    frames = traceback.extract_tb(error.__traceback__)
    # The user's own line says more to the user than the library's line that it led to.
    own = [frame for frame in frames if frame.filename == file] or list(frames)
    place = f"{own[-1].filename}:{own[-1].lineno}" if own else str(file)
    said = " ".join(str(error).split())
    message = f"{name} failed at {place}: {type(error).__name__}: {said}"
    if isinstance(error, ImportError) and (clash := (error.name or "").partition(".")[0]) in OUR_PACKAGES:
        message += f"; {clash!r} here is a package of paretune's: rename yours"
    return WorkloadError(message)
