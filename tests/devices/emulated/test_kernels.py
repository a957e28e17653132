"""Kernels of every primitive: the CPU's bits on the emulated device, and text that ptxas takes."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
from rushlight.codegen.grid import GridKernel, NoKernel, grid_kernel
from rushlight.codegen.grid_attention import (
    FORWARD as ATTEND,
)
from rushlight.codegen.grid_attention import (
    OF_KEYS,
    OF_QUERIES,
    GridAttention,
    attention_kernel,
)
from rushlight.codegen.grid_joined import joined_kernel
from rushlight.codegen.grid_product import GridProduct, GridRow, product_kernel, row_kernel
from rushlight.codegen.grid_recurrence import recurrence_kernel
from rushlight.codegen.grid_sorting import KEYS, MERGE, ORDER, PIECES, STEP, GridSort, sort_kernel
from rushlight.codegen.grid_tensor import (
    COLUMNS,
    MANY_COLUMNS,
    TENSOR_CORES,
    GridTensorProduct,
    tensor_product_kernel,
)
from rushlight.codegen.grid_warpgroup import HOPPER, GridGroupProduct, group_product_kernel
from rushlight.codegen.grid_windows import GridWindows, windows_kernel
from rushlight.codegen.ptx import module_text, ptx_target
from rushlight.codegen.recurrence_walk import RecurrenceSpec
from rushlight.engine import cuda
from rushlight.loopnest.ir import VECTOR, Buffer, Kernel, Load, Loop, Param, Store, Var, call
from rushlight.lowering.convolution import POSITIONS, TRANSPOSED
from rushlight.ops.creation import value_of
from rushlight.primitives.recurrence import GRU, LSTM, Form
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
            if name.startswith("attention"):  # sums that are scaled down on the way
                np.testing.assert_allclose(value_of(x), value_of(y), 1e-5, 1e-6, err_msg=about)
            else:
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
    if not emulator.emulated:
        pytest.skip("a card takes no more work after it")
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
    return shutil.which("ptxas")


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
    drawn = torch.nn.functional.dropout(x.detach() * 2, 0.5) + torch.rand_like(x)
    wide = torch.rand(9, dtype=torch.float64, device="cuda") + torch.randn(9, device="cuda")
    for value in (drawn, wide, torch.randint(0, 1 << 40, (7,), device="cuda")):
        value.sum().item()
    for value in (x.grad, w.grad, x.argmax(1), x.cumsum(1), x.double().exp(), x.bfloat16() * 2):
        value.sum().item()


# The oldest kernels are written for, the oldest whose tensor cores are used, Hopper, and Blackwell,
# which runs the text of Hopper.
CAPABILITIES = ((7, 5), (8, 0), (9, 0), (10, 0))


def _written_by_hand() -> list[GridKernel]:
    """Kernels that no loop nest describes, one of each kind."""
    forms = [Form(mode, False, True, True, mode == LSTM) for mode in (LSTM, GRU)]
    return [
        product_kernel(GridProduct("float64", False, True)),
        product_kernel(GridProduct("float32", True, False, 8)),
        row_kernel(GridRow("float32", True, "bfloat16")),
        *[windows_kernel(GridWindows("float32", form)) for form in (POSITIONS, TRANSPOSED)],
        *[
            sort_kernel(GridSort(act, dtype, False))
            for act in (KEYS, PIECES, STEP, MERGE, ORDER)
            for dtype in ("float32", "int64")
        ],
        *[
            recurrence_kernel(RecurrenceSpec(f"{form.mode}_{back}", "float32", form, back))
            for form in forms
            for back in (False, True)
        ],
    ]


def _of_tensor_cores() -> list[GridKernel]:
    return [
        tensor_product_kernel(GridTensorProduct(dtype, along, not along, whole, whole, columns))
        for dtype in ("bfloat16", "float16", "float32")
        for along, whole, columns in ((False, True, MANY_COLUMNS), (True, False, COLUMNS))
    ] + [
        tensor_product_kernel(GridTensorProduct(dtype, True, True, True, True, COLUMNS, True))
        for dtype in ("bfloat16", "float16")
    ]


def _of_attention(tensor_cores: bool) -> list[GridKernel]:
    dtype = "bfloat16" if tensor_cores else "float32"
    return [
        attention_kernel(GridAttention(act, dtype, width, width, causal, mask, tensor_cores))
        for act in (ATTEND, OF_QUERIES, OF_KEYS)
        for width, causal, mask in ((64, True, ""), (128, False, "bool"), (40, True, "float32"))
    ] + [
        attention_kernel(GridAttention(act, dtype, 64, 64, True, "", tensor_cores, True))
        for act in (ATTEND, OF_QUERIES, OF_KEYS)
    ]


# Bytes of registers that a thread of attention may put into memory: the assembler moves a word or
# two of addresses, never what is summed in the inner loop.
MOST_SPILLED = 16


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_attention_stays_in_registers(capability, tmp_path) -> None:
    kernels = _of_attention(False)
    if capability >= TENSOR_CORES:
        kernels += _of_attention(True)
    assert all(kernel.shared <= 48 << 10 for kernel in kernels)
    target = ptx_target(capability)
    texts = [assembly_of(module_text(kernel), target) for kernel in kernels]
    assembler = _ptxas()
    if assembler is None:
        pytest.skip("ptxas is not installed (the extra `gpu-test`)")
    file = tmp_path / "kernels.ptx"
    bodies = [text.partition(".address_size 64")[2] for text in texts]
    head = texts[0].partition(".address_size 64")[0]
    file.write_text(head + ".address_size 64" + "\n".join(bodies))
    architecture = f"sm_{capability[0]}{capability[1]}"
    command = [assembler, "-v", f"-arch={architecture}", str(file), "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    spilled = [int(n) for n in re.findall(r"(\d+) bytes spill stores", result.stderr)]
    assert len(spilled) == len(kernels) and max(spilled) <= MOST_SPILLED, result.stderr


def _assemble_for_hopper_alone(assembler: str, folder: Path) -> None:
    """Products by warpgroups: no later card has their instructions."""
    for dtype, from_table in (("bfloat16", True), ("float16", False)):
        kernel = group_product_kernel(GridGroupProduct(dtype, from_table))
        target = ptx_target(HOPPER, kernel.architecture)
        text = assembly_of(module_text(kernel, from_table), target)
        assert text.count("wgmma.mma_async") == 4 and ".target sm_90a" in text
        file = folder / "group.ptx"
        file.write_text(text)
        command = [assembler, "-v", "-arch=sm_90a", str(file), "-o", str(folder / "group")]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr
        assert "serialized" not in result.stderr and " 0 bytes spill stores" in result.stderr


@pytest.mark.parametrize("capability", CAPABILITIES, ids=str)
def test_ptxas_assembles_the_kernels(capability, kernels_of_programs, tmp_path) -> None:
    kernels = [*kernels_of_programs, *_written_by_hand()]
    if capability >= TENSOR_CORES:
        kernels += _of_tensor_cores()
    assert len(kernels) > 15
    target = ptx_target(capability)
    # A few also as parts of graphs, which find their arguments in a table: only how they begin
    # differs.
    kernels += [replace(kernel, name=f"{kernel.name}_of_table") for kernel in kernels[:4]]
    # And for many segments at once, with and without barriers.
    single = [kernel for kernel in kernels if not kernel.joined]
    joined = [joined_kernel(kernel) for kernel in [*single[:6], *_written_by_hand()[:4]]]
    known = {kernel.name for kernel in kernels}
    kernels += [kernel for kernel in joined if kernel.name not in known]
    texts = [
        assembly_of(module_text(kernel, kernel.name.endswith("_of_table")), target)
        for kernel in kernels
    ]
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
    if capability == HOPPER:
        _assemble_for_hopper_alone(assembler, tmp_path)
    architecture = f"sm_{capability[0]}{capability[1]}"
    command = [assembler, f"-arch={architecture}", str(file), "-o", str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
