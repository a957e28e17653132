"""Copies that need not be made, and checks that are made early: an order of steps and names.

An operation that writes into a part of its operand (`strided_write`, `put`, `scatter`) is lowered
as a copy of the whole and writes into that.  Where the operand ends there, the result may have its
memory, and the copy goes: so the row that a program writes into a long cache costs a row.  A check
of indices needs nothing but the indices; done as early as they are known, it leaves the steps
after it nothing to fail by, which is what writing over a leaf asks for.  Level 9.
"""

from __future__ import annotations

from typing import Any

from rushlight.engine.steps import NativeStep
from rushlight.tape.program import OPERATION, Program


def with_checks_early(sequence: list, checks: int | None, uses: list[list[int]]) -> int:
    """Move the steps that check indices to where these are known; returns where safety begins.

    checks: slot of the flags that such a step writes, and nothing else.  uses: slots of the memory
    that each item uses; brought into the new order, too.
    """
    order: list[tuple[Any, list[int]]] = []
    written_at: dict[int, int] = {}
    for item, used in zip(sequence, uses):
        entry = (item, used)
        if _is_check(item, checks):
            place = 1 + max([written_at.get(s, -1) for s in used if s != checks], default=-1)
            order.insert(place, entry)
            for slot, at in written_at.items():
                if at >= place:
                    written_at[slot] = at + 1
            continue
        for slot in item.written if isinstance(item, NativeStep) else (item.slot,):
            written_at[slot] = len(order)
        order.append(entry)
    sequence[:] = [item for item, _ in order]
    uses[:] = [used for _, used in order]
    safe = 0
    for place, item in enumerate(sequence):
        if not isinstance(item, NativeStep) or _is_check(item, checks):
            safe = place + 1
    return safe


def _is_check(item: Any, checks: int | None) -> bool:
    return isinstance(item, NativeStep) and checks is not None and item.written == {checks}


def join_copied(sequence: list, uses: list[list[int]], program: Program) -> dict[int, int]:
    """Give what ends where it is copied the memory of its copy, and drop the copy.

    Returns slot -> slot whose memory it has, of what lost its own.
    """
    joined: dict[int, int] = {}
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    # Reference rules know their operands by the program's slots.
    fixed: set[int] = set()
    for time, (item, used) in enumerate(zip(sequence, uses)):
        for slot in used:
            first.setdefault(slot, time)
            last[slot] = time
        if not isinstance(item, NativeStep):
            fixed.update(used)
    written = {s for item in sequence if isinstance(item, NativeStep) for s in item.written}
    dropped: list[int] = []
    for time, item in enumerate(sequence):
        if not isinstance(item, NativeStep) or item.copies is None:
            continue
        old, new = item.copies
        value = program.values[old]
        computed = old in written and old not in fixed and not value.live
        if computed and last[old] == time and first[new] == time:
            joined[old] = new
            dropped.append(time)
            first[new] = first[old]
    for time in reversed(dropped):
        del sequence[time]
        del uses[time]
    if joined:
        for source in joined:
            while joined[source] in joined:
                joined[source] = joined[joined[source]]
        _rename(sequence, uses, joined)
    return joined


def _rename(sequence: list, uses: list[list[int]], joined: dict[int, int]) -> None:
    for time, item in enumerate(sequence):
        if isinstance(item, NativeStep):
            item.buffers = [joined.get(slot, slot) for slot in item.buffers]
            item.written = {joined.get(slot, slot) for slot in item.written}
            if item.copies is not None:
                old, new = item.copies
                item.copies = joined.get(old, old), joined.get(new, new)
            uses[time] = item.buffers


def copies_of_leaves(sequence: list, program: Program) -> dict[int, NativeStep]:
    """Of each kept value that begins as the copy of a leaf, or of what has no name here, the step
    that copies; by the value's slot."""
    return {
        item.copies[1]: item
        for item in sequence
        if isinstance(item, NativeStep)
        and item.copies is not None
        and program.values[item.copies[0]].source != OPERATION
        and program.values[item.copies[1]].live
    }
