"""`paretune profile list`, `show` and `detect`: what targets there are, and what this machine is."""

from typing import Annotated

import typer


def list_() -> None:
    """List the profiles that can be given as --target."""
    from rich.console import Console
    from rich.table import Table

    from hwprofiles import list_profiles, load_profile

    table = Table("profile", "probed", "what it is", box=None, pad_edge=False, header_style="bold")
    for name in list_profiles():
        profile = load_profile(name)
        table.add_row(profile.name, "yes" if profile.probed else "no", profile.summary)
    Console().print(table)


def show(name: Annotated[str, typer.Argument(help="A profile's name or TOML file.")]) -> None:
    """Print a profile as it resolves on this machine, as TOML."""
    import tomli_w

    from hwprofiles import load_profile

    typer.echo(tomli_w.dumps(load_profile(name).model_dump(mode="json", exclude_none=True)), nl=False)


def detect() -> None:
    """Describe this machine: CPU, instruction sets, and the 8-bit scheme that suits them."""
    from rich.console import Console
    from rich.table import Table

    from hwprofiles import detect_machine, int8_scheme

    machine = detect_machine()
    scheme, reason = int8_scheme(machine)
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in (
        ("CPU", machine.cpu),
        ("architecture", machine.architecture),
        ("instruction sets", " ".join(machine.flags) or "none that matter here"),
        ("cores", f"{machine.physical_cores} physical, {machine.logical_cores} logical"),
        ("memory", f"{machine.memory_bytes / 2**30:.1f} GiB"),
        ("system", machine.os),
        ("hardware id", machine.hardware_id),
        ("8-bit scheme", f"{scheme}: {reason}"),
    ):
        table.add_row(name, value)
    Console().print(table)
