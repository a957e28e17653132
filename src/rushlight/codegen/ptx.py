"""A grid kernel as LLVM text for NVIDIA's devices.  Level 7.

The lines of the abstract machine become PTX's registers, shuffles and barriers.  No toolkit takes
part: LLVM writes PTX, which any driver loads.
"""

from __future__ import annotations

from rushlight.base.target import Target
from rushlight.codegen.grid import (
    BLOCK_BARRIER,
    BLOCKS,
    DOWN,
    FIRST,
    PLACE,
    SHARED,
    THREAD,
    WARP_BARRIER,
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
    "declare void @llvm.nvvm.bar.warp.sync(i32)",
    "declare void @llvm.nvvm.barrier0()",
)
_SHUFFLES = {DOWN: "down", FIRST: "idx"}


def ptx_target(capability: tuple[int, int]) -> Target:
    """What LLVM is told of a device of this capability."""
    known = max(c for c in _KNOWN if c <= max(capability, OLDEST))
    return Target(
        TRIPLE, f"sm_{known[0]}{known[1]}", (), 4, 64, True, 128 << 10, 40 << 20, 40 << 20, 128, 1
    )  # fmt: skip


# Instruction sets that every LLVM in use knows; a newer device runs the code of an older one.
_KNOWN = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0))


def module_text(kernel: GridKernel) -> str:
    """The LLVM module of a kernel, whose function has the kernel's name."""
    arguments = ", ".join(f"{type_} {name}" for type_, name in kernel.arguments())
    registers = "\n".join(
        f"  {name} = call i32 @llvm.nvvm.read.ptx.sreg.{register}()"
        for name, register in _REGISTERS.items()
    )
    shared = ""
    if kernel.shared:
        shared = (
            f"@{kernel.name}.shared = internal addrspace(3) global [{kernel.shared} x i8] poison, "
            "align 16"
        )
        registers += f"\n  {SHARED} = addrspacecast ptr addrspace(3) @{kernel.name}.shared to ptr"
    lines: list[str] = []
    for line in kernel.body.split("\n"):
        lines += _translated(line)
    return "\n".join([
        f'target triple = "{TRIPLE}"',
        *kernel.declarations,
        *_DECLARATIONS,
        shared,
        f"define ptx_kernel void @{kernel.name}({arguments}) {{",
        "entry:",
        registers,
        *lines,
        "  ret void",
        "}",
        "!nvvm.annotations = !{!0}",
        f'!0 = !{{ptr @{kernel.name}, !"maxntidx", i32 {kernel.threads}}}',
        "",
    ])  # fmt: skip


def _translated(line: str) -> list[str]:
    """A line of the abstract machine; others stay as they are."""
    head, then, label = line.partition(" then ")
    if not then:
        return [line]
    result, equals, operation = head.strip().rpartition(" = ")
    target = f"{result}{equals}"
    if operation == WARP_BARRIER:
        call = "call void @llvm.nvvm.bar.warp.sync(i32 -1)"
    elif operation == BLOCK_BARRIER:
        call = "call void @llvm.nvvm.barrier0()"
    else:
        name, _, rest = operation.partition(" ")
        value, _, distance = rest.partition(", ")
        kind = _SHUFFLES[name]
        call = (
            f"call i32 @llvm.nvvm.shfl.sync.{kind}.i32(i32 -1, i32 {value}, i32 {distance}, i32 31)"
        )
    return [f"  {target}{call}", f"  br label %{label}"]
