"""The rooms import only rooms below them, and the tools only where they belong: import-linter's contracts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONSTANTS = ("components.images", "components.train.pass_through")
COMPONENTS = sorted((ROOT / "components").glob("*/component.py"))


def test_import_contracts_hold() -> None:
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    done = subprocess.run([sys.executable, "-c", program, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_a_broken_contract_is_found(tmp_path: Path) -> None:
    """The check itself: a copy of the tree in which serving imports a pipeline is refused."""
    import shutil

    for package in ("egoreact", "components", "pipelines", "serving"):
        ignored = shutil.ignore_patterns("__pycache__", "web")
        shutil.copytree(ROOT / package, tmp_path / package, ignore=ignored)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "serving" / "shortcut.py").write_text("from pipelines.training import training_pipeline\n")
    program = "from importlinter.cli import lint_imports_command; lint_imports_command()"
    command = [sys.executable, "-c", program, "--no-cache"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert "serving.shortcut -> pipelines.training" in done.stdout


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.parent.name)
def test_components_hold_no_logic(path: Path) -> None:
    """A component's body imports, calls, hands on: no branches, comprehensions of conditions, arithmetic or handlers."""
    forbidden = (ast.If, ast.While, ast.Try, ast.With, ast.BinOp, ast.BoolOp, ast.IfExp, ast.ClassDef)
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, forbidden), (
            f"{path.parent.name}/component.py line {node.lineno}: {type(node).__name__}"
        )


@pytest.mark.parametrize("path", COMPONENTS, ids=lambda path: path.parent.name)
def test_components_import_the_project_inside_their_bodies(path: Path) -> None:
    """A component's source is shipped as text: at module level it may only know kfp and what is compiled into it."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ImportFrom):
            assert node.module in ("kfp", "kfp.dsl", *CONSTANTS, "typing"), node.module
