"""A grid kernel as LLVM text for NVIDIA's devices.  Level 7.

The lines of the abstract machine become PTX's registers, shuffles and barriers.  No toolkit takes
part: LLVM writes PTX, which any driver loads.
"""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.grid import (
    ACROSS,
    BLOCK_BARRIER,
    BLOCKS,
    DOWN,
    FIRST,
    GROUP_MULTIPLY,
    GROUP_SUMS_TYPE,
    MULTIPLY,
    PLACE,
    SHARED,
    SHARED_IS_READY,
    TAKEN,
    THREAD,
    WARP_BARRIER,
    WORDS,
    GridKernel,
)

TRIPLE = "nvptx64-nvidia-cuda"
# The oldest instruction set that is written for: Turing.
OLDEST = (7, 5)

_REGISTERS = {THREAD: "tid.x", PLACE: "ctaid.x", BLOCKS: "nctaid.x"}
_DECLARATIONS = (
    *[f"declare i32 @llvm.nvvm.read.ptx.sreg.{name}()" for name in _REGISTERS.values()],
    "declare i32 @llvm.nvvm.shfl.sync.down.i32(i32, i32, i32, i32)",
    "declare i32 @llvm.nvvm.shfl.sync.idx.i32(i32, i32, i32, i32)",
    "declare i32 @llvm.nvvm.shfl.sync.bfly.i32(i32, i32, i32, i32)",
    "declare void @llvm.nvvm.bar.warp.sync(i32)",
    "declare void @llvm.nvvm.barrier0()",
)
_SHUFFLES = {DOWN: "down", FIRST: "idx", ACROSS: "bfly"}


def ptx_target(capability: tuple[int, int], architecture: str = "") -> Target:
    """What LLVM is told of a device of this capability; architecture: of a kernel for it alone."""
    known = max(c for c in _KNOWN if c <= max(capability, OLDEST))
    return Target(
        TRIPLE, architecture or f"sm_{known[0]}{known[1]}", (), 4, 64, True, 128 << 10, 40 << 20,
        40 << 20, 128, 1,
    )  # fmt: skip


# Shared memory begins where the pattern does in which a warpgroup reads it.
SHARED_ALIGNMENT = 1024
_DESCRIBED = 1 << 62 | (1024 >> 4) << 32 | 1 << 16
_STEPS_OF_GROUP = 4

# Instruction sets that every LLVM in use knows; a newer device runs the code of an older one.
_KNOWN = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0))


def module_text(kernel: GridKernel, from_table: bool = False) -> str:
    """The LLVM module of a kernel, whose function has the kernel's name.

    from_table: it takes one pointer, to all its arguments, 8 bytes each, in the device's memory.
    """
    arguments = ", ".join(f"{type_} {name}" for type_, name in kernel.arguments())
    taken = ""
    if from_table or kernel.joined:
        arguments = "ptr %table"
        taken = _taken_from_table(kernel)
    registers = "\n".join(
        f"  {name} = call i32 @llvm.nvvm.read.ptx.sreg.{register}()"
        for name, register in _REGISTERS.items()
    )
    shared = ""
    if kernel.shared:
        shared = (
            f"@{kernel.name}.shared = internal addrspace(3) global [{kernel.shared} x i8] poison, "
            f"align {SHARED_ALIGNMENT}"
        )
        registers += f"\n  {SHARED} = addrspacecast ptr addrspace(3) @{kernel.name}.shared to ptr"
    lines: list[str] = []
    for line in kernel.body.split("\n"):
        lines += _translated(line, kernel.name)
    return "\n".join([
        f'target triple = "{TRIPLE}"',
        *kernel.declarations,
        *_DECLARATIONS,
        shared,
        f"define ptx_kernel void @{kernel.name}({arguments}) {{",
        "entry:",
        registers,
        taken,
        *lines,
        "  ret void",
        "}",
        "!nvvm.annotations = !{!0}",
        f'!0 = !{{ptr @{kernel.name}, !"maxntidx", i32 {kernel.threads}}}',
        "!1 = !{}",
        "",
    ])  # fmt: skip


def _taken_from_table(kernel: GridKernel) -> str:
    """The arguments of a kernel, loaded; of a joined one, where they lie."""
    if kernel.joined:
        return f"  {WORDS} = getelementptr i64, ptr %table, i64 0"
    lines = []
    for place, (type_, name) in enumerate(kernel.arguments()):
        where = f"%table.{place}"
        lines.append(f"  {where} = getelementptr i64, ptr %table, i64 {place}")
        lines += _taken(type_, name, where)
    return "\n".join(lines)


def _taken(type_: str, name: str, where: str) -> list[str]:
    """A word of a table: nobody writes there while a kernel runs, and pointers are of memory that
    all blocks share, which makes for the instructions of such memory."""
    lines = [f"  {where}.global = addrspacecast ptr {where} to ptr addrspace(1)"]
    held, own = (f"{name}.global", "ptr addrspace(1)") if type_ == "ptr" else (name, type_)
    lines.append(
        f"  {held} = load {own}, ptr addrspace(1) {where}.global, align 8, !invariant.load !1"
    )
    if held != name:
        lines.append(f"  {name} = addrspacecast ptr addrspace(1) {held} to ptr")
    return lines


def _translated(line: str, kernel: str) -> list[str]:
    """A line of the abstract machine; others stay as they are."""
    head, then, label = line.partition(" then ")
    if not then:
        return [line]
    result, equals, operation = head.strip().rpartition(" = ")
    target = f"{result}{equals}"
    if operation.startswith(f"{TAKEN} "):
        _, type_, where = operation.split()
        return [*_taken(type_, result, where), f"  br label %{label}"]
    if operation == WARP_BARRIER:
        call = "call void @llvm.nvvm.bar.warp.sync(i32 -1)"
    elif operation == BLOCK_BARRIER:
        call = "call void @llvm.nvvm.barrier0()"
    elif operation == SHARED_IS_READY:
        call = 'call void asm sideeffect "fence.proxy.async.shared::cta;", "~{memory}"()'
    elif operation.startswith(GROUP_MULTIPLY):
        lines, call = _group_multiplied(operation, label, kernel)
        return [*lines, f"  {target}{call}", f"  br label %{label}"]
    elif operation.startswith(MULTIPLY):
        call = _multiplied(operation)
    else:
        name, _, rest = operation.partition(" ")
        value, _, distance = rest.partition(", ")
        kind = _SHUFFLES[name]
        call = (
            f"call i32 @llvm.nvvm.shfl.sync.{kind}.i32(i32 -1, i32 {value}, i32 {distance}, i32 31)"
        )
    return [f"  {target}{call}", f"  br label %{label}"]


def _group_multiplied(operation: str, label: str, kernel: str) -> tuple[list[str], str]:
    """Four instructions of a warpgroup, started and waited for in one piece.

    An operand is described by 64 bits: where it begins, in units of 16 bytes; that groups of eight
    lines lie 1024 bytes apart; and how pieces are moved about in them (mode 1: among 128 bytes).
    """
    _, kind, *operands = operation.replace(",", "").split()
    descriptions = []
    lines = [
        f"  %{label}.shared = ptrtoint ptr addrspace(3) @{kernel}.shared to i32",
    ]
    for name, first in zip("ab", operands):
        at = f"%{label}.{name}"
        lines += [
            f"  {at}.byte = add i32 %{label}.shared, {first}",
            f"  {at}.unit = lshr i32 {at}.byte, 4",
            f"  {at}.start = and i32 {at}.unit, 16383",
            f"  {at}.wide = zext i32 {at}.start to i64",
            f"  {at} = or i64 {at}.wide, {_DESCRIBED}",
        ]
        descriptions.append(at)
    sums = operands[2:]
    count = len(sums)
    places = ", ".join(f"${n}" for n in range(count))
    text = "{ .reg .b64 a, b; wgmma.fence.sync.aligned; "
    for step in range(_STEPS_OF_GROUP):
        # Sixteen steps of k are 32 bytes of a line.
        text += (
            f"add.s64 a, ${count}, {2 * step}; add.s64 b, ${count + 1}, {2 * step}; "
            f"wgmma.mma_async.sync.aligned.m64n{2 * count}k16.f32.{kind}.{kind} "
            f"{{{places}}}, a, b, 1, 1, 1, 0, 0; "
        )
    text += "wgmma.commit_group.sync.aligned; wgmma.wait_group.sync.aligned 0; }"
    constraints = ",".join(
        ["=f"] * count + ["l", "l"] + [str(n) for n in range(count)] + ["~{memory}"]
    )
    typed = [f"i64 {d}" for d in descriptions] + [f"float {value}" for value in sums]
    call = f'call {GROUP_SUMS_TYPE} asm sideeffect "{text}", "{constraints}"({", ".join(typed)})'
    return lines, call


def _multiplied(operation: str) -> str:
    """The instruction of tensor cores; its names in LLVM differ between versions."""
    _, kind, *operands = operation.replace(",", "").split()
    shape = "m16n8k8" if kind == "tf32" else "m16n8k16"
    places = [
        ", ".join(f"${n}" for n in range(*span)) for span in ((4,), (4, 8), (8, 10), (10, 14))
    ]
    text = f"mma.sync.aligned.{shape}.row.col.f32.{kind}.{kind}.f32 " + ", ".join(
        "{" + place + "}" for place in places
    )
    constraints = ",".join(["=f"] * 4 + ["r"] * 6 + ["f"] * 4)
    typed = [f"{'i32' if n < 6 else 'float'} {value}" for n, value in enumerate(operands)]
    return (
        f'call {{float, float, float, float}} asm sideeffect "{text};", "{constraints}"'
        f"({', '.join(typed)})"
    )
