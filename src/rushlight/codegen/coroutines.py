"""A grid kernel as code of the CPU that runs the threads of a block in turn.  Level 7.

Where threads meet, each is a coroutine: it suspends at a barrier, and one loop resumes those of a
block one after the other, forward or backward.  A shuffle suspends twice, once so that every thread
has left its value and once so that every thread has taken one.  Kernels whose threads never meet
are plain loops.  The function is `void(ptr words, i32 blocks, i32 order)`: the arguments as
8-byte words, pointers included; order 1 runs threads and blocks backward.
"""

from __future__ import annotations

from rushlight.codegen.grid import BLOCKS, DOWN, FIRST, PLACE, SHARED, THREAD, GridKernel

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
            f"@exchange = internal global [{kernel.threads} x i32] zeroinitializer, align 64",
            f"@handles = internal global [{kernel.threads} x ptr] zeroinitializer, align 64",
            _coroutine(kernel),
            _scheduler(kernel),
        ]
    else:
        parts += [_plain(kernel), _loops(kernel)]
    return "\n".join(parts) + "\n"


def _arguments(kernel: GridKernel) -> list[str]:
    lines = []
    if kernel.shared:
        lines.append(f"  {SHARED} = getelementptr i8, ptr @shared, i64 0")
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
        kernel.body,
        "  ret void",
        "}",
    ])  # fmt: skip


def _coroutine(kernel: GridKernel) -> str:
    lines: list[str] = []
    for line in kernel.body.split("\n"):
        lines += _translated(line, kernel.threads)
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
        *lines,
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
    if name not in (DOWN, FIRST):
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
