"""The same kernels as OpenCL C, on whatever device of OpenCL there is: the CPU's bits.

A second judge of the kernels beside the emulator: the text is another translation, and a compiler
of others' makes code of it.  On Debian `pocl-opencl-icd` is such a device, which runs on the CPU.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base.stats import stats
from rushlight.codegen.device_c import METAL, OPENCL, device_text
from rushlight.codegen.grid import NoKernel
from rushlight.codegen.grid_product import GridProduct, GridRow, product_kernel, row_kernel
from rushlight.codegen.grid_sorting import PIECES, GridSort, sort_kernel
from rushlight.codegen.grid_tensor import GridTensorProduct, tensor_product_kernel
from rushlight.engine import xpu
from rushlight.ops.creation import value_of
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.opencl_driver import OpenClDriver, open_library
from tests.test_primitives import ROWS, cases, ours
from tests.test_primitives import call as call_primitive


def _driver() -> OpenClDriver | None:
    try:
        found = OpenClDriver(open_library())
    except NoDriver:
        return None
    return found if found.device_count() else None


@pytest.fixture(scope="module")
def opencl() -> Iterator[OpenClDriver]:
    found = _driver()
    if found is None:
        pytest.skip("there is no device of OpenCL with shared virtual memory")
    xpu.kind.use_driver(found)
    yield found
    xpu.kind.use_driver(None)


# One of each way in which threads share work: alone, rows, columns, with indices, in order.
CHOSEN = ("add", "exp", "reduce_sum", "reduce_max", "cumsum", "gather", "concatenate", "argsort",
          "cast", "matmul", "convolution")  # fmt: skip


def _compared(name: str) -> None:
    row = ROWS[name][1]
    for dtype in [d for d in ("float32", "int64", "float16") if d in row.dtypes]:
        chosen = [c for c in cases(row, [dtype]) if all(0 not in s for s in c[0])][:1]
        for shapes, params, _ in chosen:
            arrays = row.arrays(shapes, dtype, params)
            here = call_primitive(row, [ours(a, dtype) for a in arrays], params)
            there = call_primitive(row, [ours(a, dtype).to("xpu") for a in arrays], params)
            for x, y in zip(here, there, strict=True):
                assert value_of(x).tobytes() == value_of(y).tobytes(), f"{name} {shapes} {dtype}"


@pytest.mark.parametrize("name", CHOSEN)
def test_a_primitive_has_the_bits_of_the_cpu(opencl, name: str) -> None:
    _compared(name)


@pytest.mark.endurance
@pytest.mark.parametrize("name", [name for name in ROWS if name != "to_device"])
def test_every_primitive_has_the_bits_of_the_cpu(opencl, name: str) -> None:
    _compared(name)


def _trained(place: str) -> list:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3)
    )
    x, y = torch.randn(5, 1, 6, 6), torch.tensor([0, 2, 1, 0, 2])
    model, x, y = model.to(place), x.to(place), y.to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return [loss.item(), *[p.tolist() for p in model.parameters()]]


def test_training_gives_the_bits_of_the_cpu(opencl) -> None:
    stats.reset()
    assert _trained("xpu") == _trained("cpu")
    assert stats.host_steps == 0, stats.fallback_reasons
    assert torch.xpu.get_device_name().startswith("OpenCL: ")
    start, end = torch.xpu.Event(True), torch.xpu.Event(True)
    start.record()
    torch.ones(100, device="xpu").sum().item()
    end.record()
    end.synchronize()
    assert start.query() and start.elapsed_time(end) >= 0
    free, total = torch.xpu.mem_get_info()
    assert 0 < free <= total


def test_recurrent_layers_and_long_sorts_run(opencl) -> None:
    torch.manual_seed(0)
    layer = nn.GRU(3, 5)
    x = torch.randn(4, 2, 3)
    twin = nn.GRU(3, 5).to("xpu")
    twin.load_state_dict(layer.state_dict())
    assert torch.equal(layer(x)[0], twin(x.to("xpu"))[0].cpu())
    values = torch.randn(1500)
    assert torch.equal(values.argsort(), values.to("xpu").argsort().cpu())


def test_streams_are_queues(opencl) -> None:
    side = torch.xpu.Stream()
    x = torch.arange(1000.0, device="xpu")
    with torch.xpu.stream(side):
        assert torch.xpu.current_stream() == side
        y = x * 2
        event = side.record_event()
    torch.xpu.current_stream().wait_event(event)
    z = y + x
    del x, y
    assert z.sum().item() == 3 * 499500
    event.synchronize()
    assert event.query() and torch.ones(3).pin_memory().to("xpu", non_blocking=True).sum() == 3
    torch.xpu.synchronize()


# ---- the text, which needs no device -------------------------------------------------------------


@pytest.mark.parametrize("dialect", [OPENCL, METAL], ids=lambda d: d.name)
def test_braces_and_barriers_are_where_they_belong(dialect) -> None:
    kernels = [
        product_kernel(GridProduct("float32", True, False)),
        row_kernel(GridRow("float32", True)),
        sort_kernel(GridSort(PIECES, "float32", False)),
    ]
    for kernel in kernels:
        found = device_text(kernel, dialect)
        assert found.text.count("{") == found.text.count("}")
        assert f" {kernel.name}(" in found.text and "%" + "v" not in found.text
        barriers = dialect.barrier.partition("(")[0]
        assert found.text.count(barriers + "(") >= 1
    # Threads that only exchange words within a warp are a group of their own.
    assert device_text(kernels[1], dialect).local == 32
    assert device_text(kernels[0], dialect).local == kernels[0].threads


def test_what_a_language_lacks_makes_no_kernel() -> None:
    with pytest.raises(NoKernel, match="Metal has no words for: double"):
        device_text(product_kernel(GridProduct("float64", True, False)), METAL)
    with pytest.raises(NoKernel, match="tensor cores"):
        device_text(tensor_product_kernel(GridTensorProduct("bfloat16", True, True)))
