"""A kernel that does the work of many alike launches: of each segment its own blocks.

An optimizer updates every parameter by the same code; what differs are addresses, sizes and
numbers.  They lie in a table, and each block finds the segment that it is of:

    how many segments; the first block of each, and how many blocks there are; then of each segment
    the arguments of the kernel

in 8 bytes each.  In: a kernel of the abstract machine.  Out: another one, of such a table.
Level 7.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from rushlight.codegen.grid import BLOCKS, PLACE, TAKEN, WORDS, GridKernel

# Its own place among the blocks of its segment, and how many those are.
_OWN_PLACE, _OWN_BLOCKS = "%join.block", "%join.blocks"


def table_of(segments: Sequence[tuple[int, Sequence[int]]]) -> list[int]:
    """The table of segments, each (blocks, arguments)."""
    starts = [0]
    for blocks, _ in segments:
        starts.append(starts[-1] + blocks)
    rows = [word for _, words in segments for word in words]
    return [len(segments), *starts, *rows]


def row_of(segment: int, count: int, width: int) -> int:
    """Where the arguments of a segment begin, of so many that have so many each."""
    return 2 + count + segment * width


def joined_kernel(kernel: GridKernel) -> GridKernel:
    """The kernel of many launches of another one."""
    return replace(kernel, name=f"joined_{kernel.name}", body=_body(kernel), joined=True)


def _body(kernel: GridKernel) -> str:
    """Finds the last segment that begins at or before a block, by halves, and runs its code."""
    arguments = kernel.arguments()
    lines = [
        f"  %join.count = {TAKEN} i64 {WORDS} then join.begun",
        "join.begun:",
        f"  %join.starts = getelementptr i64, ptr {WORDS}, i64 1",
        f"  %join.place = zext i32 {PLACE} to i64",
        "  br label %join.search",
        "join.search:",
        "  %join.low = phi i64 [ 0, %join.begun ], [ %join.low.next, %join.halved ]",
        "  %join.high = phi i64 [ %join.count, %join.begun ], [ %join.high.next, %join.halved ]",
        "  %join.sum = add i64 %join.low, %join.high",
        "  %join.middle = lshr i64 %join.sum, 1",
        "  %join.middle.at = getelementptr i64, ptr %join.starts, i64 %join.middle",
        f"  %join.start = {TAKEN} i64 %join.middle.at then join.halved",
        "join.halved:",
        "  %join.right = icmp ule i64 %join.start, %join.place",
        "  %join.low.next = select i1 %join.right, i64 %join.middle, i64 %join.low",
        "  %join.high.next = select i1 %join.right, i64 %join.high, i64 %join.middle",
        "  %join.left = sub i64 %join.high.next, %join.low.next",
        "  %join.more = icmp ugt i64 %join.left, 1",
        "  br i1 %join.more, label %join.search, label %join.found",
        "join.found:",
        "  %join.after = add i64 %join.low.next, 1",
        "  %join.first.at = getelementptr i64, ptr %join.starts, i64 %join.low.next",
        "  %join.end.at = getelementptr i64, ptr %join.starts, i64 %join.after",
        f"  %join.first = {TAKEN} i64 %join.first.at then join.first.taken",
        "join.first.taken:",
        f"  %join.end = {TAKEN} i64 %join.end.at then join.end.taken",
        "join.end.taken:",
        "  %join.own = sub i64 %join.place, %join.first",
        "  %join.all = sub i64 %join.end, %join.first",
        f"  {_OWN_PLACE} = trunc i64 %join.own to i32",
        f"  {_OWN_BLOCKS} = trunc i64 %join.all to i32",
        f"  %join.before = mul i64 %join.low.next, {len(arguments)}",
        "  %join.head = add i64 %join.count, 1",
        "  %join.row.place = add i64 %join.head, %join.before",
        "  %join.row = getelementptr i64, ptr %join.starts, i64 %join.row.place",
    ]
    label = "join.end.taken"
    for place, (type_, name) in enumerate(arguments):
        label = f"join.taken{place}"
        lines += [
            f"  %join.at{place} = getelementptr i64, ptr %join.row, i64 {place}",
            f"  {name} = {TAKEN} {type_} %join.at{place} then {label}",
            f"{label}:",
        ]
    body = re.sub(re.escape(PLACE) + r"\b", _OWN_PLACE, kernel.body)
    body = re.sub(re.escape(BLOCKS) + r"\b", _OWN_BLOCKS, body)
    # What the body calls its entry is where it begins here.
    body = re.sub(r"%entry\b", f"%{label}", body)
    return "\n".join([*lines, body])
