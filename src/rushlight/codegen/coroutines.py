"""A grid kernel as code of the CPU that runs the threads of a block in turn.  Level 7.

Where threads meet, each is a coroutine: it suspends at a barrier, and one loop resumes those of a
block one after the other, forward or backward.  A shuffle suspends twice, once so that every thread
has left its value and once so that every thread has taken one.  Kernels whose threads never meet
are plain loops.  The function is `void(ptr words, i32 blocks, i32 order)`: the arguments as
8-byte words, pointers included; order 1 runs threads and blocks backward.
"""

from __future__ import annotations

from rushlight.codegen.grid import (
    ACROSS,
    BLOCKS,
    DOWN,
    FIRST,
    GROUP_MULTIPLY,
    GROUP_SUMS_TYPE,
    MULTIPLY,
    PLACE,
    SHARED,
    TAKEN,
    THREAD,
    WORDS,
    GridKernel,
)

_COROUTINE_DECLARATIONS = (
    "declare token @llvm.coro.id(i32, ptr, ptr, ptr)",
    "declare i64 @llvm.coro.size.i64()",
    "declare ptr @llvm.coro.begin(token, ptr)",
    "declare i8 @llvm.coro.suspend(token, i1)",
    "declare ptr @llvm.coro.free(token, ptr)",
    "declare void @llvm.coro.end(ptr, i1, token)",
    "declare void @llvm.coro.resume(ptr)",
    "declare void @llvm.coro.destroy(ptr)",
    "declare i1 @llvm.coro.done(ptr)",
    "declare ptr @malloc(i64)",
    "declare void @free(ptr)",
    "declare void @llvm.memset.p0.i64(ptr, i8, i64, i1)",
)


def module_text(kernel: GridKernel, triple: str) -> str:
    """The LLVM module of a kernel; one whose threads meet needs LLVM's coroutine passes."""
    parts = [f'target triple = "{triple}"', *kernel.declarations]
    if kernel.shared:
        parts.append(f"@shared = internal global [{kernel.shared} x i8] zeroinitializer, align 64")
    if kernel.meets:
        parts += [
            *_COROUTINE_DECLARATIONS,
            f"@exchange = internal global [{_WORDS * kernel.threads} x i32] zeroinitializer, "
            "align 64",
            *[
                _multiplication(kind)
                for kind in ("bf16", "f16", "tf32")
                if f"{MULTIPLY} {kind} " in kernel.body
            ],
            *[
                _group_dot(kind)
                for kind in ("bf16", "f16")
                if f"{GROUP_MULTIPLY} {kind} " in kernel.body
            ],
            f"@handles = internal global [{kernel.threads} x ptr] zeroinitializer, align 64",
            _coroutine(kernel),
            _scheduler(kernel),
        ]
    else:
        parts += [_plain(kernel), _loops(kernel)]
    return "\n".join([*parts, "!1 = !{}", ""])


def _arguments(kernel: GridKernel) -> list[str]:
    lines = []
    if kernel.shared:
        lines.append(f"  {SHARED} = getelementptr i8, ptr @shared, i64 0")
    if kernel.joined:
        return [*lines, f"  {WORDS} = getelementptr i64, ptr %words, i64 0"]
    for place, (type_, name) in enumerate(kernel.arguments()):
        lines.append(f"  %word{place} = getelementptr i64, ptr %words, i64 {place}")
        lines.append(f"  {name} = load {type_}, ptr %word{place}, align 8")
    return lines


_SIGNATURE = f"ptr %words, i32 {THREAD}, i32 {PLACE}, i32 {BLOCKS}"


def _plain(kernel: GridKernel) -> str:
    return "\n".join([
        f"define internal void @{kernel.name}.thread({_SIGNATURE}) {{",
        "entry:",
        *_arguments(kernel),
        *_lines(kernel),
        "  ret void",
        "}",
    ])  # fmt: skip


def _lines(kernel: GridKernel) -> list[str]:
    lines: list[str] = []
    for line in kernel.body.split("\n"):
        lines += _translated(line, kernel.threads)
    return lines


def _coroutine(kernel: GridKernel) -> str:
    return "\n".join([
        f"define internal ptr @{kernel.name}.thread({_SIGNATURE}) presplitcoroutine {{",
        "coro.begin:",
        "  %coro.id = call token @llvm.coro.id(i32 0, ptr null, ptr null, ptr null)",
        "  %coro.size = call i64 @llvm.coro.size.i64()",
        "  %coro.memory = call ptr @malloc(i64 %coro.size)",
        "  %coro.handle = call ptr @llvm.coro.begin(token %coro.id, ptr %coro.memory)",
        "  br label %entry",
        "entry:",
        *_arguments(kernel),
        *_lines(kernel),
        "  %coro.last = call i8 @llvm.coro.suspend(token none, i1 true)",
        "  switch i8 %coro.last, label %coro.away [i8 0, label %coro.never i8 1, label %coro.end]",
        "coro.never:",
        "  unreachable",
        "coro.end:",
        "  %coro.old = call ptr @llvm.coro.free(token %coro.id, ptr %coro.handle)",
        "  call void @free(ptr %coro.old)",
        "  br label %coro.away",
        "coro.away:",
        "  call void @llvm.coro.end(ptr %coro.handle, i1 false, token none)",
        "  ret ptr %coro.handle",
        "}",
    ])  # fmt: skip


def _translated(line: str, threads: int) -> list[str]:
    head, then, label = line.partition(" then ")
    if not then:
        return [line]
    result, _, operation = head.strip().rpartition(" = ")
    name, _, rest = operation.partition(" ")
    if name == TAKEN:
        type_, pointer = rest.split()
        return [f"  {result} = load {type_}, ptr {pointer}, align 8", f"  br label %{label}"]
    if name == MULTIPLY:
        return _fragment(result, rest, label)
    if name == GROUP_MULTIPLY:
        return _of_group(result, rest, label)
    if name not in (DOWN, FIRST, ACROSS):
        return _suspend(label)
    value, _, distance = rest.partition(", ")
    source = f"%{label}.source"
    if name == DOWN:
        # Beyond the warp's end a thread finds its own value.
        lines = [
            f"  %{label}.lane = and i32 {THREAD}, 31",
            f"  %{label}.far = add i32 %{label}.lane, {distance}",
            f"  %{label}.inside = icmp ult i32 %{label}.far, 32",
            f"  %{label}.add = select i1 %{label}.inside, i32 {distance}, i32 0",
            f"  {source} = add i32 {THREAD}, %{label}.add",
        ]
    elif name == ACROSS:
        lines = [f"  {source} = xor i32 {THREAD}, {distance}"]
    else:
        lines = [f"  {source} = and i32 {THREAD}, -32"]
    slot = f"getelementptr [{threads} x i32], ptr @exchange, i32 0, i32"
    return [
        f"  %{label}.own = {slot} {THREAD}",
        f"  store i32 {value}, ptr %{label}.own",
        *_suspend(f"{label}.left"),
        f"{label}.left:",
        *lines,
        f"  %{label}.other = {slot} {source}",
        f"  {result} = load volatile i32, ptr %{label}.other",
        *_suspend(label),
    ]


# Words that a thread lays out for the others of its warp: of A and B, for a multiplication.
_WORDS = 6


def _fragment(result: str, rest: str, label: str) -> list[str]:
    """A multiplication: every thread lays its words out, and each computes its own sums."""
    kind, *operands = rest.replace(",", "").split()
    lines = [f"  %{label}.first = mul i32 {THREAD}, {_WORDS}"]
    for place, word in enumerate(operands[:_WORDS]):
        lines += [
            f"  %{label}.at{place} = add i32 %{label}.first, {place}",
            f"  %{label}.slot{place} = getelementptr i32, ptr @exchange, i32 %{label}.at{place}",
            f"  store i32 {word}, ptr %{label}.slot{place}",
        ]
    sums = ", ".join(f"float {value}" for value in operands[_WORDS:])
    return [
        *lines,
        *_suspend(f"{label}.left"),
        f"{label}.left:",
        f"  {result} = call {{float, float, float, float}} @multiply.{kind}(i32 {THREAD}, {sums})",
        *_suspend(label),
    ]


def _multiplication(kind: str) -> str:
    """What one thread has of 16 x K times K x 8: PTX's layout of fragments, sums in order of k."""
    steps, per_word = (8, 1) if kind == "tf32" else (16, 2)
    lines = [
        f"define internal {{float, float, float, float}} @multiply.{kind}"
        "(i32 %thread, float %c0, float %c1, float %c2, float %c3) {",
        "  %warp = and i32 %thread, -32",
        "  %lane = and i32 %thread, 31",
        "  %group = lshr i32 %lane, 2",
        "  %in.group = and i32 %lane, 3",
    ]

    def element(name: str, line: str, k: int, word: int) -> str:
        """The element of step k that the threads of a line's group hold in a word."""
        holder = k % (steps // 2) // per_word
        lines.extend([
            f"  %{name}.group = shl i32 {line}, 2",
            f"  %{name}.lane = add i32 %{name}.group, {holder}",
            f"  %{name}.thread = add i32 %warp, %{name}.lane",
            f"  %{name}.first = mul i32 %{name}.thread, {_WORDS}",
            f"  %{name}.at = add i32 %{name}.first, {word}",
            f"  %{name}.slot = getelementptr i32, ptr @exchange, i32 %{name}.at",
            f"  %{name}.word = load volatile i32, ptr %{name}.slot",
        ])  # fmt: skip
        if kind == "tf32":
            lines.append(f"  %{name}.bits = and i32 %{name}.word, -8192")
        else:
            lines.append(f"  %{name}.down = lshr i32 %{name}.word, {16 * (k % 2)}")
            if kind == "bf16":
                lines.append(f"  %{name}.bits = shl i32 %{name}.down, 16")
            else:
                lines.append(f"  %{name}.short = trunc i32 %{name}.down to i16")
                lines.append(f"  %{name}.half = bitcast i16 %{name}.short to half")
                lines.append(f"  %{name} = fpext half %{name}.half to float")
                return f"%{name}"
        lines.append(f"  %{name} = bitcast i32 %{name}.bits to float")
        return f"%{name}"

    for place in range(4):
        down, across = divmod(place, 2)
        lines.append(f"  %column{place}.twice = shl i32 %in.group, 1")
        lines.append(f"  %column{place} = add i32 %column{place}.twice, {across}")
        total = f"%c{place}"
        for k in range(steps):
            late = int(k >= steps // 2)
            x = element(f"a{place}.{k}", "%group", k, down + 2 * late)
            y = element(f"b{place}.{k}", f"%column{place}", k, 4 + late)
            lines.append(
                f"  %s{place}.{k} = call float @llvm.fma.f32(float {x}, float {y}, float {total})"
            )
            total = f"%s{place}.{k}"
        before = f"%r{place - 1}" if place else "poison"
        lines.append(
            f"  %r{place} = insertvalue {{float, float, float, float}} {before}, float {total}, "
            f"{place}"
        )
    lines += ["  ret {float, float, float, float} %r3", "}"]
    text = "\n".join(lines)
    return text


def _of_group(result: str, rest: str, label: str) -> list[str]:
    """What one thread has of 64 x 64 times 64 x 128: PTX's layout of a warpgroup's sums."""
    kind, a, b, *sums = rest.replace(",", "").split()
    lines = [
        f"  %{label}.turn = lshr i32 {THREAD}, 5",
        f"  %{label}.warp = and i32 %{label}.turn, 3",
        f"  %{label}.lane = and i32 {THREAD}, 31",
        f"  %{label}.row.warp = shl i32 %{label}.warp, 4",
        f"  %{label}.row.lane = lshr i32 %{label}.lane, 2",
        f"  %{label}.row = add i32 %{label}.row.warp, %{label}.row.lane",
        f"  %{label}.column.lane = and i32 %{label}.lane, 3",
        f"  %{label}.column = shl i32 %{label}.column.lane, 1",
    ]
    before = "poison"
    for place, value in enumerate(sums):
        at = f"%{label}.of{place}"
        lines += [
            f"  {at}.row = add i32 %{label}.row, {8 * (place // 2 % 2)}",
            f"  {at}.column = add i32 %{label}.column, {8 * (place // 4) + place % 2}",
            f"  {at}.a.line = shl i32 {at}.row, 7",
            f"  {at}.a = add i32 {at}.a.line, {a}",
            f"  {at}.b.line = shl i32 {at}.column, 7",
            f"  {at}.b = add i32 {at}.b.line, {b}",
            f"  {at}.sum = call float @group_dot.{kind}(i32 {at}.a, i32 {at}.b, float {value})",
            f"  {at} = insertvalue {GROUP_SUMS_TYPE} {before}, float {at}.sum, {place}",
        ]
        before = at
    last = lines[-1].replace(f"%{label}.of{len(sums) - 1} =", f"{result} =")
    return [*lines[:-1], last, *_suspend(label)]


def _group_dot(kind: str) -> str:
    """The product of two lines of shared memory, of 64 steps of k in pieces that were moved."""
    lines = [
        f"define internal float @group_dot.{kind}(i32 %a, i32 %b, float %c) noinline {{",
        "entry:",
        "  br label %step",
        "step:",
        "  %k = phi i32 [ 0, %entry ], [ %k.next, %step ]",
        "  %sum = phi float [ %c, %entry ], [ %sum.next, %step ]",
        "  %byte = shl i32 %k, 1",
    ]
    for name in "ab":
        lines += [
            f"  %{name}.plain = add i32 %{name}, %byte",
            f"  %{name}.up = lshr i32 %{name}.plain, 7",
            f"  %{name}.line = and i32 %{name}.up, 7",
            f"  %{name}.moved = shl i32 %{name}.line, 4",
            f"  %{name}.at = xor i32 %{name}.plain, %{name}.moved",
            f"  %{name}.pointer = getelementptr i8, ptr @shared, i32 %{name}.at",
            f"  %{name}.bits = load volatile i16, ptr %{name}.pointer",
        ]
        if kind == "bf16":
            lines += [
                f"  %{name}.wide = zext i16 %{name}.bits to i32",
                f"  %{name}.high = shl i32 %{name}.wide, 16",
                f"  %{name}.value = bitcast i32 %{name}.high to float",
            ]
        else:
            lines += [
                f"  %{name}.half = bitcast i16 %{name}.bits to half",
                f"  %{name}.value = fpext half %{name}.half to float",
            ]
    lines += [
        "  %sum.next = call float @llvm.fma.f32(float %a.value, float %b.value, float %sum)",
        "  %k.next = add i32 %k, 1",
        "  %more = icmp ult i32 %k.next, 64",
        "  br i1 %more, label %step, label %end",
        "end:",
        "  ret float %sum.next",
        "}",
    ]
    return "\n".join(lines)


def _suspend(label: str) -> list[str]:
    return [
        f"  %{label}.how = call i8 @llvm.coro.suspend(token none, i1 false)",
        f"  switch i8 %{label}.how, label %coro.away [i8 0, label %{label} i8 1, label %coro.end]",
    ]


def _ordered(name: str, counter: str, count: str) -> list[str]:
    """`counter`, or its mirror image where the order is backward."""
    return [
        f"  {name}.last = sub i32 {count}, 1",
        f"  {name}.back = sub i32 {name}.last, {counter}",
        f"  {name} = select i1 %backward, i32 {name}.back, i32 {counter}",
    ]


def _head(kernel: GridKernel) -> list[str]:
    return [
        f"define void @{kernel.name}(ptr %words, i32 %blocks, i32 %order) {{",
        "entry:",
        "  %backward = icmp ne i32 %order, 0",
        "  br label %block",
        "block:",
    ]


def _unset(kernel: GridKernel) -> list[str]:
    """Shared memory holds nothing sensible when a block begins."""
    if not kernel.shared:
        return []
    return [f"  call void @llvm.memset.p0.i64(ptr @shared, i8 -91, i64 {kernel.shared}, i1 false)"]


def _loops(kernel: GridKernel) -> str:
    threads = str(kernel.threads)
    return "\n".join([
        *_head(kernel),
        "  %b = phi i32 [ 0, %entry ], [ %b.next, %block.end ]",
        *_ordered("%place", "%b", "%blocks"),
        "  br label %thread",
        "thread:",
        "  %t = phi i32 [ 0, %block ], [ %t.next, %thread ]",
        *_ordered("%turn", "%t", threads),
        f"  call void @{kernel.name}.thread(ptr %words, i32 %turn, i32 %place, i32 %blocks)",
        "  %t.next = add i32 %t, 1",
        f"  %t.more = icmp ult i32 %t.next, {threads}",
        "  br i1 %t.more, label %thread, label %block.end",
        "block.end:",
        "  %b.next = add i32 %b, 1",
        "  %b.more = icmp ult i32 %b.next, %blocks",
        "  br i1 %b.more, label %block, label %end",
        "end:",
        "  ret void",
        "}",
    ])  # fmt: skip


def _scheduler(kernel: GridKernel) -> str:
    threads = str(kernel.threads)
    slot = f"getelementptr [{threads} x ptr], ptr @handles, i32 0, i32"
    return "\n".join([
        *_head(kernel),
        "  %b = phi i32 [ 0, %entry ], [ %b.next, %block.end ]",
        *_ordered("%place", "%b", "%blocks"),
        *_unset(kernel),
        "  br label %start",
        "start:",
        "  %s = phi i32 [ 0, %block ], [ %s.next, %start ]",
        *_ordered("%first", "%s", threads),
        f"  %h = call ptr @{kernel.name}.thread(ptr %words, i32 %first, i32 %place, i32 %blocks)",
        f"  %h.slot = {slot} %first",
        "  store ptr %h, ptr %h.slot",
        "  %s.next = add i32 %s, 1",
        f"  %s.more = icmp ult i32 %s.next, {threads}",
        "  br i1 %s.more, label %start, label %round",
        "round:",
        "  br label %turn",
        "turn:",
        "  %r = phi i32 [ 0, %round ], [ %r.next, %turn.end ]",
        "  %live = phi i32 [ 0, %round ], [ %live.next, %turn.end ]",
        *_ordered("%next", "%r", threads),
        f"  %r.slot = {slot} %next",
        "  %r.handle = load ptr, ptr %r.slot",
        "  %done = call i1 @llvm.coro.done(ptr %r.handle)",
        "  br i1 %done, label %turn.end, label %resume",
        "resume:",
        "  call void @llvm.coro.resume(ptr %r.handle)",
        "  br label %turn.end",
        "turn.end:",
        "  %up = phi i32 [ 0, %turn ], [ 1, %resume ]",
        "  %live.next = or i32 %live, %up",
        "  %r.next = add i32 %r, 1",
        f"  %r.more = icmp ult i32 %r.next, {threads}",
        "  br i1 %r.more, label %turn, label %turn.all",
        "turn.all:",
        "  %any = icmp ne i32 %live.next, 0",
        "  br i1 %any, label %round, label %destroy",
        "destroy:",
        "  %k = phi i32 [ 0, %turn.all ], [ %k.next, %destroy ]",
        f"  %k.slot = {slot} %k",
        "  %k.handle = load ptr, ptr %k.slot",
        "  call void @llvm.coro.destroy(ptr %k.handle)",
        "  %k.next = add i32 %k, 1",
        f"  %k.more = icmp ult i32 %k.next, {threads}",
        "  br i1 %k.more, label %destroy, label %block.end",
        "block.end:",
        "  %b.next = add i32 %b, 1",
        "  %b.more = icmp ult i32 %b.next, %blocks",
        "  br i1 %b.more, label %block, label %end",
        "end:",
        "  ret void",
        "}",
    ])  # fmt: skip
