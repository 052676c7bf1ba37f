"""`paretune profile`: what targets there are, what they are like, and what pays on them."""

import typer

from search.cli.profile import catalog, check, layers, loadgen, prepare, probe


def build_app() -> typer.Typer:
    """The commands below `paretune profile`, in the order that someone with a new device needs them."""
    app = typer.Typer(help="Hardware profiles: what a target is, how to reach it, and what pays on it.")
    app.callback(invoke_without_command=True)(require_command)
    app.command("list")(catalog.list_)
    app.command("show")(catalog.show)
    app.command("detect")(catalog.detect)
    app.command("prepare")(prepare.prepare)
    app.command("check")(check.check)
    app.command("probe")(probe.probe)
    app.command("layers")(layers.layers)
    app.command("loadgen")(loadgen.loadgen)
    return app


def require_command(context: typer.Context) -> None:
    """Print the help where no command is given; that is a wrong call."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)
