"""The structure of the package, and what newcomers rely on."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dogsort
from dogsort.cli.classify import classify
from dogsort.cli.main import COMMANDS

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "dogsort"

#: A room imports only rooms above it.
ROOMS = (
    "errors",
    "extras",
    "records",
    "decision",
    "photos",
    "network",
    "classifier",
    "results",
    "pictures",
    "filing",
    "review",
    "bench",
    "evaluation",
    "training",
    "cli",
)


def imported_rooms(path: Path) -> set[str]:
    rooms = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            parts = name.split(".")
            if parts[0] == "dogsort" and len(parts) > 1:
                # from dogsort import Classifier counts as the classifier's module
                room = parts[1].lower()
                rooms |= {room} & set(ROOMS)
    return rooms


@pytest.mark.parametrize("room", ROOMS)
def test_imports_go_one_way(room):
    files = [PACKAGE / f"{room}.py"] if (PACKAGE / f"{room}.py").exists() else []
    files += sorted((PACKAGE / room).rglob("*.py"))
    assert files
    for file in files:
        below = [ROOMS.index(other) - ROOMS.index(room) for other in imported_rooms(file)]
        assert all(distance <= 0 for distance in below), file


def test_every_room_is_on_the_list():
    rooms = {
        p.stem for p in PACKAGE.iterdir() if not p.name.startswith(("_", "py.typed", ".", "README"))
    }
    assert rooms == set(ROOMS)


def test_only_the_command_line_prints_or_exits():
    for file in PACKAGE.rglob("*.py"):
        if file.parent.name == "cli" or file.name == "__main__.py":
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                assert node.func.id not in ("print", "exit", "input"), file


def test_all_names_exist():
    for module in pkgutil.walk_packages([str(PACKAGE)], "dogsort."):
        if module.name != "dogsort.__main__":
            loaded = importlib.import_module(module.name)
            for name in getattr(loaded, "__all__", ()):
                assert hasattr(loaded, name), f"{module.name}.{name}"


def test_importing_dogsort_imports_nothing_heavy():
    code = "import sys, dogsort; print([m for m in ('torch', 'numpy', 'PIL') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert run.stdout.strip() == b"[]"


def test_a_run_on_the_cpu_imports_no_torch():
    code = (
        "import sys, dogsort\n"
        "records = list(dogsort.Classifier(device='cpu').predict(sys.argv[1]))\n"
        "print(len(records), [m for m in ('torch', 'pandas', 'matplotlib') if m in sys.modules])"
    )
    photos = ROOT / "examples" / "photos"
    run = subprocess.run([sys.executable, "-c", code, photos], capture_output=True, check=True)
    assert run.stdout.strip() == b"6 []"


def test_the_readme_names_every_command_and_help_tells_every_option():
    readme = (ROOT / "README.md").read_text()
    assert len(readme.split()) <= 1300
    for name, command in {"": classify, **COMMANDS}.items():
        assert f"dogsort {name}".strip() in readme
        for parameter in command.params:
            assert isinstance(parameter, click.Argument) or parameter.help, f"{name} {parameter}"


def test_readme_and_changelog_know_the_version():
    assert f"## {dogsort.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_pages_link_only_to_files_that_exist():
    for page in [page for page in ROOT.rglob("*.md") if ".venv" not in page.parts]:
        for target in re.findall(r"\]\((?!https?:|#)([^)#]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page}: {target}"
