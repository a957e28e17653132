"""The notebook's cells run in turn, learn the digits, and show something."""

from __future__ import annotations

import ast
import json
from pathlib import Path
from typing import Any

NOTEBOOK = Path(__file__).resolve().parents[1] / "rushlight.ipynb"


def _cells() -> list[str]:
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    found = ["".join(cell["source"]) for cell in book["cells"] if cell["cell_type"] == "code"]
    return [text for text in found if not text.startswith("%")]


def _shown(text: str, names: dict[str, Any]) -> Any:
    """What a cell's last expression is, as a notebook would show it."""
    tree = ast.parse(text)
    last = tree.body[-1]
    if not isinstance(last, ast.Expr):
        exec(compile(tree, "cell", "exec"), names)
        return None
    exec(compile(ast.Module(tree.body[:-1], []), "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names)


def test_the_notebook_runs_and_learns() -> None:
    names: dict[str, Any] = {}
    shown = [_shown(text, names) for text in _cells()]
    assert names["accuracy"] > 0.95
    # A notebook asks for the text of everything, also of what has a page.
    texts = [repr(value) for value in shown]
    assert any("Size([12, 1, 8, 8]), tensor([0, 1, 2" in text for text in texts)
    pages = [value._repr_html_() for value in shown if hasattr(value, "_repr_html_")]
    assert len(pages) >= 2 and "<iframe" in pages[-1]


def test_no_cell_was_left_with_output() -> None:
    # What a run prints belongs to that run, not to the file.
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert all(not cell.get("outputs") for cell in book["cells"])
