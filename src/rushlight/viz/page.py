"""One HTML page that shows what a program did: timeline, kernels, their source and their code.

In: a `History`.  Out: the text of a page that needs nothing else: no network, no other file.  The
page's data is one JSON object in it; long texts (loop nests, LLVM IR, assembly) are compressed one
by one and unpacked by the browser when they are looked at, so that thousands of kernels stay small.
What a program may have put into names, paths and source lines is data to the page: it is
escaped here and only ever set as text there.  Level: viz (12).
"""

from __future__ import annotations

import base64
import gzip
import json
import linecache
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any

from rushlight.base.observe import FLUSH, FUNCTION, KERNEL, LIBRARY, PLAN, RANGE, REFERENCE
from rushlight.engine.describe import llvm_text, loop_nest_text, shaped_text
from rushlight.engine.history import RECORDING, History, Run
from rushlight.engine.peaks import peaks
from rushlight.engine.report import group_text, plan_text
from rushlight.runtime.host import host_summary, host_target
from rushlight.runtime.jit import assembly_of
from rushlight.runtime.threads import get_num_threads
from rushlight.tape.memo import Line

TEMPLATE = Path(__file__).with_name("page.html")
PLACE_OF_DATA, PLACE_OF_TITLE = "@DATA@", "@TITLE@"

# Rows of the timeline within one thread, from top to bottom; nested kinds take a row a level.
_NESTED = (RANGE, FUNCTION)
_ROWS = {RECORDING: "Python, recording", FLUSH: "flush", PLAN: "plan", LIBRARY: "machine code",
         KERNEL: "kernels", REFERENCE: "kernels"}  # fmt: skip
_ORDER = ("Python, recording", "flush", "plan", "machine code", "kernels")


def page(history: History, title: str) -> str:
    """The page's text."""
    data = PageData(history).as_json(title)
    template = TEMPLATE.read_text(encoding="utf-8")
    head, _, tail = template.partition(PLACE_OF_DATA)
    return head.replace(PLACE_OF_TITLE, escaped_text(title)) + data + tail


def escaped_text(text: str) -> str:
    """Text as HTML shows it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def escaped_json(value: Any) -> str:
    """JSON that may stand in a script element: nothing in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def packed(text: str) -> str:
    """A text as the page unpacks it: gzip, then base64."""
    return base64.b64encode(gzip.compress(text.encode(), 6, mtime=0)).decode()


class Table:
    """Distinct entries and their places."""

    def __init__(self) -> None:
        self.entries: list[Any] = []
        self._places: dict[Hashable, int] = {}

    def place(self, key: Hashable, make: Callable[[], Any]) -> int:
        """The place of `key`; its entry is made the first time."""
        found = self._places.get(key)
        if found is None:
            # Making an entry may add entries of its own.
            entry = make()
            found = self._places[key] = len(self.entries)
            self.entries.append(entry)
        return found


class PageData:
    """What the page shows, as plain data.

    items: what an event is one occurrence of: a kernel, a flush for one reason at one line.
    rows: for each row of the timeline, starts and durations in microseconds and places of items.
    texts: packed texts; items name them by their places.
    """

    def __init__(self, history: History) -> None:
        self.history = history
        self.items = Table()
        self.texts = Table()
        self.sources = Table()
        self.rows: dict[tuple[int, str], list[tuple[float, float, int]]] = {}
        self._kept: list[Any] = []  # keys are ids of these, so they must stay
        for run in history.runs:
            if run.kind not in _NESTED:
                self._add(run, _ROWS[run.kind])
        self._add_nested([run for run in history.runs if run.kind in _NESTED])

    def as_json(self, title: str) -> str:
        """Everything, as JSON that may stand in a script element."""
        found = peaks()
        return escaped_json({
            "title": title,
            "machine": f"{host_summary()}, threads used: {get_num_threads()}",
            "flops": found.flops,
            "bandwidth": found.bandwidth,
            "leftOut": self.history.left_out,
            "rows": [self._row(key) for key in sorted(self.rows, key=self._order)],
            "items": self.items.entries,
            "texts": self.texts.entries,
            "sources": self.sources.entries,
        })  # fmt: skip

    # ---- rows ----------------------------------------------------------------------------------

    def _order(self, key: tuple[int, str]) -> tuple:
        thread, row = key
        place = _ORDER.index(row) if row in _ORDER else -1
        return (thread != self.history.main_thread, thread, place, row)

    def _row(self, key: tuple[int, str]) -> dict[str, Any]:
        events = sorted(self.rows[key])
        thread, name = key
        main = thread == self.history.main_thread
        return {
            "thread": "main thread" if main else f"thread {thread}",
            "name": name,
            "starts": [start for start, _, _ in events],
            "lengths": [length for _, length, _ in events],
            "items": [item for _, _, item in events],
        }

    def _add(self, run: Run, row: str) -> None:
        start = round((run.start - self.history.began) * 1e6, 2)
        event = (max(start, 0.0), round(run.seconds * 1e6, 2), self._item(run))
        self.rows.setdefault((run.thread, row), []).append(event)

    def _add_nested(self, runs: list[Run]) -> None:
        """Stretches that the program named, one row for each level of nesting."""
        open_until: dict[int, list[float]] = {}
        for run in sorted(runs, key=lambda r: (r.start, -r.end)):
            ends = open_until.setdefault(run.thread, [])
            while ends and ends[-1] <= run.start:
                ends.pop()
            self._add(run, f"calls, level {len(ends) + 1:2}")
            ends.append(run.end)

    # ---- items ---------------------------------------------------------------------------------

    def _item(self, run: Run) -> int:
        if run.kind == KERNEL and run.facts is not None:
            self._kept.append(run.step)
            return self.items.place(self._kernel_key(run), lambda: self._kernel(run))
        key: tuple = (run.kind, run.name, run.line, run.shapes)
        if run.kind == FLUSH:
            self._kept.append(run.compiled)
            key = (*key, run.counts, id(run.compiled))
            return self.items.place(key, lambda: self._flush(run))
        if run.kind == PLAN:
            self._kept.append(run.compiled)
            return self.items.place((PLAN, id(run.compiled)), lambda: self._plan(run))
        return self.items.place(key, lambda: self._plain(run))

    def _kernel_key(self, run: Run) -> tuple:
        """Kernels of several plans are one if they show the same: name, lines and code."""
        step, facts = run.step, run.facts
        assert step is not None and facts is not None
        return (KERNEL, facts, step.function, id(step.library))

    def _plain(self, run: Run) -> dict[str, Any]:
        lines = [] if run.line is None else [self._line(run.line)]
        inputs = [shaped_text(shaped) for shaped in run.shapes]
        return {"kind": run.kind, "name": run.name, "lines": lines, "inputs": inputs}

    def _flush(self, run: Run) -> dict[str, Any]:
        item = self._plain(run)
        item["counts"] = list(run.counts)
        item["texts"] = {} if run.compiled is None else {"Tape and groups": self._plan_of(run)}
        return item

    def _plan(self, run: Run) -> dict[str, Any]:
        return {**self._plain(run), "texts": {"Tape and groups": self._plan_of(run)}}

    def _plan_of(self, run: Run) -> int:
        return self._text(("plan", id(run.compiled)), lambda: plan_text(run.compiled))

    def _text(self, key: Hashable, make: Callable[[], str]) -> int:
        return self.texts.place(key, lambda: packed(make()))

    def _kernel(self, run: Run) -> dict[str, Any]:
        facts, step, compiled = run.facts, run.step, run.compiled
        assert facts is not None and step is not None
        library = step.library
        self._kept += [library, compiled]
        texts = {
            "Group": self._text(
                ("group", id(compiled), step.group), lambda: group_text(compiled, step)
            ),
            "Loop nest": self._text(
                ("nest", id(library), step.function), lambda: loop_nest_text(step)
            ),
            "LLVM IR": self._text(("llvm", id(library)), lambda: llvm_text(step)),
            "Assembly": self._text(
                ("assembly", id(library)), lambda: assembly_of(llvm_text(step), host_target())
            ),
        }
        return {
            "kind": KERNEL, "name": facts.name, "loops": facts.loops, "flops": facts.flops,
            "bytes": facts.moved, "itemsize": facts.itemsize,
            "operations": list(facts.operations),
            "lines": [self._line(line) for line in facts.lines],
            "inputs": [shaped_text(shaped) for shaped in facts.inputs],
            "outputs": [shaped_text(shaped) for shaped in facts.outputs], "texts": texts,
        }  # fmt: skip

    def _line(self, line: Line) -> int:
        """The place of a line of the program among the sources."""
        return self.sources.place(
            (line.file, line.number),
            lambda: [
                line.file, line.number, linecache.getline(line.file, line.number).strip(),
            ],
        )  # fmt: skip
