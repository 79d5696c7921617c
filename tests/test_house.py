"""The house is kept: no module or function grows past its size, no room lacks a word on what it is for."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "dispatcher"
#: A migration is a record of what was done, not a place to work in.
LONGEST = 40
MODULES = [path for path in sorted(PACKAGE.rglob("*.py")) if "versions" not in path.parts]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_is_one_room(module: Path) -> None:
    """A module has a docstring and at most 300 lines; its functions have at most 40."""
    source = module.read_text(encoding="utf-8")
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    long = [f"{node.name} ({_lines(node)})" for node in functions if _lines(node) > LONGEST]

    assert ast.get_docstring(tree)
    assert source.count("\n") <= 300
    assert not long


def _lines(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """The lines of a function's code; its signature and its docstring are not what makes it hard to read."""
    body = node.body[1:] if ast.get_docstring(node) and len(node.body) > 1 else node.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1
