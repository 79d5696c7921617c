"""The house is kept: no module or function grows past its size, no room lacks a word on what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dispatcher"
#: A migration is a record of what was done, not a place to work in.
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if "versions" not in path.parts]
#: A command's options are lines too.
LONGEST = {"cli": 60}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_one_room(module: Path) -> None:
    """A module has a docstring and at most 300 lines; its functions have at most 40."""
    source = module.read_text(encoding="utf-8")
    tree = ast.parse(source)
    room = module.relative_to(PACKAGE).parts[0]
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [
        f"{node.name} ({node.end_lineno - node.lineno + 1})"
        for node in functions
        if node.end_lineno is not None and node.end_lineno - node.lineno >= LONGEST.get(room, 40)
    ]

    assert ast.get_docstring(tree)
    assert source.count("\n") <= 300
    assert not long
