"""`rushlight run --watch`: the program of `rushlight run` with a page that shows it.  Level 14."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable

from rushlight.watch.observe import observing
from rushlight.watch.run import Run


def watched(
    program: Callable[[], None], words: list[str], page: str, port: int, events: str | None
) -> Callable:
    """The program as one that tells its page what it does, and leaves it as a file."""

    def run() -> None:
        with Run(" ".join(words), port=port, file=page, events=events) as shown:
            say(f"watch this run at {shown.address}")
            here = os.getpid()
            try:
                with observing(shown):
                    program()
            except SystemExit as error:
                shown.close(f"ended with exit code {error.code or 0}")
                raise
            finally:
                if os.getpid() == here:  # a forked worker that ends here has no page
                    say(f"the page of this run will be {shown.file}")

    return run


def say(words: str) -> None:
    """Where the page is, on the standard error: the standard output is the program's."""
    print(f"rushlight: {words}", file=sys.stderr, flush=True)
