"""The edge of the program: errors in one sentence with code 2, help at once, tracebacks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def gradus(*arguments: str, cwd: Path = ROOT, debug: str = "0") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GRADUS_DEBUG": debug, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "flows.cli", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_an_error_is_one_sentence_with_code_2_and_writes_nothing(tmp_path: Path) -> None:
    result = gradus("nano", "card", "--model", "nowhere", cwd=tmp_path)

    assert result.returncode == 2
    assert result.stderr.strip() == ("gradus: --model must be a folder with a model card, found no nowhere/README.md")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "variable"), [("--debug", "0"), (None, "1")])
def test_debugging_adds_the_traceback(option: str | None, variable: str) -> None:
    options = [option] if option else []
    result = gradus(*options, "nano", "card", "--model", "nowhere", debug=variable)

    assert result.returncode == 2
    assert "Traceback" in result.stderr


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from flows.cli import app;"
        "assert CliRunner().invoke(app, ['nano', 'eval', '--help']).exit_code == 0;"
        "heavy = {"
        "'torch', 'transformers', 'mlflow', 'prefect', 'pandas', 'numpy', 'dvc'} & set(sys.modules);"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)

    assert result.returncode == 0, result.stderr
