"""`rushlight trace`: run a script as `rushlight run` does, and write a page that shows what it did.

In: a script and its arguments.  Out: a self-contained HTML file, also when the script fails; the
script's exit code.  Level 14.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rushlight import fft, linalg, nn, optim, special  # noqa: F401 - there to be timed
from rushlight.base.observe import watching
from rushlight.cli import run as runner
from rushlight.engine.history import History
from rushlight.profiler import functions
from rushlight.viz.page import page

DEFAULT_OUTPUT = "trace.html"
# About 40 MB of page; a browser still draws it at once.
MOST_EVENTS = 500_000
USAGE = """\
rushlight trace [-o FILE] [--most EVENTS] [--functions] SCRIPT [ARGUMENT ...]
       rushlight trace [-o FILE] -m MODULE [ARGUMENT ...]
       rushlight trace [-o FILE] -c CODE [ARGUMENT ...]"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Our own options stand before the script's name; everything behind it is the script's."""
    parser.usage = USAGE
    parser.add_argument(
        "-o", "--output", metavar="FILE", help=f"the page (default: {DEFAULT_OUTPUT})"
    )
    parser.add_argument(
        "--most", metavar="EVENTS", help=f"stop noting after so many (default: {MOST_EVENTS})"
    )
    parser.add_argument(
        "--functions", action="store_true", help="time calls of PyTorch's functions, too"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help="script and its arguments")


def run(options: argparse.Namespace) -> int:
    """Run the program and write the page; returns the program's exit code."""
    words, own, problem = _own_options(options.program)
    if problem is not None:
        print(f"rushlight trace: {problem}", file=sys.stderr)
        return 2
    output = Path(own.get("output", DEFAULT_OUTPUT)).absolute()
    history = History(int(own.get("most", MOST_EVENTS)))
    options.program = words
    ran = False
    try:
        with watching(history), _functions("functions" in own):
            code = runner.run(options)
        ran = code != 2 or bool(history.runs)
        return code
    except SystemExit:
        ran = True
        raise
    finally:
        if ran:
            _write(history, output, words)


@contextmanager
def _functions(wanted: bool) -> Iterator[None]:
    """Calls of functions tell how long they took, if wanted."""
    if wanted:
        functions.begin(shapes=True, stacks=False)
    try:
        yield
    finally:
        if wanted:
            functions.end()


def _own_options(words: list[str]) -> tuple[list[str], dict[str, str], str | None]:
    """(the program's words, our options, what is wrong with them)."""
    names = {"-o": "output", "--output": "output", "--most": "most"}
    words = list(words)
    own: dict[str, str] = {}
    while words:
        name, equals, value = words[0].partition("=")
        if words[0] == "--functions":
            own["functions"] = ""
            words = words[1:]
            continue
        if name not in names:
            break
        if not equals and len(words) < 2:
            return words, own, f"{name} needs a value after it"
        own[names[name]] = value if equals else words[1]
        words = words[1:] if equals else words[2:]
    if not own.get("most", "1").isdigit():
        return words, own, f"--most needs a number, got {own['most']!r}"
    return words, own, None


def _write(history: History, output: Path, words: list[str]) -> None:
    output.write_text(page(history, " ".join(words)), encoding="utf-8")
    left = f", {history.left_out} left out (see --most)" if history.left_out else ""
    print(
        f"rushlight trace: {len(history.runs)} events{left}, page in {output}",
        file=sys.stderr,
    )
