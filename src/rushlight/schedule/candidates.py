"""Which groups a root may join, found without asking every group.

A program of n operations has about n groups in the worst case, so that asking all of them takes
quadratic time (measured: 4 of 5 seconds for one step of a model of 200 small layers).  A root is
worth asking about a group over the same domain that reduces, or that holds or reads something the
root reads; what reduces itself is worth asking everywhere in its domain.  Level 5.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Sequence

from rushlight.schedule.access import SCALAR

# Operations from which on a group takes no more roots: the time LLVM takes for one function grows
# faster than its length, and kernels of one length are met again.  (A sum over 250 rows written as
# a loop, and its derivative: 5.2 s in four kernels of 500 to 1000 operations.)  The longest kernels
# of ordinary functions, the derivatives of deviations and of cosine similarity, have 92.
MOST_OPERATIONS = 128

Domain = tuple[int, ...]


class Candidates:
    """Positions of groups over rows that are not full, by what a root must share with them."""

    def __init__(self) -> None:
        self.over: dict[Domain, list[int]] = {}
        self.reducing: dict[Domain, list[int]] = {}
        self.touching: dict[tuple[Domain, int], list[int]] = {}
        self.touched: dict[int, set[int]] = {}
        self.operations: dict[int, int] = {}

    def find(
        self, domain: Domain, reads: Iterable[int], reduces: bool, earliest: int | None
    ) -> Sequence[int]:
        """Positions worth asking, in order.

        domain: sizes the root goes over; reads: slots of the buffers it reads.
        earliest: position of the last group it depends on, which it may also join as a value of
            each row; None if it depends on none.
        """
        first = earliest or 0
        if reduces:
            found = set(_since(self.over.get(domain, ()), first))
        else:
            found = set(_since(self.reducing.get(domain, ()), first))
            for slot in reads:
                found.update(_since(self.touching.get((domain, slot), ()), first))
        if earliest is not None and earliest in self.touched:
            found.add(earliest)
        return sorted(found)

    def is_full(self, position: int) -> bool:
        """Whether the group at `position` takes no more."""
        return self.operations.get(position, 0) >= MOST_OPERATIONS

    def note(self, position: int, group, member, operations: int) -> None:
        """A root, computed by so many operations, joined the group over rows at `position`."""
        domain = group.domain
        self.operations[position] = self.operations.get(position, 0) + operations
        if position not in self.touched:
            self.touched[position] = set()
            self.over.setdefault(domain, []).append(position)
        if group.has_reduction:
            _insert(self.reducing.setdefault(domain, []), position)
        slots = self.touched[position]
        for slot in (member.value.slot, *(s for s, kind in member.reads if kind != SCALAR)):
            if slot not in slots:
                slots.add(slot)
                _insert(self.touching.setdefault((domain, slot), []), position)
        if self.is_full(position):
            self._close(position, domain)

    def _close(self, position: int, domain: Domain) -> None:
        self.over[domain].remove(position)
        if position in self.reducing.get(domain, ()):
            self.reducing[domain].remove(position)
        for slot in self.touched.pop(position):
            self.touching[domain, slot].remove(position)


def _since(positions: Sequence[int], first: int) -> Sequence[int]:
    return positions[bisect_left(positions, first) :]


def _insert(positions: list[int], position: int) -> None:
    if position not in positions[bisect_left(positions, position) :][:1]:
        insort(positions, position)
