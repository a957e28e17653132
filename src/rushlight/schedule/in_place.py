"""Which members of a group may be written over a buffer that the group reads.  Level 5.

That needs more than the buffer's last use: each of its elements must have been read for the last
time when the kernel writes the element at that position.
"""

from __future__ import annotations

from rushlight.schedule.access import SAME
from rushlight.schedule.fusion import FULL, REDUCED, ROWS, Group, Member
from rushlight.schedule.program import Program


def overwritable(program: Program, group: Group) -> dict[int, list[int]]:
    """For members that have an element at every position: the buffers they may be written over.

    What was read latest comes first: others may be written over the rest, too.
    """
    if group.kind != ROWS:
        return {}
    readers: dict[int, list[tuple[Member, str, int]]] = {}
    for order, member in enumerate(group.members.values()):
        for slot, kind in member.reads:
            readers.setdefault(slot, []).append((member, kind, order))
    by_last_reader = sorted(readers.items(), key=lambda item: -item[1][-1][2])
    result: dict[int, list[int]] = {}
    for order, member in enumerate(group.members.values()):
        if member.role != FULL or _runs_twice(group, member.stage):
            continue
        result[member.value.slot] = [
            slot
            for slot, reading in by_last_reader
            if slot not in group.members
            and _same_size(program, slot, member)
            and all(
                kind == SAME and _is_over(reader, place, member, order)
                for reader, kind, place in reading
            )
        ]
    return result


def _same_size(program: Program, slot: int, member: Member) -> bool:
    buffer, value = program.values[slot], member.value
    return buffer.numel == value.numel and buffer.dtype.itemsize == value.dtype.itemsize


def _is_over(reader: Member, place: int, member: Member, order: int) -> bool:
    """Whether a reader has read a position when the member is written there."""
    if reader.stage != member.stage:
        return reader.stage < member.stage
    # In one loop: reductions take their elements after all other members have been computed.
    return reader.role == FULL and place <= order


def _runs_twice(group: Group, stage: int) -> bool:
    """Whether a stage may take a loop for each of several dtypes, all of which compute it."""
    reduced = {
        m.value.dtype for m in group.members.values() if m.role == REDUCED and m.stage == stage
    }
    return len(reduced) > 1
