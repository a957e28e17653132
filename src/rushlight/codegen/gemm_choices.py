"""Which GEMM serves a product: how its operands are read, its cores, its tiles.

Everything follows from sizes, strides and what the Target says of caches; nothing of it changes a
result.  A packed operand lies in the order in which the cores read it.  One that lies where it is
costs more where its pieces fall into few sets of a cache or into many pages, and packing costs what
a few uses of an element do.  Uses are counted in cores: each element of A meets every panel of B,
each element of B every sliver of A.  Level 7.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from rushlight.base.errors import InternalError
from rushlight.base.target import Target
from rushlight.codegen.arithmetic import arithmetic_of
from rushlight.codegen.gemm import (
    A_COLUMNS,
    A_DIRECT,
    A_LINES,
    B_ANY,
    B_COLUMNS,
    B_DIRECT,
    B_LINES,
    B_LOCAL_COLUMNS,
    B_LOCAL_ROWS,
    B_ROWS,
    EDGE_ANY,
    EDGE_NARROW,
    EDGE_NONE,
    GATHER_ROWS,
    LINE_ROWS,
    LOCAL,
    PACKED,
    GemmSpec,
    packed_rows,
    tiles_named,
    tiles_of,
)
from rushlight.codegen.microkernel import K_BLOCK, TileSet, largest_rows, tile_set
from rushlight.loopnest.ir import itemsize

# Work of one tile worth another thread's attention: about a microsecond of a wide vector unit.
TILE_FLOPS = 1 << 18
# Elements to pack worth another thread's attention, likewise.
PACK_ELEMENTS = 1 << 14
# First-level caches find a line by the bits of its address inside of a page.
PAGE_BYTES = 4 << 10
# Pages that the first-level table of translations holds, on every machine of the last ten years.
PAGES_KEPT = 64
# Ways of a second-level cache: fewer are taken to be there than most have.
L2_WAYS = 8
# Packing an element of A costs about as much as two uses of it in registers, and saves part of
# each: a twentieth, or at least half where its rows are in each other's way.
A_USES, A_USES_CROWDED = 16, 4
# The same where A lies across the rows of memory and is so many second-level caches large: it is
# packed in the order in which it lies.
A_USES_AFAR, A_AFAR = 2, 4
# Packing B costs a use, as it is copied in vectors, or two where it is transposed.  In place it is
# read for a tenth more by each sliver, for some more where it is scattered, though cores ask ahead.
B_USES, B_USES_SCATTERED = 9, 7
# Part of the second-level cache for the panels of B that a tile's rows meet one after the other.
GROUP_PART = 8
# What a tile adds to its products, in uses of what it reads: packing A; packing B for itself, or
# bringing it in from a farther cache.
A_PACKED_USES, B_PACKED_USES, B_READ_USES = 2, 2, 0.5
# Part of the time that another tile must save.
WORTH_BALANCING = 0.01
# Up to so many tiles below each other each packs B for itself: no pass over it comes before.
LOCAL_TILES = 2


@dataclass(frozen=True)
class GemmBlocks:
    """Tiles of C handed out to workers, and the workspace of the packed B in elements."""

    tile_m: int
    tile_n: int
    tiles_m: int
    tiles_n: int
    panels: int
    workspace: int
    group: int  # columns of B that stay at hand
    grain: int = 1  # least tiles, and least panels to pack, worth handing to another thread
    pack_grain: int = 1


def choose_core_rows(m: int, target: Target) -> int:
    """Rows of the largest core for a product of m rows."""
    largest = largest_rows(target)
    for rows in (1, 2, 4, 8):
        if m <= rows < largest:
            return rows
    # Two cores of four rows instead of one of six and two of one.
    return 4 if m <= 8 else largest


def choose_edge(n: int, dtype: str, core_rows: int, b_mode: str, target: Target) -> str:
    """Which right edges n can meet; a column tile is always a multiple of the core's columns."""
    tiles = tiles_named(dtype, b_mode, core_rows, target)
    if n % tiles.columns == 0:
        return EDGE_NONE
    return EDGE_NARROW if n <= tiles.lanes else EDGE_ANY


def lines_kept(count: int, stride: int, wide: int, way_bytes: int, ways: int, line: int) -> int:
    """How many of `count` pieces of `wide` bytes, `stride` bytes apart, a cache holds at once."""
    lines = max(1, wide // line)
    apart = math.gcd(stride, way_bytes)
    places = way_bytes // max(apart, lines * line)
    return min(count, places * ways)


def is_crowded(stride: int, target: Target, rows: int) -> bool:
    """Whether lines of so many rows, `stride` bytes apart, push each other out of the first level.

    Half of the ways are left to what is read beside them.
    """
    ways = max(1, target.l1_bytes // PAGE_BYTES // 2)
    return lines_kept(rows, stride, 1, PAGE_BYTES, ways, target.line_bytes) < rows


def most_rows_of_modes(dtype: str, target: Target) -> tuple[int, ...]:
    """Rows up to which, and from which, B is read in each of the ways."""
    arithmetic = arithmetic_of(dtype, target)
    tiles = tile_set(target, arithmetic.unit_bytes)
    local = LOCAL_TILES * packed_rows(tiles, arithmetic.step_bytes)
    few = (B_USES_SCATTERED - 1) * tiles.rows
    return few, (B_USES - 1) * tiles.rows, local, local + 1


def choose_b_mode(m: int, k: int, b_row: int, b_column: int, dtype: str, target: Target) -> str:
    """How to read B of the given strides; direct where its panel is used too rarely to copy it.

    Raises: InternalError if neither stride is one; the caller copies such a matrix first.
    """
    core_rows = choose_core_rows(m, target)
    arithmetic = arithmetic_of(dtype, target)
    size = arithmetic.step_bytes
    tiles = tile_set(target, arithmetic.unit_bytes, core_rows)
    uses = -(-m // tiles.rows)
    local = m <= LOCAL_TILES * packed_rows(tiles, size)
    if arithmetic.is_packed and 1 in (b_row, b_column):
        if b_column == 1:
            return B_LOCAL_ROWS if local else B_ROWS
        return B_LOCAL_COLUMNS if local else B_COLUMNS
    if b_column == 1 or k * m == 0:
        if uses < B_USES and not _is_scattered(k, b_row, size, tiles.columns, target):
            return B_DIRECT
        if uses < B_USES_SCATTERED:
            return B_DIRECT
        return B_LOCAL_ROWS if local else B_ROWS
    if b_row == 1:
        if m <= LINE_ROWS:
            return B_LINES
        return B_LOCAL_COLUMNS if local else B_COLUMNS
    raise InternalError(f"gemm: B has strides {b_row} and {b_column}, and neither is 1")


def _is_scattered(k: int, b_row: int, size: int, columns: int, target: Target) -> bool:
    """Whether a panel of B lies in more pages or fewer sets than stay at hand."""
    steps = min(k, K_BLOCK)
    if steps * min(b_row * size, PAGE_BYTES) > PAGES_KEPT * PAGE_BYTES:
        return True
    way = target.l2_bytes // L2_WAYS
    kept = lines_kept(steps, b_row * size, columns * size, way, L2_WAYS // 2, target.line_bytes)
    return kept < steps


def choose_a_mode(
    m: int, n: int, k: int, a_row: int, a_column: int, dtype: str, b_mode: str, target: Target
) -> str:
    """Whether to pack A, tile by tile, and how."""
    if arithmetic_of(dtype, target).is_packed:
        if 1 not in (a_row, a_column):
            raise InternalError(f"gemm: A has strides {a_row} and {a_column}, and neither is 1")
        return A_LINES if a_column == 1 else A_COLUMNS
    size = itemsize(dtype)
    tiles = tiles_named(dtype, b_mode, choose_core_rows(m, target), target)
    uses = -(-n // tiles.columns)
    # Columns of an A that the second-level cache does not hold come from afar, a page each.
    afar = a_row == 1 < a_column and m * k * size > A_AFAR * target.l2_bytes
    least = A_USES_AFAR if afar else A_USES_CROWDED
    if b_mode in (B_ANY, B_LINES) or uses < least or 1 not in (a_row, a_column):
        return A_DIRECT
    # So few rows are in nobody's way.
    if m <= GATHER_ROWS:
        return A_DIRECT
    if a_row == 1 < a_column:
        # Steps lie far apart, each in another line, and every line is read for each sliver.
        scattered = min(k, K_BLOCK) * min(a_column * size, PAGE_BYTES) > PAGES_KEPT * PAGE_BYTES
        crowded = scattered or is_crowded(a_column * size, target, min(k, K_BLOCK))
        return A_COLUMNS if uses >= A_USES or crowded else A_DIRECT
    crowded = is_crowded(a_row * size, target, tiles.rows)
    return A_LINES if uses >= A_USES or crowded else A_DIRECT


def choose_blocks(
    m: int, n: int, k: int, batches: int, spec: GemmSpec, target: Target, threads: int
) -> GemmBlocks:
    """Tiles of C, cut until every thread has about four, so that a slow core is evened out.

    The rows of A that a tile reads again for each panel of B fill at most half of the
    second-level cache.
    """
    arithmetic = arithmetic_of(spec.dtype, target)
    size = arithmetic.step_bytes
    tiles = tiles_of(spec, target)
    limit = max(tiles.rows, target.l2_bytes // 2 // (K_BLOCK * size))
    if spec.a_mode != A_DIRECT:
        limit = packed_rows(tiles, size)
    tile_m = _even_tile(m, limit, tiles.rows)
    tile_n = _even_tile(n, n, tiles.columns)
    work = 2 * batches * m * n * k
    wanted = 1
    if threads > 1:
        wanted = min(4 * threads, work // TILE_FLOPS)
    while batches * _ceil(m, tile_m) * _ceil(n, tile_n) < wanted:
        wide = tile_n > 2 * tiles.columns
        # Tiles beside each other share no copy of B that each makes for itself.
        tall = tile_m > 4 * tiles.rows and not (wide and spec.b_mode in LOCAL)
        if tall and (tile_m >= tile_n // 2 or not wide):
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif wide:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        elif tile_m > tiles.rows:
            tile_m = _even_tile(m, tile_m // 2, tiles.rows)
        elif tile_n > tiles.columns:
            tile_n = _even_tile(n, tile_n // 2, tiles.columns)
        else:
            break
    if threads > 1 and wanted > 1 and batches * m * n:
        tile_m, tile_n = _balanced(m, n, batches, (tile_m, tile_n), spec, tiles, threads)
    if m == 0 or n == 0 or batches == 0:  # nothing to hand out
        return GemmBlocks(tile_m, tile_n, 0, 0, 0, 0, tiles.columns)
    panels = _ceil(n, tiles.columns)
    workspace = 0
    if spec.b_mode in PACKED:
        units = -(-k // arithmetic.group)
        workspace = batches * panels * units * tiles.columns + tiles.columns
    if arithmetic.is_rounded and k > K_BLOCK:
        workspace += batches * m * n
    # In elements of A, of which a unit of a panel may hold several.
    workspace *= arithmetic.unit_bytes // itemsize(arithmetic.stored[0])
    tiles_m, tiles_n = _ceil(m, tile_m), _ceil(n, tile_n)
    # Below two tiles' worth of work everything stays on the calling thread.
    grain = max(1, batches * tiles_m * tiles_n * TILE_FLOPS // max(1, work))
    pack_grain = _ceil(PACK_ELEMENTS, max(1, k) * tiles.columns)
    group = target.l2_bytes // GROUP_PART // (max(1, min(k, K_BLOCK)) * size)
    group = max(tiles.columns, group // tiles.columns * tiles.columns)
    return GemmBlocks(
        tile_m, tile_n, tiles_m, tiles_n, panels, workspace, group, grain, pack_grain
    )  # fmt: skip


def _balanced(
    m: int, n: int, batches: int, tile: tuple[int, int], spec: GemmSpec, tiles: TileSet,
    threads: int,
) -> tuple[int, int]:  # fmt: skip
    """A tile up to half as tall and up to three times as narrow, if threads then end together."""
    best, least = tile, math.inf
    packs_b = B_PACKED_USES if spec.b_mode in LOCAL else B_READ_USES
    packs_a = 0 if spec.a_mode == A_DIRECT else A_PACKED_USES
    tallest, widest = tile[0] // tiles.rows, tile[1]
    for pieces in range(1, 4):
        tile_n = _ceil(_ceil(widest, pieces), tiles.columns) * tiles.columns
        for slivers in range(tallest, max(tallest // 2, 1) - 1, -1):
            tile_m = slivers * tiles.rows
            share = _longest_share(m, n, batches, tile_m, tile_n, threads)
            cost = share * (1 + packs_a * tiles.columns / tile_n + packs_b / slivers)
            if cost < least * (1 - WORTH_BALANCING):
                best, least = (tile_m, tile_n), cost
    return best


def _longest_share(m: int, n: int, batches: int, tile_m: int, tile_n: int, threads: int) -> float:
    """The work of the thread that ends last; tiles are claimed one by one, the smallest last."""
    tiles_m, tiles_n = _ceil(m, tile_m), _ceil(n, tile_n)
    rounds, left = divmod(batches * tiles_m * tiles_n, threads)
    if left == 1:
        last = (m - (tiles_m - 1) * tile_m) * (n - (tiles_n - 1) * tile_n)
        return rounds * tile_m * tile_n + last
    return (rounds + (left > 0)) * tile_m * tile_n


def _ceil(x: int, y: int) -> int:
    return max(1, -(-x // y))


def _even_tile(extent: int, limit: int, unit: int) -> int:
    """The extent cut into equal pieces of at most ``limit``, rounded up to whole units."""
    pieces = _ceil(extent, max(limit, unit))
    return _ceil(_ceil(extent, pieces), unit) * unit
