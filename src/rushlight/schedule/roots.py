"""Roots: the values that get a buffer; all others are computed in place by their users.  Level 5.

Stored are live values, what products and reference rules read and write, results of reductions, and
what several operations read, unless repeating it costs less than a trip through memory: a move or
a conversion of a buffer, or a few light operations on one.  Inside one kernel nothing is repeated:
code generation writes equal operations once.
"""

from __future__ import annotations

from rushlight.base.symbolic import is_likely_less
from rushlight.primitives.elementwise import cast
from rushlight.primitives.source import iota
from rushlight.tape.program import OPERATION, OUTPUT, SCALAR_LEAF, Program, Value

# Operations in an expression that is repeated for each of its users.
_MOST_REPEATED = 4

# Operations on numbers that are repeated for each of their users: each user is given its constants.
_MOST_ON_NUMBERS = 12

# Operations computed in place below one root: expressions are walked recursively.
DEEPEST_EXPRESSION = 40
# And all of them together, with those that are met twice.
LARGEST_EXPRESSION = 128


def choose_roots(program: Program, products: dict, fusable: dict[int, bool]) -> set[int]:
    """Slots of the values that get a buffer.

    products: for the slot of each matrix product, the buffers it reads.
    fusable: for each slot, whether a kernel can compute the value in place.
    """
    return _Chooser(program, products, fusable).run()


def operations_in_place(program: Program, roots: set[int]) -> dict[int, int]:
    """For the slot of each operation, how many compute it from buffers, itself included."""
    size: dict[int, int] = {}
    for value in program.order:
        size[value.slot] = _operations(value, size, roots)
    return size


def _operations(value: Value, size: dict[int, int], roots: set[int]) -> int:
    return 1 + sum([size.get(s, 0) for s in value.inputs if s not in roots])


class _Chooser:
    def __init__(self, program: Program, products: dict, fusable: dict[int, bool]) -> None:
        self.program = program
        self.values = program.values
        self.products = products
        self.fusable = fusable
        self.roots: set[int] = set()
        self.place = {value.slot: place for place, value in enumerate(program.order)}
        self.last_use = {
            slot: max((self.place[user] for user in users), default=-1)
            for slot, users in program.users.items()
        }

    def run(self) -> set[int]:
        # These first: a view of one of them is then known to cost nothing.
        for value in self.program.order:
            self._choose_forced(value)
        depth: dict[int, int] = {}
        size: dict[int, int] = {}
        for value in self.program.order:
            size[value.slot] = _operations(value, size, self.roots)
            depth[value.slot] = 1 + max(
                (depth.get(s, 0) for s in value.inputs if s not in self.roots), default=0
            )
            if value.slot in self.roots:
                continue
            if (
                value.live
                or value.primitive.kind == "reduction"
                or depth[value.slot] > DEEPEST_EXPRESSION
                or size[value.slot] > LARGEST_EXPRESSION
            ):
                self.roots.add(value.slot)
            elif len(self.program.users[value.slot]) > 1:
                self._choose_shared(value)
        return self.roots

    def _choose_forced(self, value: Value) -> None:
        """What products and reference rules read and write."""
        if value.slot in self.products:
            self.roots.add(value.slot)
            read = [operand.slot for operand in self.products[value.slot]]
        elif not self.fusable[value.slot]:
            self.roots.add(value.slot)
            read = list(value.inputs)
        else:
            return
        self.roots.update(slot for slot in read if self._is_computed(self.values[slot]))

    def _is_computed(self, value: Value) -> bool:
        """Whether a value is neither a leaf nor stored already."""
        return value.source in (OPERATION, OUTPUT) and value.slot not in self.roots

    def _choose_shared(self, value: Value) -> None:
        if self._is_trivial(value):
            return
        if value.primitive.view:
            # What is moved is no larger, and may be read as it lies too.
            while self._is_computed(value) and value.primitive.view:
                value = self.values[value.inputs[0]]
            if self._is_computed(value):
                self.roots.add(value.slot)
        elif not self._is_cheap_to_repeat(value):
            self.roots.add(value.slot)

    def _is_trivial(self, value: Value) -> bool:
        """Moved or converted buffers, and numbers that few operations give."""
        stack, on_numbers = [value], 0
        while stack:
            current = stack.pop()
            if current.source != OPERATION or current.slot in self.roots:
                continue
            primitive = current.primitive
            if not primitive.moves and primitive is not cast and primitive is not iota:
                on_numbers += 1
                if current.numel != 1 or current.primitive.kind != "elementwise":
                    return False
                if on_numbers > _MOST_ON_NUMBERS:
                    return False
            stack.extend(self.values[s] for s in current.inputs)
        return True

    def _is_cheap_to_repeat(self, value: Value) -> bool:
        """Whether each user had better compute a value again from the one large buffer it is of.

        Smaller operands, which are broadcast, such as the mean of each row, are stored on the way.
        How much smaller they are does not count: another batch size must not change a kernel.
        """
        if value.numel == 1 or not value.primitive.light:
            return False
        operations = 0
        large: set[int] = set()
        small: list[Value] = []
        stack = [value]
        while stack:
            current = stack.pop()
            if current.source == SCALAR_LEAF:
                continue
            if not self._is_computed(current):
                if not is_likely_less(current.numel, value.numel):
                    large.add(current.slot)
            elif is_likely_less(current.numel, value.numel):
                small.append(current)
            elif current.primitive.light:
                operations += 1
                stack.extend(self.values[s] for s in current.inputs)
            elif current.primitive.keeps_order:
                stack.append(self.values[current.inputs[0]])
            else:
                return False
        if operations > _MOST_REPEATED or len(large) > 1:
            return False
        if any(not self._stays_anyway(slot, value) for slot in large):
            return False
        for computed in small:
            self._store_small(computed)
        return True

    def _stays_anyway(self, slot: int, value: Value) -> bool:
        """Whether reading a buffer in place of a value takes no more memory for longer."""
        buffer = self.values[slot]
        if not self._is_operation(buffer) or buffer.live:
            return True
        if buffer.numel * buffer.dtype.itemsize <= value.numel * value.dtype.itemsize:
            return True
        return self.last_use[slot] >= self.last_use[value.slot]

    def _is_operation(self, value: Value) -> bool:
        return value.source in (OPERATION, OUTPUT)

    def _store_small(self, value: Value) -> None:
        """A small operand gets a buffer, or what it is a view of."""
        while self._is_computed(value) and value.primitive.view:
            value = self.values[value.inputs[0]]
        if self._is_computed(value) and value.numel > 1 and not self._is_trivial(value):
            self.roots.add(value.slot)
