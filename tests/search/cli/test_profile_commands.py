"""The commands below `paretune profile` explain themselves, quickly."""

from __future__ import annotations

import subprocess
import sys

import pytest

from search.cli.app import run_app

HEAVY = ("torch", "plotly", "optuna", "onnxruntime", "onnx", "onnx_ir", "pandas", "matplotlib", "scipy", "asyncssh")
COMMANDS = ("list", "show", "detect", "prepare", "check", "probe", "layers", "loadgen")


def test_the_commands_come_in_the_order_that_a_new_device_needs_them(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_app(["profile", "--help"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    shown = [line[0] for line in lines if line and line[0] in COMMANDS]
    assert tuple(shown) == COMMANDS


@pytest.mark.parametrize("command", ["check", "layers", "loadgen"])
def test_help_teaches_with_examples(capsys: pytest.CaptureFixture[str], command: str) -> None:
    assert run_app(["profile", command, "--help"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith(f"Usage: paretune profile {command}")
    assert shown.count(f"paretune profile {command} ") >= 4


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys\n"
        "from search.cli.app import run_app\n"
        "code = max(run_app(['profile', name, '--help']) for name in ('check', 'layers', 'loadgen'))\n"
        f"print('heavy:', [name for name in {HEAVY!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("heavy: []\n")
