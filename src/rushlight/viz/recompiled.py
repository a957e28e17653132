"""`rushlight.why_recompiled()`: what differed when a program left the paths that the memo knew.

In: the departures that the memo noted, the live sets that the engine noted, and the kernels of the
plans that the memo holds.  Out: sentences that name the part of the key that differed, with the
user's line.  Level: viz (12).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rushlight.base.stats import stats
from rushlight.engine.describe import facts_of, loop_nest_text
from rushlight.engine.family import misfits
from rushlight.engine.kernels import COMPILED
from rushlight.engine.realize import live_changes
from rushlight.engine.report import plans_in
from rushlight.engine.steps import NativeStep
from rushlight.tape.memo import NO_STEP, LeafKind, Line, Step, departures, last_operation, memo
from rushlight.tape.primitive import Primitive


@dataclass(frozen=True)
class Recompilation:
    """One departure.

    part: which part of the key differed: `operation`, `operand 1 of add`, `parameter axes of
    reduce_sum`, `shape`, `dtype`, `sizes` (of a known program, where what they have in common
    changed, so that its plan does not serve them), `length` (the tape ended here before), `kept
    values`, or, of a kernel that was compiled although one of the same operations was there,
    `loop nest` or `machine code`.
    before, now: that part, then and now.  line: where the program recorded it.
    """

    part: str
    before: str
    now: str
    line: Line | None

    def __str__(self) -> str:
        at = f" at {self.line.file}:{self.line.number}" if self.line else ""
        return f"{self.part}: {self.before} before, {self.now} now{at}"


class Recompilations(list[Recompilation]):
    """The departures in order; prints as a report."""

    def __str__(self) -> str:
        made, replayed = stats.plans_made, stats.plans_replayed
        lines = [
            f"{made} plans made, {replayed} flushes replayed a plan; machine code: "
            f"{stats.kernels_compiled} kernels compiled, {stats.kernels_from_disk} from disk, "
            f"{stats.kernels_reused} known already"
        ]
        if not self:
            lines.append("every recording followed a path known before, or was the first")
        return "\n".join([*lines, *(f"  {one}" for one in self)])

    __repr__ = __str__


def why_recompiled() -> Recompilations:
    """What differed, each time a program recorded something anew (the last thousand times).

    A changed number or learning rate never appears: numbers are no part of any key.
    """
    found = [_of_departure(expected, made) for expected, made in departures]
    for before, now, steps in live_changes:
        found.append(_of_live_set(before, now, steps))
    found += [Recompilation("sizes", before, now, None) for before, now in misfits]
    return Recompilations([*found, *_of_kernels()])


def recompilations_since(last: tuple[Step, Step] | None) -> list[Recompilation]:
    """The departures that followed `last`; all if it is None or was forgotten."""
    new: list[tuple[Step, Step]] = []
    for departure in reversed(departures):
        if departure is last:
            break
        new.append(departure)
    return [_of_departure(expected, made) for expected, made in reversed(new)]


def _of_departure(expected: Step, made: Step) -> Recompilation:
    # A leaf has no line of its own: the operation before it stands nearest.
    operation = last_operation(made)
    line = operation.line if operation is not None else None
    if expected is NO_STEP:
        return Recompilation("length", "the tape ended", f"{_described(made)} follows", line)
    if expected.primitive is not made.primitive:
        return Recompilation("operation", _described(expected), _described(made), line)
    if isinstance(made.primitive, LeafKind):
        part = "shape" if expected.shape != made.shape else "dtype"
        return Recompilation(part, _described(expected), _described(made), line)
    return Recompilation(*_differing_part(expected, made), line)


def _described(step: Step) -> str:
    name = str(step.primitive)
    if isinstance(step.primitive, LeafKind):
        return f"{name} {step.dtype.name}{list(step.shape)}"
    return name


def _differing_part(expected: Step, made: Step) -> tuple[str, str, str]:
    """Of two keys of one primitive: (primitive, slots..., parameters)."""
    primitive = made.primitive
    for index, (slot, other) in enumerate(zip(expected.key[1:-1], made.key[1:-1]), 1):
        if slot != other:
            return f"operand {index} of {primitive}", _slots(slot), _slots(other)
    names = primitive.params if isinstance(primitive, Primitive) else ()
    for index, (value, other) in enumerate(zip(expected.params, made.params)):
        if value != other or type(value) is not type(other):
            name = names[index] if index < len(names) else str(index)
            return f"parameter {name} of {primitive}", repr(value), repr(other)
    return "operation", _described(expected), _described(made)


def _slots(slot: Any) -> str:
    slots = slot if isinstance(slot, tuple) else (slot,)
    return ", ".join(f"%{one}" for one in slots) or "nothing"


def _of_live_set(before: tuple, now: tuple, steps: list) -> Recompilation:
    added, gone = sorted(set(now) - set(before)), sorted(set(before) - set(now))
    changed = [*added, *gone]
    line = next((steps[slot].line for slot in changed if steps[slot].line is not None), None)
    return Recompilation(
        "kept values",
        f"{_values(gone, steps)} kept" if gone else f"{len(before)} kept",
        f"{_values(added, steps)} kept" if added else f"{len(now)} kept",
        line,
    )


def _of_kernels() -> Iterator[Recompilation]:
    """Kernels that were compiled although one of the same operations was there already."""
    first: dict[tuple[str, ...], tuple[Any, NativeStep]] = {}
    seen: set[int] = set()
    for compiled in _compiled_plans():
        if compiled.schedule is None:
            continue  # its sizes are data: plans made for their sizes tell
        for step in compiled.steps():
            origin = step.library.origin
            if step.group < 0 or origin.kernel is None or id(step.library) in seen:
                continue
            seen.add(id(step.library))
            operations = (*facts_of(compiled, step).operations, str(step.part))
            known = first.setdefault(operations, (compiled, step))
            if known[1] is not step and origin.source == COMPILED:
                yield _of_kernel(known, (compiled, step))


def _of_kernel(before: tuple[Any, NativeStep], now: tuple[Any, NativeStep]) -> Recompilation:
    line = next(iter(facts_of(*now).lines), None)
    name, other = facts_of(*before).name, facts_of(*now).name
    nests = [loop_nest_text(step).splitlines()[1:] for _, step in (before, now)]
    for old, new in itertools.zip_longest(*nests, fillvalue="its end"):
        if old != new:
            was, now_is = f"{name}: {old.strip()}", f"{other}: {new.strip()}"
            return Recompilation("loop nest", was, now_is, line)
    arguments = f"{other} with others, or for another number of elements"
    return Recompilation("machine code", f"{name} with its arguments", arguments, line)


def _compiled_plans() -> Iterator[Any]:
    """Those of the plans that the memo holds, in about the order they were made."""
    pending = [memo.root]
    seen: set[int] = set()
    while pending:
        step = pending.pop()
        for plan in step.plans.values():
            if plan.compiled is not None and id(plan) not in seen:
                seen.add(id(plan))
                yield from [part for _, part in plans_in(plan.compiled)]
        pending.extend(reversed(step.followers()))


def _values(slots: list[int], steps: list) -> str:
    return ", ".join(f"%{slot} {steps[slot].primitive}" for slot in slots)
