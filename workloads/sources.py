"""Which files a workload file is made of: itself, and the modules beside it that it imports."""

import ast
import importlib.util
from collections.abc import Iterator
from pathlib import Path

from workloads.errors import WorkloadError

OUR_PACKAGES = ("compress", "deploy", "hwprofiles", "latency", "search", "workloads")


def local_sources(path: Path, *, package: str | None = None) -> tuple[Path, ...]:
    """`path` and, through all levels, the files in its folder that it imports, also inside functions.

    Args:
        path: A Python file.
        package: The package that the file belongs to, for our own files.

    Raises:
        WorkloadError: One of them is not Python.
    """
    path = path.resolve()
    found, open_files = {path}, [path]
    while open_files:
        file = open_files.pop()
        for level, name in _imports(file):
            folder = path.parent if level == 0 else file.parents[level - 1]
            inner = name.removeprefix(f"{package}.") if package else name
            new = set(_module_files(folder, inner)) - found
            found |= new
            open_files += sorted(new)
    return (path, *sorted(found - {path}))


def check_names(path: Path, *, package: str | None = None) -> None:
    """Check that what `path` imports from beside it is what it gets.

    Raises:
        WorkloadError: Another module of that name comes first, such as a package of ours.
    """
    folder = path.resolve().parent
    for file in local_sources(path, package=package):
        tops = {name.partition(".")[0] for level, name in _imports(file) if level == 0}
        for top in sorted(tops):
            beside = _beside(folder, top)
            if beside is None or beside in (origins := _origins(top)):
                continue
            owner = "paretune has a package of that name" if top in OUR_PACKAGES else f"{origins[0]} comes first"
            raise WorkloadError(f"{file} imports {top!r} and means {beside}, but {owner}; rename yours")


def _imports(file: Path) -> Iterator[tuple[int, str]]:
    """Level of relativity and dotted name of all that may be a module in the file's import statements."""
    try:
        tree = ast.parse(file.read_bytes(), filename=str(file))
    except SyntaxError as error:
        raise WorkloadError(f"{file}:{error.lineno} is not Python: {error.msg}") from error
    except ValueError as error:  # null bytes
        raise WorkloadError(f"{file} is not Python: {error}") from error
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            stem = f"{node.module}." if node.module else ""
            yield from ((node.level, stem + alias.name) for alias in node.names)


def _module_files(folder: Path, name: str) -> Iterator[Path]:
    """The files in `folder` that importing the dotted `name` runs."""
    here = folder
    for part in name.split("."):
        candidates = (here / f"{part}.py", here / part / "__init__.py")
        yield from (candidate.resolve() for candidate in candidates if candidate.is_file())
        here /= part


def _beside(folder: Path, top: str) -> Path | None:
    module, package = folder / f"{top}.py", folder / top
    if module.is_file():
        return module.resolve()
    return package.resolve() if package.is_dir() and any(package.glob("*.py")) else None


def _origins(top: str) -> list[Path]:
    """Where importing `top` leads: its file, or its folders where it is a package."""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # already imported, by means that leave no spec
        spec = None
    if spec is None:
        return [Path(top)]
    folders = [Path(place).resolve() for place in spec.submodule_search_locations or ()]
    return folders or [Path(spec.origin or top).resolve()]
