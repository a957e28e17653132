"""A hook of the site: pages of the reference list public names with what is said of them.

In: a page with a line `<!-- names: rushlight.linalg -->`.  Out: in its place each name of that part
with its signature, its docstring and its example (`tools/examples.py`).  Made from the library as
it runs, since many functions are made by factories and have no `def` that a parser would find.
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tools import examples

_PLACE = re.compile(r"^<!-- names: ([\w.]+) -->$", re.MULTILINE)
_LONGEST = 160


def on_page_markdown(markdown: str, **_: Any) -> str:
    """The page with its lists of names; called by mkdocs for each page."""
    return _PLACE.sub(lambda found: listing(found[1]), markdown)


def listing(part: str) -> str:
    """All names of a part."""
    shown = examples.examples(part)
    return "\n".join(
        entry(part, name, value, shown.get(name, ""))
        for name, value in sorted(examples.public(part).items(), key=lambda item: item[0].lower())
    )


def entry(part: str, name: str, value: Any, example: str) -> str:
    """One name in Markdown."""
    path = f"{part.replace('rushlight', 'torch', 1)}.{name}"
    text, _, inside = (inspect.getdoc(inspect.unwrap(value)) or "").partition(">>>")
    example = f">>>{inside}" if inside else example
    lines = [f"### {name} {{ #{part}.{name} }}", "", f"`{path}{_signature(value)}`", ""]
    lines += [text.replace("<", "&lt;").rstrip(), ""]
    if example:
        shown = example.replace("<BLANKLINE>", "").rstrip()
        lines += ["```pycon", shown, "```", ""]
    return "\n".join(lines)


def _signature(value: Any) -> str:
    try:
        text = str(inspect.signature(value))
    except (TypeError, ValueError):
        return ""
    text = re.sub(r"<function (\w+) at 0x\w+>", r"\1", text).replace("rushlight.", "")
    return text if len(text) <= _LONGEST and " at 0x" not in text else "(…)"
