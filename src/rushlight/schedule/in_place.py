"""Which members of a group may be written over a buffer that the group reads.  Level 5.

That needs more than the buffer's last use: each of its elements must have been read for the last
time when the kernel writes the element at that position.
"""

from __future__ import annotations

from dataclasses import dataclass

from rushlight.schedule.access import SAME
from rushlight.schedule.fusion import FULL, REDUCED, ROWS, Group, Member
from rushlight.tape.program import Program


def overwritable(program: Program, group: Group) -> dict[int, list[int]]:
    """For members that have an element at every position: the buffers they may be written over.

    What was read latest comes first: others may be written over the rest, too.
    """
    if group.kind != ROWS:
        return {}
    readings = _readings(group)
    twice = _stages_that_run_twice(group)
    result: dict[int, list[int]] = {}
    for order, member in enumerate(group.members.values()):
        if member.role == FULL and member.stage not in twice:
            result[member.value.slot] = [
                reading.slot
                for reading in readings
                if reading.is_over(member.stage, order)
                and _same_size(program, reading.slot, member)
            ]
    return result


@dataclass
class _Reading:
    """The last stage that reads a buffer, the last place in it, and whether only loops over all
    elements do so there."""

    slot: int
    stage: int
    place: int
    in_full: bool

    def is_over(self, stage: int, order: int) -> bool:
        """Whether a position has been read when a member is written there."""
        if self.stage != stage:
            return self.stage < stage
        # In one loop: reductions take their elements after all other members have been computed.
        return self.in_full and self.place <= order


def _readings(group: Group) -> list[_Reading]:
    """Of the buffers whose elements are read only where they are written; the latest first."""
    readers: dict[int, list[tuple[Member, str, int]]] = {}
    for order, member in enumerate(group.members.values()):
        for slot, kind in member.reads:
            readers.setdefault(slot, []).append((member, kind, order))
    readings = []
    for slot, found in sorted(readers.items(), key=lambda item: -item[1][-1][2]):
        if slot in group.members or any(kind != SAME for _, kind, _ in found):
            continue
        stage = max(member.stage for member, _, _ in found)
        last = [(member, place) for member, _, place in found if member.stage == stage]
        in_full = all(member.role == FULL for member, _ in last)
        readings.append(_Reading(slot, stage, max(place for _, place in last), in_full))
    return readings


def _same_size(program: Program, slot: int, member: Member) -> bool:
    buffer, value = program.values[slot], member.value
    return buffer.numel == value.numel and buffer.dtype.itemsize == value.dtype.itemsize


def _stages_that_run_twice(group: Group) -> set[int]:
    """Stages that may take a loop for each of several dtypes, all of which compute the rest."""
    reduced: dict[int, set] = {}
    for member in group.members.values():
        if member.role == REDUCED:
            reduced.setdefault(member.stage, set()).add(member.value.dtype)
    return {stage for stage, dtypes in reduced.items() if len(dtypes) > 1}
