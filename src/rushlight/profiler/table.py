"""Averages of a profile as a table of text, laid out as PyTorch does.  Level: profiler (12)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any

_SPACING = 2
_NUMBER_WIDTH = 12
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}
MEMORY, FLOPS, SHAPES, STACKS = "memory", "flops", "shapes", "stacks"


def format_time(microseconds: float) -> str:
    """With the unit that fits: `12.345us`, `1.234ms`, `2.000s`."""
    for unit in ("s", "ms"):
        if microseconds >= _UNITS[unit]:
            return f"{microseconds / _UNITS[unit]:.3f}{unit}"
    return f"{microseconds:.3f}us"


def format_time_in(microseconds: float, unit: str | None) -> str:
    """In a given unit.  Raises: AssertionError unless it is s, ms or us."""
    if unit is None:
        return format_time(microseconds)
    assert unit in _UNITS, f"table: time_unit {unit!r} is not one of s, ms, us"
    return f"{microseconds / _UNITS[unit]:.3f}{unit}"


def format_share(part: float, whole: float) -> str:
    """As per cent of the whole."""
    return f"{100 * part / whole:.2f}%" if whole else "NaN"


def format_memory(size: int) -> str:
    """With the unit that fits: `16 B`, `1.50 KB`."""
    for name, bytes_ in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(size) >= bytes_:
            return f"{size / bytes_:.2f} {name}"
    return f"{size} B"


def flops_scale(events: Sequence[Any]) -> tuple[float, str]:
    """(divisor, heading) by the largest number of operations."""
    largest = max((event.flops or 0 for event in events), default=0)
    for power, name in ((12, "TFLOPs"), (9, "GFLOPs"), (6, "MFLOPs"), (3, "KFLOPs")):
        if largest >= 10**power:
            return 10.0**power, f"Total {name}"
    return 1.0, "Total FLOPs"


def build_table(
    events: list[Any],
    total: float,
    columns: Collection[str],
    row_limit: int,
    widths: tuple[int, int, int],
    header: str | None,
    time_unit: str | None,
) -> str:
    """The table; widths: most characters of the name, shapes and source columns."""
    if not events:
        return ""
    rows = events if row_limit < 0 else events[:row_limit]
    made = _columns(rows, total, columns, time_unit)
    name_width, shapes_width, source_width = widths
    cells = [[text(event) for _, text, _ in made] for event in rows]
    limits = {"Name": name_width, "Input Shapes": shapes_width, "Source Location": source_width}
    sizes = []
    for place, (title, _, _) in enumerate(made):
        longest = max([len(row[place]) for row in cells], default=0) + 4
        size = min(longest, limits[title]) if title in limits else _NUMBER_WIDTH
        sizes.append(max(size, len(title)))
    rule = (" " * _SPACING).join("-" * size for size in sizes) + " " * _SPACING
    lines = []
    if header is not None:
        lines += ["=" * len(rule), header]
    lines += [rule, _line([title for title, _, _ in made], made, sizes), rule]
    lines += [_line(row, made, sizes) for row in cells]
    lines += [rule, f"Self CPU time total: {format_time_in(total, time_unit)}", ""]
    return "\n".join(lines)


def _columns(
    events: list[Any], total: float, columns: Collection[str], unit: str | None
) -> list[tuple[str, Callable[[Any], str], bool]]:
    """(title, text of an event, whether it stands at the left)."""

    def time(microseconds: float) -> str:
        return format_time_in(microseconds, unit)

    made: list[tuple[str, Callable[[Any], str], bool]] = [
        ("Name", lambda e: e.key, False),
        ("Self CPU %", lambda e: format_share(e.self_cpu_time_total, total), False),
        ("Self CPU", lambda e: time(e.self_cpu_time_total), False),
        ("CPU total %", lambda e: format_share(e.cpu_time_total, total), False),
        ("CPU total", lambda e: time(e.cpu_time_total), False),
        ("CPU time avg", lambda e: time(e.cpu_time), False),
    ]
    if MEMORY in columns:
        made.append(("CPU Mem", lambda e: format_memory(e.cpu_memory_usage), False))
        made.append(("Self CPU Mem", lambda e: format_memory(e.self_cpu_memory_usage), False))
    made.append(("# of Calls", lambda e: str(e.count), False))
    if SHAPES in columns:
        made.append(("Input Shapes", lambda e: str(e.input_shapes), False))
    if STACKS in columns:
        made.append(("Source Location", lambda e: " <- ".join(e.stack) or "--", True))
    if FLOPS in columns:
        scale, title = flops_scale(events)
        made.append((title, lambda e: f"{e.flops / scale:.3f}" if e.flops else "--", False))
    return made


def _line(cells: list[str], made: list, sizes: list[int]) -> str:
    texts = []
    for cell, (_, _, left), size in zip(cells, made, sizes):
        shown = cell if len(cell) <= size else cell[: size - 3] + "..."
        texts.append(shown.ljust(size) if left else shown.rjust(size))
    return (" " * _SPACING).join(texts) + " " * _SPACING
