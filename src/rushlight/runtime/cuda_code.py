"""Kernels as code that a card's driver loads, and launches that follow each other as one graph.

In: kernels of the abstract machine.  Out: functions.  The text is PTX (`codegen/ptx.py`); the
driver's linker makes binary code of it, which lies on disk for the next process, under the version
of the driver and the card's instruction set.  A driver that does not link is given PTX.  Level 8.
"""

from __future__ import annotations

import ctypes
import hashlib
from collections.abc import Sequence
from ctypes import byref, c_int, c_size_t, c_void_p
from typing import Any

from rushlight.codegen.fingerprint import codegen_fingerprint
from rushlight.codegen.grid import GridKernel
from rushlight.codegen.ptx import module_text, ptx_target
from rushlight.runtime.cuda_calls import UNUSABLE_CODE, KernelNode, Refused
from rushlight.runtime.jit import assembly_of
from rushlight.runtime.kernel_cache import process_cache

PTX_INPUT = 1


class Function:
    """A kernel's function in a loaded module."""

    __slots__ = ("kernel", "handle", "module")

    def __init__(self, kernel: GridKernel, handle: c_void_p, module: c_void_p) -> None:
        self.kernel = kernel
        self.handle = handle
        self.module = module


def loaded(
    call: Any, kernel: GridKernel, capability: tuple[int, int], from_table: bool = False
) -> Function:
    """The function of a kernel, from disk or made now.

    from_table: it takes one pointer, to all its arguments in memory of the card.
    """
    target = ptx_target(capability, kernel.architecture)
    digest = hashlib.sha256(repr(kernel).encode()).hexdigest()
    about = f"{digest} {from_table} {codegen_fingerprint()}"

    def text() -> bytes:
        return process_cache().text(
            f"PTX {about}",
            lambda: assembly_of(module_text(kernel, from_table), target).encode() + b"\0",
            target,
        )

    version = c_int()
    call("cuDriverGetVersion", byref(version))
    named = f"cubin {about} {version.value} {capability[0]}.{capability[1]}"
    try:
        image = process_cache().text(named, lambda: _linked(call, kernel, text()), target)
        module = _module(call, image)
    except Refused as refusal:
        if refusal.status not in UNUSABLE_CODE:
            raise
        module = _module(call, text())
    function = c_void_p()
    call("cuModuleGetFunction", byref(function), module, kernel.name.encode())
    return Function(kernel, function, module)


def _linked(call: Any, kernel: GridKernel, text: bytes) -> bytes:
    """Binary code of PTX, by the driver's linker."""
    state, code, size = c_void_p(), c_void_p(), c_size_t()
    call("cuLinkCreate_v2", 0, None, None, byref(state))
    try:
        image = ctypes.create_string_buffer(text, len(text))
        call(
            "cuLinkAddData_v2", state, PTX_INPUT, ctypes.cast(image, c_void_p), len(text),
            kernel.name.encode(), 0, None, None,
        )  # fmt: skip
        call("cuLinkComplete", state, byref(code), byref(size))
        assert code.value is not None
        # The linker owns it until it is destroyed.
        return ctypes.string_at(code.value, size.value)
    finally:
        call("cuLinkDestroy", state)


def _module(call: Any, image: bytes) -> c_void_p:
    module = c_void_p()
    held = ctypes.create_string_buffer(image, len(image))
    call("cuModuleLoadData", byref(module), ctypes.cast(held, c_void_p))
    return module


class Chain:
    """A graph of launches, each after the one before.

    table: where they find their addresses and numbers, 8 bytes each, in memory of the card: one
    copy and one launch run all of them, whatever the addresses are.
    """

    def __init__(
        self, call: Any, launches: Sequence[tuple[Function, int, int]],
        capability: tuple[int, int], table: int,
    ) -> None:  # fmt: skip
        self.table = table
        self.functions = [loaded(call, f.kernel, capability, True) for f, _, _ in launches]
        graph, self.executable = c_void_p(), c_void_p()
        call("cuGraphCreate", byref(graph), 0)
        before: c_void_p | None = None
        place = table
        for function, (_, blocks, count) in zip(self.functions, launches):
            before = self._added(call, graph, function, blocks, place, before)
            place += 8 * count
        call("cuGraphInstantiateWithFlags", byref(self.executable), graph, 0)
        call("cuGraphDestroy", graph)

    def _added(
        self, call: Any, graph: c_void_p, function: Function, blocks: int, place: int,
        before: c_void_p | None,
    ) -> c_void_p:  # fmt: skip
        """A launch behind another one."""
        argument = ctypes.c_uint64(place)
        arguments = (c_void_p * 1)(ctypes.addressof(argument))
        node = KernelNode(
            function.handle, blocks, 1, 1, function.kernel.threads, 1, 1, 0, arguments, None
        )
        made = c_void_p()
        waits = 0 if before is None else 1
        call(
            "cuGraphAddKernelNode", byref(made), graph,
            (c_void_p * 1)(before) if waits else None, waits, byref(node),
        )  # fmt: skip
        return made

    def destroy(self, call: Any) -> None:
        """The end of the graph; the driver lets its work end first."""
        call("cuGraphExecDestroy", self.executable)
