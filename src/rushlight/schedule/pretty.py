"""Prints a program and its groups: what is computed in one pass, and why the rest is not.  Level 5.

In: a schedule.  Out: text for people, and for golden tests.  Nothing is worked out anew: members,
roles and refusals are those that `fusion.py` noted.
"""

from __future__ import annotations

from collections.abc import Sequence

from rushlight.schedule.fusion import FULL, OPAQUE, PRODUCT, Group, Schedule
from rushlight.tape.program import BUFFER_LEAF, OPERATION, OUTPUT, SCALAR_LEAF, Program, Value

_LONGEST_PARAMETERS = 60


def print_value(value: Value) -> str:
    """One line of a tape: `%3 = reduce_sum(%2, (1,), True) -> float32 [4, 1], kept`."""
    head = f"%{value.slot} = "
    tail = f" -> {value.dtype.name} {list(value.shape)}"
    if value.source == BUFFER_LEAF:
        return f"{head}buffer{tail}"
    if value.source == SCALAR_LEAF:
        return f"{head}number{tail}"
    if value.source == OUTPUT:
        return f"{head}output {value.index} of %{value.inputs[0]}{tail}{_kept(value)}"
    words = [f"%{slot}" for slot in value.inputs]
    words += [_parameter(p) for p in value.params]
    return f"{head}{value.primitive.name}({', '.join(words)}){tail}{_kept(value)}"


def _kept(value: Value) -> str:
    return ", kept" if value.live else ""


def _parameter(parameter: object) -> str:
    text = repr(parameter)
    if len(text) > _LONGEST_PARAMETERS:
        return text[: _LONGEST_PARAMETERS - 3] + "..."
    return text


def print_program(program: Program, *, lines: bool = True) -> str:
    """All values in recorded order; lines: with the user's line of each operation."""
    printed = [(print_value(v), v.line) for v in program.values.values() if _is_shown(v)]
    width = min(max((len(text) for text, _ in printed), default=0), 76)
    rows = []
    for text, line in printed:
        where = f"  # {line[0]}:{line[1]}" if lines and line else ""
        rows.append(f"{text:{width}}{where}".rstrip())
    return "\n".join(rows)


def _is_shown(value: Value) -> bool:
    """Partial results, which only kernels know, are no part of the tape."""
    return value.source != OPERATION or value.primitive is not None


def print_group(schedule: Schedule, position: int, name: str) -> str:
    """One group: its loop, its members, and who was refused and why."""
    group = schedule.groups[position]
    rows = [f"group {position}: {name}, {_shape_of(group)}"]
    for member in group.members.values():
        within = inner_values(schedule, member.value)
        passed = f" in pass {member.stage + 1}" if _passes(group) > 1 else ""
        role = "" if member.role == FULL else f" {member.role}"
        also = f", with {', '.join(f'%{v.slot} {_name(v)}' for v in within)}" if within else ""
        rows.append(f"  %{member.value.slot} {_name(member.value)}{role}{passed}{also}")
    for slot, reason in group.refused:
        rows.append(f"  not %{slot} {_name(schedule.program.values[slot])}: {reason}")
    return "\n".join(rows)


def _passes(group: Group) -> int:
    return 1 + max((m.stage for m in group.members.values()), default=0)


def _shape_of(group: Group) -> str:
    if group.kind == OPAQUE:
        return "an operation of its own"
    if group.kind == PRODUCT:
        return "a matrix product"
    sizes = " x ".join(map(str, group.domain)) or "1"
    passes = _passes(group)
    over = f"{group.kind} over {sizes}"
    return f"{over}, {passes} passes" if passes > 1 else over


def _name(value: Value) -> str:
    return value.primitive.name if value.source == OPERATION else value.source


def inner_values(schedule: Schedule, value: Value) -> list[Value]:
    """Operations that are computed in place, inside the member `value`, in recorded order."""
    return sorted(_below(schedule, value.inputs), key=lambda v: v.slot)


def _below(schedule: Schedule, inputs: Sequence[int]) -> list[Value]:
    values = schedule.program.values
    found: dict[int, Value] = {}
    pending = list(inputs)
    while pending:
        slot = pending.pop()
        value = values[slot]
        if slot in found or slot in schedule.buffers or value.source != OPERATION:
            continue
        found[slot] = value
        pending.extend(value.inputs)
    return list(found.values())


def group_values(schedule: Schedule, position: int) -> list[Value]:
    """Every operation that a group computes, in recorded order."""
    found: dict[int, Value] = {}
    for member in schedule.groups[position].members.values():
        found[member.value.slot] = member.value
        for value in inner_values(schedule, member.value):
            found[value.slot] = value
    return [found[slot] for slot in sorted(found)]
