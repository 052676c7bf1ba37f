"""Files that come with Python and with the packages that paretune installs, and the types that they are known to be.

The list is of Linux wheels; elsewhere native libraries have another suffix or type.
"""

import hashlib
import sysconfig
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from workloads.builtin.packages import require_package

# magika's name of the type, the package, and which of its files are of that type.
_IN_PACKAGES = (
    ("c", "numpy", "_core/include/**/*.h"),
    ("c", "numpy", "f2py/**/*.c"),
    ("cmake", "torch", "share/cmake/**/*.cmake"),
    ("cpp", "onnx", "**/*.cc"),
    ("cpp", "torch", "include/ATen/core/**/*.h"),
    ("css", "matplotlib", "**/*.css"),
    ("css", "sklearn", "**/*.css"),
    ("csv", "matplotlib", "mpl-data/**/*.csv"),
    ("csv", "numpy", "random/**/*.csv"),
    ("csv", "sklearn", "datasets/data/*.csv"),
    ("elf", "pandas", "_libs/**/*.so"),
    ("elf", "scipy", "linalg/**/*.so"),
    ("fortran", "numpy", "f2py/**/*.f"),
    ("fortran", "numpy", "f2py/**/*.f90"),
    ("gzip", "sklearn", "datasets/**/*.gz"),
    ("javascript", "matplotlib", "backends/**/*.js"),
    ("javascript", "plotly", "**/*.js"),
    ("javascript", "sklearn", "**/*.js"),
    ("json", "onnx", "**/*.json"),
    ("json", "plotly", "package_data/templates/*.json"),
    ("onnx", "onnx", "backend/test/data/**/*.onnx"),
    ("pdf", "matplotlib", "mpl-data/**/*.pdf"),
    ("png", "matplotlib", "mpl-data/**/*.png"),
    ("proto", "onnx", "*.proto"),
    ("rst", "sklearn", "datasets/descr/*.rst"),
    ("svg", "matplotlib", "mpl-data/**/*.svg"),
    ("ttf", "matplotlib", "mpl-data/**/*.ttf"),
    ("wav", "scipy", "io/**/*.wav"),
)
# Their descriptions say which markup they are written in.
# fmt: off
_DISTRIBUTIONS = (
    "alembic", "contourpy", "fonttools", "joblib", "magika", "mako", "matplotlib", "mlxtend", "networkx", "numpy",
    "onnx", "onnx-ir", "onnxruntime", "onnxscript", "optuna", "packaging", "pandas", "pillow", "plotly", "psutil",
    "py-cpuinfo", "pydantic", "pydantic-core", "pygments", "pyyaml", "rich", "safetensors", "scikit-learn", "scipy",
    "sqlalchemy", "sympy", "threadpoolctl", "torch", "torchcrepe", "tqdm", "typer",
)
# fmt: on
_MARKUP = {"text/markdown": "markdown", "text/x-rst": "rst"}


def shipped_files(most: int) -> Iterator[tuple[str, str, bytes]]:
    """Type, name and content of each file, in an order that no file system decides.

    Args:
        most: How many files to take for each line of the list.

    Raises:
        WorkloadError: A package is not installed.
    """
    for path in stdlib_sources()[:most]:
        yield "python", path.name, path.read_bytes()
    for label, package, pattern in _IN_PACKAGES:
        folder = require_package(package)
        for path in _shuffled(folder, pattern)[:most]:
            yield label, f"{package}/{path.relative_to(folder).as_posix()}", path.read_bytes()
    yield from _descriptions()


def stdlib_sources() -> list[Path]:
    """The modules that are one file of the standard library."""
    return _shuffled(Path(sysconfig.get_path("stdlib")), "*.py")


def _shuffled(folder: Path, pattern: str) -> list[Path]:
    """The files that match, in the order of their names' hashes: neighbours in a folder resemble each other."""
    found = (path for path in folder.glob(pattern) if path.is_file())
    return sorted(found, key=lambda path: hashlib.sha256(path.relative_to(folder).as_posix().encode()).digest())


def _descriptions() -> Iterator[tuple[str, str, bytes]]:
    """Every distribution's description in the markup that it declares, its licences, entry points and file list."""
    for name in _DISTRIBUTIONS:
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:  # what a package of ours needs changes with its version
            continue
        head = distribution.metadata.json
        files = distribution.metadata.get_all("License-File", [])
        markup = _MARKUP.get(str(head.get("description_content_type")).partition(";")[0])
        if markup:
            yield markup, f"{name}/description", str(head["description"]).encode()
        licences = [f"{folder}{file}" for file in files for folder in ("licenses/", "")]
        labelled = (("ini", "entry_points.txt"), ("csv", "RECORD"), *(("txt", file) for file in licences))
        for label, file in labelled:
            if content := distribution.read_text(file):
                yield label, f"{name}/{file}", content.encode()
