"""Fill in what the README shows and does not write itself: examples' output, line counts.

    python tools/readme.py           writes them
    python tools/readme.py --check   says whether the line counts are about right

In: README.md.  Out: README.md.  Tests compare the example's output with what the README says.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
ROW = re.compile(r"^\| `([\w/.]+\.py)` \| (\d+) \|", re.MULTILINE)
# A count that is off by less still tells a reader what to expect.
TOLERANCE = 0.25


def block(marker: str, text: str) -> str:
    """The code block that follows `<!-- marker -->`."""
    found = re.search(rf"<!-- {marker} -->\n```\w*\n(.*?)```\n", text, re.DOTALL)
    if found is None:
        raise ValueError(f"README.md has no block <!-- {marker} -->")
    return found[1]


def run_example(text: str) -> str:
    """What the README's example prints."""
    command = [sys.executable, "-W", "error", "-c", block("example", text)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def look_inside(text: str) -> str:
    """What the compiler says of itself in the README's second example: the standard error."""
    command = [sys.executable, "-c", block("look inside", text)]
    environment = {**os.environ, "RUSHLIGHT_EXECUTOR": "compiled"}
    result = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return result.stderr.replace("<string>", "softmax.py")


def lines_of(name: str) -> int:
    """The number of lines of a source file."""
    return len((ROOT / "src" / "rushlight" / name).read_text(encoding="utf-8").splitlines())


def wrong_counts(text: str) -> list[str]:
    """Sentences on the line counts that are far off."""
    return [
        f"{name} has {lines_of(name)} lines, the README says {said}; run `python tools/readme.py`"
        for name, said in ROW.findall(text)
        if abs(lines_of(name) - int(said)) > TOLERANCE * lines_of(name)
    ]


def filled_in(text: str) -> str:
    """The README with its output and line counts as they are now."""
    text = ROW.sub(lambda row: f"| `{row[1]}` | {lines_of(row[1])} |", text)
    text = with_block(text, "look inside output", look_inside(text))
    return with_block(text, "output", run_example(text))


def with_block(text: str, marker: str, content: str) -> str:
    """The README with `content` in the text block that follows `<!-- marker -->`."""
    head, found, rest = text.partition(f"<!-- {marker} -->\n```text\n")
    _, fence, tail = rest.partition("```\n")
    return head + found + content + fence + tail


def main(words: list[str]) -> int:
    """Check or write; returns the exit code."""
    text = README.read_text(encoding="utf-8")
    if words == ["--check"]:
        problems = wrong_counts(text)
        print("\n".join(problems), end="\n" if problems else "")
        return 1 if problems else 0
    README.write_text(filled_in(text), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
