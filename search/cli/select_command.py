"""`paretune select`: one point of a run by what can be afforded."""

from typing import Annotated

import typer

from search.cli.run_commands import RunArgument

_EXIT_NONE_KEEPS = 1


def select(
    run: RunArgument,
    *,
    max_latency_ms: Annotated[float | None, typer.Option(help="At most this latency on the target.")] = None,
    min_speedup: Annotated[float | None, typer.Option(help="At least this many times as fast as FP32.")] = None,
    max_drop: Annotated[
        float | None,
        typer.Option(help="At most this much below FP32, in the metric's own unit: 0.01 is one percentage point."),
    ] = None,
    max_size_mb: Annotated[
        float | None, typer.Option(help="At most this size of the ONNX file, in 1,000,000 bytes.")
    ] = None,
    knee: Annotated[bool, typer.Option("--knee", help="The best compromise of those that keep the budgets.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")] = False,
) -> None:
    """Choose a confirmed point of a run by budgets, and say how to export it.

    With --max-drop the fastest point that keeps all budgets is chosen; without, the most accurate one. Exit code 1
    says that no point keeps them all: what is printed then names the budgets and the points that miss them least.

    For example:

        paretune select results/demo --max-drop 0.01

        paretune select results/demo --max-latency-ms 5 --max-size-mb 10
    """
    import json

    from search.choosing.budgets import Budget, require_answerable
    from search.choosing.choice import Choice, choose
    from search.report.choice_words import choice_lines, document_of, refusal_lines
    from search.results import read_result

    given = {
        "max_latency_ms": max_latency_ms,
        "min_speedup": min_speedup,
        "max_drop": max_drop,
        "max_size_mb": max_size_mb,
    }
    budgets = tuple(Budget(name=name, limit=limit) for name, limit in given.items() if limit is not None)
    if not budgets and not knee:
        raise typer.BadParameter(
            "say what can be afforded: --max-latency-ms, --min-speedup, --max-drop, --max-size-mb, or --knee for the "
            "best compromise"
        )
    result = read_result(run)
    require_answerable(budgets, result.facts)
    if not result.is_confirmed:
        raise typer.BadParameter(
            f"nothing of the run in {str(run)!r} is confirmed yet, and only confirmed points can be chosen; run its "
            "search command again: it ends with the confirmation"
        )
    answer = choose(result.points, budgets, knee=knee)
    if as_json:
        document = document_of(answer, budgets, result.facts, run, knee=knee)
        typer.echo(json.dumps(document, indent=1, allow_nan=False))
    elif isinstance(answer, Choice):
        typer.echo("\n".join(choice_lines(answer, budgets, result.facts, run)))
    else:
        typer.echo("\n".join(refusal_lines(answer, result.facts)))
    if not isinstance(answer, Choice):
        raise typer.Exit(_EXIT_NONE_KEEPS)
