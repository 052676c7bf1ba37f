"""The command tree, and what becomes of errors."""

import logging
import os
from collections.abc import Sequence
from typing import Annotated

import typer

from search.cli import (
    apply_command,
    dashboard_command,
    export_command,
    profile,
    run_commands,
    search_command,
    select_command,
    verify_command,
    worker_command,
)

HELP = """Hardware-aware search for model compression.

Takes a trained network and a device, tries compressed versions of the network, measures each one's latency on that
device and its accuracy, and draws the Pareto front of the two.

    paretune search mnist-resnet --target local-cpu --trials 40 --out results/demo
"""

_EXIT_WRONG_CALL = 2
_EXIT_INTERRUPTED = 130


def build_app() -> typer.Typer:
    """The whole command tree."""
    app = typer.Typer(help=HELP, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    app.callback(invoke_without_command=True)(_options)
    app.command("search")(search_command.search)
    app.command("worker")(worker_command.worker)
    app.command("status")(run_commands.status)
    app.command("report")(run_commands.report)
    app.command("layers")(run_commands.layers)
    app.command("select")(select_command.select)
    app.command("dashboard")(dashboard_command.dashboard)
    app.command("export")(export_command.export)
    app.command("verify")(verify_command.verify)
    app.command("apply")(apply_command.apply)
    app.add_typer(profile.build_app(), name="profile")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"paretune {version('paretune')}")
        raise typer.Exit


def _options(
    context: typer.Context,
    *,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Log what happens, with tracebacks.")] = False,
    version: Annotated[  # typer calls the callback
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    profile.require_command(context)
    logging.basicConfig(level=logging.INFO if verbose else logging.ERROR, format="%(name)s: %(message)s")
    # A worker or a link that is lost, and found again: a run goes on, and says so.
    logging.getLogger("latency").setLevel(logging.INFO if verbose else logging.WARNING)


def run_app(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code; a user's mistake is one line on standard error."""
    try:
        code = build_app()(args=arguments, prog_name="paretune", standalone_mode=False)
    except (typer.Abort, KeyboardInterrupt):
        return _stopped()
    except Exception as error:
        message = _explain(error)
        if message is None:
            raise
        if logging.getLogger().isEnabledFor(logging.INFO):
            logging.getLogger("paretune").info("traceback", exc_info=error)
        typer.echo(f"error: {message}", err=True)
        return _EXIT_WRONG_CALL
    if code == _EXIT_INTERRUPTED:  # what typer makes of Ctrl-C
        return _stopped()
    return code if isinstance(code, int) else os.EX_OK


def _stopped() -> int:
    typer.echo("stopped; the same command continues", err=True)
    return _EXIT_INTERRUPTED


def _explain(error: Exception) -> str | None:
    """One line for a mistake of the user or of the machine; None for a defect of ours."""
    from compress.errors import CompressionError
    from deploy.errors import BundleError
    from hwprofiles import ProfileError
    from latency import MeasurementError, MeasurementFormatError, TargetError
    from search.errors import SearchError
    from workloads import WorkloadError

    # The class comes from click or, since typer 0.29, from typer's own copy of it: known by what it can do.
    format_message = getattr(error, "format_message", None)
    if callable(format_message):
        return str(format_message())
    ours = (
        BundleError,
        CompressionError,
        ProfileError,
        MeasurementError,
        MeasurementFormatError,
        TargetError,
        SearchError,
        WorkloadError,
    )
    if isinstance(error, ours):
        return str(error)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.strerror}: {str(error.filename)!r}; check the path and its permissions"
    return None
