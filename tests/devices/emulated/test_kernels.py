"""Kernels of every primitive: the CPU's bits on the emulated device, and text that ptxas takes."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
from rushlight.codegen.grid import GridKernel, NoKernel, grid_kernel
from rushlight.codegen.grid_product import GridProduct, GridRow, product_kernel, row_kernel
from rushlight.codegen.ptx import module_text, ptx_target
from rushlight.engine import cuda
from rushlight.loopnest.ir import VECTOR, Buffer, Kernel, Load, Loop, Param, Store, Var, call
from rushlight.ops.creation import value_of
from rushlight.runtime.emulator import BACKWARD, FORWARD, Emulator
from rushlight.runtime.jit import assembly_of
from tests.test_primitives import ROWS, cases, ours
from tests.test_primitives import call as call_primitive

NAMES = [name for name in ROWS if name != "to_device"]


def _compared(name: str, chosen: list) -> None:
    row = ROWS[name][1]
    for shapes, params, dtype in chosen:
        arrays = row.arrays(shapes, dtype, params)
        here = call_primitive(row, [ours(a, dtype) for a in arrays], params)
        there = call_primitive(row, [ours(a, dtype).cuda() for a in arrays], params)
        for x, y in zip(here, there, strict=True):
            about = f"{name}{shapes}{params} in {dtype}"
            assert value_of(x).tobytes() == value_of(y).tobytes(), about
            assert x.shape == y.shape and x.dtype is y.dtype, about


@pytest.mark.parametrize("name", NAMES)
def test_a_primitive_has_the_bits_of_the_cpu(name: str) -> None:
    row = ROWS[name][1]
    known = [d for d in ("float32", "int64") if d in row.dtypes] or list(row.dtypes[:1])
    chosen = []
    for dtype in known:
        found = [c for c in cases(row, [dtype]) if all(0 not in s for s in c[0])]
        chosen += found[:1]
    _compared(name, chosen)


@pytest.mark.endurance
@pytest.mark.parametrize("name", NAMES)
def test_every_case_of_a_primitive_has_the_bits_of_the_cpu(name: str) -> None:
    _compared(name, cases(ROWS[name][1]))


# ---- threads -----------------------------------------------------------------------------------


def _multiplied(emulator: Emulator, kernel: GridKernel, x, y) -> np.ndarray:
    (m, k), n = x.shape, y.shape[1]
    out = np.empty((m, n), np.float32)
    offsets = np.zeros(3, np.int64)
    arrays = [x, y, out, offsets]
    addresses = [emulator.allocate(0, a.nbytes) for a in arrays]
    for array, address in zip(arrays, addresses):
        emulator.copy_in(0, address, array)
    words = [m, n, k, k, 1, n, 1, 1, 1, 1]
    emulator.launch(0, emulator.load(0, kernel), 1, addresses, words)
    emulator.copy_out(0, out, addresses[2])
    for address in addresses:
        emulator.free(0, address)
    return out


@pytest.mark.parametrize("order", [FORWARD, BACKWARD])
def test_a_missing_barrier_is_noticed(order: str) -> None:
    """The emulator is a judge only if it finds what a card would stumble over."""
    emulator = Emulator()
    emulator.order = order
    x, y = (np.arange(1.0, 1025.0, dtype=np.float32).reshape(s) for s in ((64, 16), (16, 64)))
    kernel = product_kernel(GridProduct("float32", True, False))
    assert np.allclose(_multiplied(emulator, kernel, x, y), x @ y)
    without = re.sub(r"grid\.block_barrier then (\w+)", r"br label %\1", kernel.body)
    broken = replace(kernel, name="without_barriers", body=without)
    assert not np.allclose(_multiplied(emulator, broken, x, y), x @ y)


def test_an_unsafe_instruction_makes_no_kernel() -> None:
    index = Var("c")
    value = call("sqrt", Load("x", index, "float32"))
    loop = Loop("c", Param("n"), VECTOR, (Store("y", index, value),))
    buffers = (Buffer("x", "float32", "in"), Buffer("y", "float32", "out"))
    kernel = Kernel("k", buffers, (Param("n"),), (loop,))
    assert grid_kernel(kernel, "k").threads == 128
    generator = "rushlight.codegen.grid.SAFE_INTRINSICS"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(generator, frozenset())
        with pytest.raises(NoKernel, match="sqrt"):
            grid_kernel(kernel, "k")


def test_a_pointer_of_the_host_is_an_illegal_access(emulator: Emulator) -> None:
    x = torch.arange(4.0, device="cuda") + 1
    x.sum().item()
    kernel = row_kernel(GridRow("float32", True))
    function = emulator.load(0, kernel)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        emulator.launch(0, function, 1, [4096] * 4, [1, 1, 1, 1, 1])


# ---- PTX ---------------------------------------------------------------------------------------


def _ptxas() -> str | None:
    named = os.environ.get("PTXAS")
    if named:
        return named
    spec = importlib.util.find_spec("nvidia")
    for folder in spec.submodule_search_locations or () if spec else ():
        for found in sorted(Path(folder).glob("*/bin/ptxas")):
            return str(found)
    return None


@pytest.fixture(scope="module")
def kernels_of_programs(emulator: Emulator) -> list[GridKernel]:
    """Kernels of a program with rows, columns, flat loops, indices and products."""
    kernels: dict[str, GridKernel] = {}
    load = Emulator.load

    def noting(self, index: int, kernel: GridKernel):
        kernels[kernel.name] = kernel
        return load(self, index, kernel)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Emulator, "load", noting)
        patched.setattr(cuda.backend(), "_kernels", {})
        _run_one_of_each_kind()
    return list(kernels.values())


def _run_one_of_each_kind() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 70, device="cuda", requires_grad=True)
    w = torch.randn(70, 5, device="cuda", requires_grad=True)
    target = torch.arange(6, device="cuda") % 5
    hidden = torch.nn.functional.layer_norm(torch.nn.functional.gelu(x), (70,))
    loss = torch.nn.functional.cross_entropy(hidden @ w, target) + x.std(0).sum() + x.sin().sum()
    loss.backward()
    for value in (x.grad, w.grad, x.argmax(1), x.cumsum(1), x.double().exp(), x.bfloat16() * 2):
        value.sum().item()


# The oldest instruction set kernels are written for, and Hopper.
CAPABILITIES = ((7, 5), (9, 0))


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_ptxas_assembles_the_kernels(capability, kernels_of_programs, tmp_path) -> None:
    kernels = [
        *kernels_of_programs,
        product_kernel(GridProduct("float64", False, True)),
        row_kernel(GridRow("float32", True, "bfloat16")),
    ]
    assert len(kernels) > 15
    target = ptx_target(capability)
    texts = [assembly_of(module_text(kernel), target) for kernel in kernels]
    for kernel, text in zip(kernels, texts):
        assert f".visible .entry {kernel.name}(" in text and f".target {target.cpu}" in text
        assert "call.uni" not in text, "a function that no device has"
    assembler = _ptxas()
    if assembler is None:
        pytest.skip("ptxas is not installed (the extra `gpu-test`)")
    # One file: each start of the assembler takes longer than a kernel.
    head, _, _ = texts[0].partition(".address_size 64")
    bodies = []
    for number, text in enumerate(texts):
        body = text.partition(".address_size 64")[2]
        for table in re.findall(r"^\.global [^=;]*?(\w+)\[\d+\]", body, re.MULTILINE):
            body = body.replace(table, f"{table}_{number}")
        bodies.append(body)
    file = tmp_path / "kernels.ptx"
    file.write_text(head + ".address_size 64" + "\n".join(bodies))
    command = [assembler, f"-arch={target.cpu}", str(file), "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
