"""How the elements of a fused expression reach the buffers it reads.  Level 5.

A kernel runs over a domain: a shape whose last `tail` axes form one inner loop.  Walking from a
root down through operations that are computed in place, each buffer read is of one kind:

    same    the element at the domain's own position
    row     one element for each position of the outer axes
    scalar  one element for all
    other   some other position (transposed, sliced, broadcast along outer axes)
"""

from __future__ import annotations

from collections.abc import Callable

from rushlight.tape.program import BUFFER_LEAF, OPERATION, SCALAR_LEAF, Program, Value

SAME, ROW, SCALAR, OTHER = "same", "row", "scalar", "other"


class Unreachable(Exception):
    """The expression cannot be computed over the domain with this inner loop."""


def squeezed(shape) -> tuple[int, ...]:
    """The shape without axes of size 1."""
    return tuple(n for n in shape if n != 1)


def broadcast_kind(outer_kind: str, outer, inner, tail: int) -> str:
    """The kind of reading a value of shape `inner` broadcast to shape `outer`.

    Raises: Unreachable if the inner loop would cross axes of both kinds.
    """
    count = 1
    for n in inner:
        count *= n
    if count == 1:
        return SCALAR
    if tuple(outer) == tuple(inner):
        return outer_kind
    padded = (1,) * (len(outer) - len(inner)) + tuple(inner)
    inside = padded[len(padded) - tail :]
    domain_tail = tuple(outer[len(outer) - tail :])
    if outer_kind in (ROW, SCALAR):
        if squeezed(padded) == squeezed(outer):
            return outer_kind
        raise Unreachable("broadcast below a broadcast")
    all_ones = all(n == 1 for n in inside)
    if not all_ones and inside != domain_tail:
        raise Unreachable("the inner loop crosses a broadcast axis and another")
    if outer_kind == OTHER:
        return OTHER
    lead_equal = padded[: len(padded) - tail] == tuple(outer[: len(outer) - tail])
    if all_ones and lead_equal:
        return ROW
    if not all_ones and lead_equal:
        return SAME
    return OTHER


def is_joined(shape, tail: int) -> bool:
    """Whether the last `tail` axes of a shape, as one axis, stand for several that differ."""
    return sum(n != 1 for n in shape[len(shape) - tail :]) > 1


def keeps_joined(value: Value, tail: int) -> bool:
    """Whether the last `tail` axes of a permutation or a window are one axis of its operand too."""
    if value.primitive.name == "permute":
        axes = tuple(value.params[0])
        return axes[len(axes) - tail :] == tuple(range(len(axes) - tail, len(axes)))
    size, strides = value.params
    return joined_stride(size, strides, tail) is not None


def joined_stride(size, strides, tail: int) -> int | None:
    """The distance of neighbors on the last `tail` axes of a window, if they are evenly spaced."""
    found = None
    reach = 0
    for axis in range(len(size) - 1, len(size) - 1 - tail, -1):
        if size[axis] == 1:
            continue
        if found is None:
            found = strides[axis]
        elif strides[axis] != reach:
            return None
        reach = strides[axis] * size[axis]
    return found or 0


def reads(
    program: Program,
    root: Value,
    is_buffer: Callable[[int], bool],
    tail: int,
    kind: str = SAME,
) -> list[tuple[int, str]]:
    """(slot, kind) of every buffer that computing `root` over its shape reads.

    Raises: Unreachable.
    """
    found: list[tuple[int, str]] = []
    # (slot, kind, whether only the row-major position is known, inner axes that are one index)
    stack: list[tuple[int, str, bool, int]] = []
    _push_operands(program, root, kind, False, tail, stack)
    while stack:
        slot, kind_here, flat_only, joined = stack.pop()
        value = program.values[slot]
        if value.source == SCALAR_LEAF:
            continue
        if value.source == BUFFER_LEAF or is_buffer(slot):
            found.append((slot, SCALAR if value.numel == 1 else kind_here))
            continue
        _push_operands(program, value, kind_here, flat_only, joined, stack)
    return found


def _push_operands(program, value, kind, flat_only, tail, stack) -> None:
    assert value.source == OPERATION
    name = value.primitive.name
    # A value that is broadcast may have fewer axes than are inner: then all of them are.
    tail = min(tail, len(value.shape))
    if value.primitive.kind == "elementwise" or name == "expand":
        for slot in value.inputs:
            operand = program.values[slot]
            if operand.numel != 1 and tuple(operand.shape) != tuple(value.shape) and flat_only:
                raise Unreachable("broadcast below a reshape")
            operand_kind = broadcast_kind(kind, value.shape, operand.shape, tail)
            stack.append((slot, operand_kind, flat_only, tail))
    elif name == "copy":
        stack.append((value.inputs[0], kind, flat_only, tail))
    elif name == "reshape":
        # Below a reshape only the row-major position is known.
        stack.append((value.inputs[0], kind, True, tail))
    elif name == "segment":
        if kind == ROW:
            raise Unreachable("a segment needs the position along each axis")
        stack.append((value.inputs[0], OTHER, True, tail))
    elif name in ("permute", "strided_read"):
        joined = tail if is_joined(value.shape, tail) else 0
        if flat_only or kind == ROW or (joined and not keeps_joined(value, tail)):
            raise Unreachable(f"{name} needs the position along each axis")
        # Each axis of what is permuted has an index of its own, or those that stay together one;
        # of a window only the place is known.
        joined = joined if name == "permute" else 0
        stack.append((value.inputs[0], OTHER, name == "strided_read", joined))
    elif name != "iota":
        raise Unreachable(f"{name} is not computed in place")
