"""`paretune dashboard`: optuna-dashboard on a run's study."""

from typing import Annotated

import typer

from search.cli.run_commands import RunArgument


def dashboard(
    run: RunArgument,
    *,
    port: Annotated[
        int | None,
        typer.Option(min=1, max=65535, help="Where to listen on this machine. Default 8080, or a free one."),
    ] = None,
    browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Whether to open it in a browser.")] = True,
) -> None:
    """Open optuna-dashboard on a run's study, while it searches or afterwards; Ctrl-C ends it.

    Only this machine can reach it. Trials, their parameters and all that was recorded of them are there; the front
    with its intervals is in the run's pareto.html.
    """
    import contextlib
    import webbrowser

    from search.dashboard import open_dashboard
    from search.folder.run_folder import RunFolder

    with open_dashboard(RunFolder(run), port) as opened:
        typer.echo(f"{opened.url}  (Ctrl-C ends it)")
        if browser:
            webbrowser.open(opened.url)
        with contextlib.suppress(KeyboardInterrupt):  # the way it is meant to end
            opened.serve()
