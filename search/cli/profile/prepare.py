"""`paretune profile prepare`: builds what an emulated target runs in."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from search.cli.inputs import read_target

if TYPE_CHECKING:
    from latency.emulation.root import Root

TargetArgument = Annotated[str, typer.Argument(metavar="TARGET", help="An emulated profile's name or TOML file.")]
RootOption = Annotated[
    Path | None,
    typer.Option("--root", metavar="FOLDER", help="Where to build it, for a profile whose reach.root is this folder."),
]


def prepare(target: TargetArgument = "arm-emulated", root: RootOption = None) -> None:
    """Fetch and build what an emulated target runs in, once: about 40 MB of downloads, 200 MB on the disk.

    It needs qemu-user and gcc, Debian's apt, pip and a network, and no administrator's rights. Nothing is fetched at
    any other time: a search on a target that is not prepared is an error.
    """
    from importlib.metadata import version

    from latency.emulation.build import build_root, usable_root
    from latency.emulation.root import default_root

    reach = read_target(target).reach
    if reach.transport != "emulated":
        raise typer.BadParameter(
            f"profile '{target}' is reached by transport = '{reach.transport}': nothing to prepare"
        )
    path = root or (Path(reach.root).expanduser() if reach.root else default_root())
    runtime = version("onnxruntime")
    found = usable_root(path, runtime)
    built = found or build_root(path, onnxruntime_version=runtime, listener=_tell)
    _say_what_is_there(built, "was prepared before" if found else "is prepared")


def _tell(what: str, step: int, steps: int) -> None:
    typer.echo(f"  {step}/{steps} {what}")


def _say_what_is_there(root: "Root", how: str) -> None:
    wheels = ", ".join(f"{name} {number}" for name, number in sorted(root.wheels.items()))
    typer.echo(f"{root.path} {how} ({root.built_at})")
    typer.echo(f"  {root.python}, {wheels}, libc {root.packages['libc6']}, {len(root.packages)} packages of Debian")
    typer.echo(f"  processors: {', '.join(root.cpus)}; {root.emulator}; contents {root.digest}")
