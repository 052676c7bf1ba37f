"""Collects the docstring and signature pairs of the `minilm-retrieval` workload.

    python -m workloads.builtin.collect_minilm_pairs --out FILE

They are read, not run, from the source of the running interpreter's standard library: of every public function and
method the first sentence of its docstring, and its signature as a caller sees it. Where two have the same sentence or
the same signature, only the first stays, since neither could be told from the other. The order is a fixed permutation.
The file that comes with paretune is of CPython 3.11.7.
"""

import argparse
import ast
import inspect
import json
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

# Tests, generated tables, what other people's projects or the operating system put there.
LEFT_OUT = {"test", "tests", "idle_test", "site-packages", "ensurepip", "encodings", "pydoc_data", "lib2to3", "idlelib"}
LEAST_WORDS = 4
RECEIVERS = ("self", "cls")
PAIRS = 1_856
SEED = 0

Function = ast.FunctionDef | ast.AsyncFunctionDef


def collect_pairs(root: Path) -> list[tuple[str, str]]:
    """All pairs (sentence, signature) of the Python files below `root`, by path and line."""
    pairs: list[tuple[str, str]] = []
    for path in sorted(root.rglob("*.py")):
        place = path.relative_to(root)
        if LEFT_OUT.isdisjoint(place.parts):
            tree = ast.parse(path.read_bytes())
            pairs += [pair for function in _public(tree) if (pair := _pair(function)) is not None]
    return _unique(pairs)


def _public(tree: ast.Module | ast.ClassDef) -> Iterator[Function]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if isinstance(node, ast.ClassDef):
                yield from _public(node)
            else:
                yield node


def _pair(function: Function) -> tuple[str, str] | None:
    paragraph = " ".join(inspect.cleandoc(ast.get_docstring(function) or "").partition("\n\n")[0].split())
    sentence = paragraph.partition(". ")[0]
    arguments = _arguments(function.args)
    if ">>>" in sentence or len(sentence.split()) < LEAST_WORDS or not sentence.isascii() or not arguments.isascii():
        return None
    return sentence, f"{function.name}({arguments})"


def _arguments(arguments: ast.arguments) -> str:
    """What stands between a call's brackets: without the receiver, which says nothing of a method."""
    first = next(iter([*arguments.posonlyargs, *arguments.args]), None)
    text = ast.unparse(arguments)
    if first is not None and first.arg in RECEIVERS:
        text = text.removeprefix(ast.unparse(first)).removeprefix(", /").removeprefix(", ")
    return text


def _unique(pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    kept, sentences, signatures = [], set(), set()
    for sentence, signature in pairs:
        if sentence.casefold() not in sentences and signature.casefold() not in signatures:
            kept.append((sentence, signature))
        sentences.add(sentence.casefold())
        signatures.add(signature.casefold())
    return kept


def main() -> None:
    """Write the first pairs of the permutation as a JSON list, one pair per line."""
    parser = argparse.ArgumentParser(description="Collect the pairs of the minilm-retrieval workload.")
    parser.add_argument("--out", type=Path, required=True, help="where the JSON file goes")
    arguments = parser.parse_args()
    pairs = collect_pairs(Path(sysconfig.get_path("stdlib")))
    chosen = np.random.default_rng(SEED).permutation(len(pairs))[:PAIRS]
    lines = ",\n".join(json.dumps(pairs[number]) for number in chosen)
    arguments.out.write_text(f"[\n{lines}\n]\n", encoding="utf-8")


if __name__ == "__main__":
    main()
