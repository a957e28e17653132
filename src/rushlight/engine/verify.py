"""What must hold after each stage of the compiler; asked with RUSHLIGHT_VERIFY=1, always in tests.

Each function gives a sentence for each fault.  Loop nests are checked by `loopnest/verify.py` when
they become machine code, passes of the simplifier one by one by `simplify/verify.py`.  Level 9.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from rushlight.schedule.fusion import OPAQUE, Schedule
from rushlight.tape.program import OPERATION, OUTPUT, Program, Value

COMPUTED = (OPERATION, OUTPUT)


def faults_of_program(program: Program, before: Program) -> Iterator[str]:
    """Values come before what reads them, and the same ones are kept as before."""
    defined: set[int] = set()
    for value in program.order:
        for operand in value.inputs:
            if operand not in defined and _is_made_by_steps(program.values[operand]):
                yield f"{value} reads %{operand} before it is computed"
        defined.add(value.slot)
    if _kept(program) != _kept(before):
        yield "other values are kept than before"


def _kept(program: Program) -> dict[int, tuple]:
    return {v.slot: (v.shape, v.dtype) for v in program.order if v.live}


def faults_of_schedule(schedule: Schedule) -> Iterator[str]:
    """Every value with memory is made by one group, from what is there by then."""
    values = schedule.program.values
    made: set[int] = set()
    for position, group in enumerate(schedule.groups):
        for slot in group.members:
            if slot in made:
                yield f"%{slot} is made twice, the second time by group {position}"
        # A member reads what an earlier loop of its own group leaves.
        there = made | group.members.keys()
        for slot, member in group.members.items():
            read = [s for s, _ in member.reads] if group.kind != OPAQUE else member.value.inputs
            for operand in read:
                memory = schedule.memory(operand)
                if _is_made_by_steps(values[memory]) and memory not in there:
                    yield f"group {position} reads %{operand} for %{slot} before it is made"
        made |= group.members.keys()
    for value in schedule.program.order:
        if value.live and value.source in COMPUTED and schedule.memory(value.slot) not in made:
            yield f"%{value.slot} is kept and no group makes it"


def _is_made_by_steps(value: Value) -> bool:
    return value.source in COMPUTED


def faults_of_sequence(lowered: Any) -> Iterator[str]:
    """Steps read memory that holds something: a leaf, a constant, or what an earlier step wrote.

    A step may be given what a later one of its own group writes: packing a product's operands.
    """
    values = lowered.program.values
    steps = [item for item in lowered.sequence if not isinstance(item, Value)]
    groups = {slot: step.group for step in reversed(steps) for slot in step.written}
    written: set[int] = set()
    for place, item in enumerate(lowered.sequence):
        if isinstance(item, Value):
            group, read, wrote = -1, set(lowered.buffers_of(item)[1:]), {item.slot}
        else:  # of whichever back end
            strangers = item.written - set(item.buffers)
            if strangers:
                yield f"step {place}, {item.function}, writes {strangers}, which it is not given"
            group, read, wrote = item.group, set(item.buffers) - item.written, item.written
        for slot in sorted(read - written - lowered.constants.keys()):
            if not _is_made_by_steps(values[slot]) or groups.get(slot) == group:
                continue
            # What only kernels know and no step writes is a table or a place to pack into.
            if values[slot].primitive is not None or slot in groups:
                yield f"step {place} reads %{slot}, which nothing has written"
        written |= wrote
    if not 0 <= lowered.safe_from <= len(lowered.sequence):
        yield f"nothing can fail from step {lowered.safe_from} of {len(lowered.sequence)} on"


def faults_of_placement(
    offsets: dict[int, int],
    sizes: dict[int, int],
    lifetimes: Any,
    over: dict[int, int],
    total: int,
) -> Iterator[str]:
    """No two values that are needed at one time share a byte of the arena.

    offsets, sizes: of each slot, in bytes.  over: values written over another, at whose last use
    they begin.  total: bytes of the arena.
    """
    slots = sorted(offsets, key=lifetimes.first.__getitem__)
    for place, slot in enumerate(slots):
        if offsets[slot] + sizes[slot] > total:
            yield f"%{slot} ends beyond the arena's {total} bytes"
        for other in _needed_with(slot, slots[place + 1 :], lifetimes):
            begins, ends = offsets[slot], offsets[slot] + sizes[slot]
            apart = ends <= offsets[other] or offsets[other] + sizes[other] <= begins
            if not apart and over.get(other) != slot:
                yield f"%{slot} and %{other} are needed at one time and share memory"


def _needed_with(slot: int, later: Iterable[int], lifetimes: Any) -> Iterator[int]:
    """Of values that begin later, those that begin while this one is needed."""
    for other in later:
        if lifetimes.first[other] > lifetimes.last[slot]:
            return
        yield other
