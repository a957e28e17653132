"""Matrix products on the emulated device give the bits of the CPU, however the operands lie."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np
import pytest

import rushlight as torch
from rushlight.codegen.grid_warpgroup import GridGroupProduct, group_product_kernel
from rushlight.engine import cuda, device_trust
from rushlight.runtime.emulator import Emulator
from rushlight.tape.device_array import DeviceArray
from rushlight.tensor.placing import device_array

SHAPES = (
    ((5, 7), (7, 9)),
    ((70, 600), (600, 66)),  # more than one block of k, and tiles beyond the edges
    ((3, 5, 20), (3, 20, 6)),
    ((1, 70), (70, 9)),
    ((9, 70), (70, 1)),
    ((1, 70), (4, 70, 1)),
)


@pytest.mark.parametrize("shapes", SHAPES)
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16], ids=str
)
def test_a_product_has_the_bits_of_the_cpu(emulator, shapes, dtype) -> None:
    # The hardware adds within an instruction of its tensor cores in an order of its own.
    close = dtype.itemsize == 2 and not emulator.emulated
    torch.manual_seed(0)
    x, y = (torch.randn(*shape) for shape in shapes)
    before = torch.stats()["host_steps"]
    for turned_x in (False, True):
        for turned_y in (False, True):
            a = (x.mT.contiguous().mT if turned_x else x).to(dtype)
            b = (y.mT.contiguous().mT if turned_y else y).to(dtype)
            expected, found = a @ b, (a.cuda() @ b.cuda()).cpu()
            if close:
                torch.testing.assert_close(found, expected, rtol=0.02, atol=0.2)
            else:
                assert torch.equal(expected, found)
    assert torch.stats()["host_steps"] == before


@pytest.mark.parametrize("rows", [1, 9, 70])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_a_linear_layer_of_halves_is_rounded_once_on_the_device(emulator, rows, dtype) -> None:
    # Eighths: sums are exact in float32 in any order.
    torch.manual_seed(0)
    x, weight, bias = (
        (torch.randint(-64, 65, shape) / 8).to(dtype) for shape in ((rows, 72), (66, 72), (66,))
    )
    expected = torch.nn.functional.linear(x, weight, bias)
    found = torch.nn.functional.linear(x.cuda(), weight.cuda(), bias.cuda())
    assert torch.equal(expected, found.cpu())


@pytest.fixture
def only_emulated(emulator) -> None:
    if not emulator.emulated:
        pytest.skip("the emulator says which kernels it ran")


def _launched(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, work) -> list[str]:
    """Names of the kernels that some work runs."""
    names: list[str] = []
    run = Emulator._run

    def noting(self, index, function, *arguments):
        names.append(function.kernel.name)
        return run(self, index, function, *arguments)

    monkeypatch.setattr(Emulator, "_run", noting)
    work()
    torch.cuda.synchronize()
    return names


def test_products_of_16_bits_go_to_tensor_cores(only_emulated, emulator, monkeypatch) -> None:
    x = torch.randn(20, 30, device="cuda")
    for dtype, kind in ((torch.bfloat16, "bf16"), (torch.float16, "f16")):
        names = _launched(emulator, monkeypatch, lambda d=dtype: (x.to(d) @ x.to(d).T).sum().item())
        assert f"tensor_product_{kind}_kk_ss_64" in names
    assert not any(n.startswith("tensor") for n in _launched(
        emulator, monkeypatch, lambda: (x @ x.T).sum().item()
    ))  # fmt: skip


def test_tf32_is_used_where_it_is_allowed(only_emulated, emulator, monkeypatch) -> None:
    x, y = torch.randn(70, 90), torch.randn(90, 66)
    exact = (x.double() @ y.double()).numpy()
    switches = torch.backends.cuda.matmul
    assert switches.allow_tf32 is False
    try:
        switches.allow_tf32 = True
        found: list = []
        names = _launched(
            emulator, monkeypatch, lambda: found.append((x.cuda() @ y.cuda()).cpu().numpy())
        )
        assert "tensor_product_tf32_kr_ss_64" in names
        # Operands cut to 10 bits of mantissa: off by 2^-10 of each product at most.
        magnitude = np.abs(x.numpy()) @ np.abs(y.numpy())
        error = np.abs(found[0] - exact)
        assert (error <= 2.0**-9 * magnitude).all() and error.max() > 1e-4
        assert torch.equal(x @ y, x @ y)
        torch.set_float32_matmul_precision("highest")
        assert switches.allow_tf32 is False
        assert torch.equal((x.cuda() @ y.cuda()).cpu(), x @ y)
        torch.set_float32_matmul_precision("high")
        assert switches.allow_tf32 is True
    finally:
        torch.set_float32_matmul_precision("highest")


def test_older_devices_have_no_such_cores(only_emulated, monkeypatch) -> None:
    backend = cuda.backend()
    old = backend.facts.__class__(**{**backend.facts.__dict__, "capability": (7, 5)})
    x = torch.randn(20, 30).bfloat16()
    monkeypatch.setattr(backend, "facts", old)
    with pytest.MonkeyPatch.context() as patched:
        names = _launched(None, patched, lambda: (x.cuda() @ x.cuda().T).sum().item())
    assert "product_float32_kk" in names


# Beyond the edges of a tile of 128 x 128, and of the 64 steps of k that are brought at a time.
GROUPED = (
    ((130, 136), (136, 70), "group_product"),
    ((2, 128, 64), (2, 64, 128), "group_product"),
    ((300, 264), (264, 200), "group_product"),
    ((130, 130), (130, 70), "tensor_product"),  # lines of no whole pieces of 16 bytes
    ((20, 136), (136, 70), "tensor_product"),  # a small part of a tile
)


@pytest.mark.parametrize("shapes", GROUPED, ids=str)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_warpgroups_multiply_lines_of_whole_pieces(
    only_emulated, emulator, monkeypatch, shapes, dtype
) -> None:
    torch.manual_seed(0)
    first, second, kind = shapes
    x, y = torch.randn(*first).to(dtype), torch.randn(*second).to(dtype)
    a, b = x.cuda(), y.mT.contiguous().cuda()
    found: list = []
    names = _launched(emulator, monkeypatch, lambda: found.append((a @ b.mT).cpu()))
    assert [n for n in names if "product" in n][0].startswith(kind)
    exact = x.double() @ y.double()
    # Sums in float32, rounded once: half a step of the dtype, and the rounding of the sums.
    step = 2.0**-8 if dtype is torch.bfloat16 else 2.0**-11
    bound = step * exact.abs() + 1e-5 * (x.double().abs() @ y.double().abs())
    assert ((found[0].double() - exact).abs() <= bound).all()


def test_a_piece_in_its_wrong_place_is_noticed(only_emulated) -> None:
    """The emulation of shared memory's pattern is a judge only if it finds another one."""
    kernel = group_product_kernel(GridGroupProduct("float16"))
    plain = kernel.body.replace(" xor i64 ", " or i64 ")
    assert plain != kernel.body
    products = []
    for body in (kernel.body, plain):
        driver = Emulator()
        function = driver.load(0, replace(kernel, name=f"of_{len(products)}", body=body))
        x = np.random.default_rng(0).standard_normal((128, 64)).astype(np.float16)
        out, offsets = np.zeros((128, 128), np.float16), np.zeros(3, np.int64)
        addresses = [driver.allocate(0, array.nbytes) for array in (x, x, out, offsets)]
        for array, address in zip((x, x, out, offsets), addresses):
            driver.copy_in(0, address, array)
        driver.launch(0, function, 1, addresses, [128, 128, 64, 64, 64, 1, 1, 1])
        driver.copy_out(0, out, addresses[2])
        products.append(np.allclose(out, x.astype(np.float32) @ x.astype(np.float32).T, atol=0.1))
    assert products == [True, False]


def test_memory_of_others_that_begins_anywhere_is_copied(only_emulated) -> None:
    x = torch.arange(70.0, device="cuda").bfloat16()
    shared = torch.from_dlpack(x[1:65].clone())
    block = device_array(shared)
    lies = DeviceArray(block.memory, (32,), block.dtype, 2)
    backend = cuda.backend()
    assert backend.here(block) is block
    copied = backend.here(lies)
    assert copied.address % 16 == 0 and np.array_equal(copied.to_host(), lies.to_host())


def test_a_large_product_by_large_tiles_has_the_bits_of_the_cpu() -> None:
    """As many tiles as keep a card busy, and edges that are not whole ones."""
    x, y = torch.randn(1500, 37), torch.randn(37, 1450)
    assert torch.equal((x.cuda() @ y.cuda()).cpu(), x @ y)
    assert torch.equal((x.cuda() @ y.T.contiguous().cuda().T).cpu(), x @ y)


@pytest.mark.parametrize(
    ("shapes", "turned", "kind"),
    [
        (((70, 40), (40, 72)), (False, False), "kr_ww_64"),
        (((72, 40), (40, 70)), (True, True), "rk_ww_64"),
        (((66, 24), (24, 80)), (True, False), "rr_sw_64"),
        (((1400, 24), (24, 1600)), (False, False), "kr_ww_128"),
    ],
    ids=str,
)
def test_pieces_of_16_bytes_are_read_whole(
    only_emulated, emulator, monkeypatch, shapes, turned, kind
) -> None:
    """Along k or not, with edges that are not whole tiles: the bits of the CPU."""
    torch.manual_seed(0)
    x, y = (torch.randn(*shape).bfloat16() for shape in shapes)
    a, b = ((t.mT.contiguous().cuda().mT if turn else t.cuda()) for t, turn in zip((x, y), turned))
    found: list = []
    names = _launched(emulator, monkeypatch, lambda: found.append((a @ b).cpu()))
    assert f"tensor_product_bf16_{kind}" in names
    assert torch.equal(found[0], x @ y)


def test_a_card_that_multiplies_wrongly_is_asked_once(only_emulated, monkeypatch) -> None:
    x = torch.randn(128, 64).bfloat16()
    expected = x @ x.T
    monkeypatch.setattr(device_trust, "_tried", lambda dtype, backend: False)
    monkeypatch.setattr(device_trust, "_found", weakref.WeakKeyDictionary())
    with pytest.warns(RuntimeWarning, match="products of bfloat16 by wgmma are wrong there"):
        (x.cuda() @ x.cuda().T).sum().item()
    names = _launched(None, monkeypatch, lambda: (x.cuda() @ x.cuda().T + 1).cpu().sum().item())
    assert not any(n.startswith("group") for n in names)
    assert torch.equal((x.cuda() @ x.cuda().T).cpu(), expected)
