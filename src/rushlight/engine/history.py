"""What happened while somebody watched: recording, flushes, compiles, kernels, in order.

In: events.  Out: `Run`s, which hold no tensors: names, times, the user's lines, and the compiled
plans and steps from which reports take loop nests and code.  Level 9.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from rushlight.base.observe import (
    FLUSH,
    FUNCTION,
    KERNEL,
    LIBRARY,
    PLAN,
    REFERENCE,
    Event,
    clock,
)
from rushlight.engine.describe import KernelFacts, Shaped, facts_of
from rushlight.engine.steps import NativeStep
from rushlight.schedule.pretty import print_program
from rushlight.tape.memo import Line, user_line
from rushlight.tape.program import program_of

RECORDING = "recording"  # from one flush of a thread to its next: Python and recording


@dataclass(slots=True)
class Run:
    """One stretch of time on one thread.

    line: of a flush or a function, the line that asked for it; of a reference operation, the one
    it was recorded at.  shapes: dtypes and shapes of the operands.  stack: who called a function.
    facts, step: of a kernel.  compiled: of a kernel, a compile or a flush that ran compiled.
    counts: of a flush: operations run, dropped, and values kept; of recording: nodes.
    kept_bytes: of a flush, bytes of the values it made and kept.
    tape: of a flush that ran by reference rules alone, the tape as text.
    """

    kind: str
    name: str
    start: float
    end: float
    thread: int
    line: Line | None = None
    shapes: tuple[Shaped, ...] = ()
    stack: tuple[str, ...] = ()
    facts: KernelFacts | None = None
    step: NativeStep | None = None
    compiled: Any = None
    counts: tuple[int, ...] = ()
    kept_bytes: int = 0
    tape: str = ""

    @property
    def seconds(self) -> float:
        """How long it lasted."""
        return self.end - self.start


class History:
    """A watcher that keeps Runs in the order they ended.

    most: how many it keeps; later ones are counted in `left_out`.
    with_tapes: whether to keep the tapes of flushes that no compiled plan describes.
    """

    def __init__(self, most: int | None = None, *, with_tapes: bool = False) -> None:
        self.runs: list[Run] = []
        self.most = most
        self.left_out = 0
        self.with_tapes = with_tapes
        self.began = clock()
        self.main_thread = threading.get_ident()
        self._flushed: dict[int, float] = {}

    def __call__(self, event: Event) -> None:
        if self.most is not None and len(self.runs) >= self.most:
            self.left_out += 1
            return
        run = Run(event.kind, event.name, event.start, event.end, event.thread)
        describe = _DESCRIBE.get(event.kind)
        if describe is not None:
            describe(self, run, event.detail)
        self.runs.append(run)

    def of_kind(self, kind: str) -> list[Run]:
        """The runs of one kind."""
        return [run for run in self.runs if run.kind == kind]

    # ---- kinds ---------------------------------------------------------------------------------

    def _flush(self, run: Run, detail: Any) -> None:
        plan, nodes = detail
        run.line = user_line()
        run.compiled = plan.compiled
        run.counts = (len(plan.instructions), plan.dropped, len(plan.live))
        run.kept_bytes = sum(getattr(nodes[slot].value, "nbytes", 0) for slot in plan.live)
        if run.compiled is None and self.with_tapes:
            run.tape = print_program(program_of(plan, nodes))
        began = self._flushed.get(run.thread, self.began)
        recording = Run(RECORDING, f"recording {len(nodes)} values", began, run.start, run.thread)
        recording.counts = (len(nodes),)
        recording.line = run.line
        self.runs.append(recording)
        self._flushed[run.thread] = run.end

    def _plan(self, run: Run, compiled: Any) -> None:
        run.compiled = compiled
        run.name = f"compile {len(compiled.plan.instructions)} operations"

    def _kernel(self, run: Run, detail: Any) -> None:
        run.compiled, run.step = detail
        run.facts = facts_of(*detail)
        run.name = run.facts.name
        run.shapes = run.facts.inputs

    def _library(self, run: Run, library: Any) -> None:
        run.name = f"machine code {run.name}"

    def _reference(self, run: Run, step: Any) -> None:
        run.line = step.line
        run.shapes = tuple((o.dtype.name, tuple(o.shape)) for o in step.operands)

    def _function(self, run: Run, detail: Any) -> None:
        run.shapes, run.stack = detail
        run.line = user_line()


_DESCRIBE = {
    FLUSH: History._flush,
    PLAN: History._plan,
    KERNEL: History._kernel,
    LIBRARY: History._library,
    REFERENCE: History._reference,
    FUNCTION: History._function,
}
