"""Fill in what the pages of `docs/` show and do not write themselves: the table of settings.

    python tools/docs.py           writes it
    python tools/docs.py --check   says whether it is up to date

In: `docs/settings.md` and the table in `base/config.py`.  Out: the page.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from rushlight.base import config

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "settings.md"
_PLACE = re.compile(r"(<!-- settings -->\n).*(<!-- end of settings -->)", re.DOTALL)
_EXAMPLE = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def table() -> str:
    """The settings as a table in Markdown."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, (default, _, meaning) in config._TABLE.items():
        shown = default[0] if isinstance(default, tuple) else default
        lines.append(f"| `{name}` | {f'`{shown}`' if shown != '' else ''} | {meaning} |")
    return "\n".join(lines) + "\n"


def filled_in(text: str) -> str:
    """The page with the table as it is now."""
    return _PLACE.sub(lambda found: found[1] + table() + found[2], text)


def examples(page: Path) -> str:
    """The program that a page's examples are, one after the other."""
    return "\n".join(_EXAMPLE.findall(page.read_text(encoding="utf-8")))


def main(words: list[str]) -> int:
    """Check or write; returns the exit code."""
    text = PAGE.read_text(encoding="utf-8")
    if words == ["--check"]:
        return 0 if filled_in(text) == text else 1
    PAGE.write_text(filled_in(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
