"""The driver of CUDA cards, on a library that checks each call and computes on the emulator."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight.engine import cuda
from rushlight.runtime.cuda_driver import SIGNATURES, LibCuda
from rushlight.runtime.cuda_library import NoDriver
from tests.devices.driver.fake_libcuda import ILLEGAL_ADDRESS, FakeLibrary


class _Driver(LibCuda):
    """Tells the library which kernel a module holds."""

    def __init__(self, library: FakeLibrary) -> None:
        super().__init__(library)
        self.library = library

    def load(self, index, kernel):
        self.library.kernels[kernel.name] = kernel
        return super().load(index, kernel)


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    made = FakeLibrary(cards=2)
    cuda.use_driver(_Driver(made))
    yield made
    cuda.use_driver(None)


def _trained() -> tuple[list[float], list]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    x, y = torch.randn(8, 6), torch.randint(0, 3, (8,))
    return model, x, y


def test_a_network_trains_through_the_library(library: FakeLibrary) -> None:
    found = []
    for place in ("cpu", "cuda"):
        model, x, y = _trained()
        model, x, y = model.to(place), x.to(place), y.to(place)
        optimizer = torch.optim.Adam(model.parameters())
        for _ in range(2):
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
        found.append([loss.item(), *[p.tolist() for p in model.parameters()]])
    assert found[0] == found[1]
    assert library.calls[0] == "cuInit"
    assert {"cuModuleLoadData", "cuLaunchKernel", "cuMemAllocAsync"} <= set(library.calls)


def test_kernels_are_loaded_once_and_memory_goes_back(library: FakeLibrary) -> None:
    used = cuda.backend().allocator.allocated
    for _ in range(3):
        x = torch.arange(100.0, device="cuda") * 2
        assert x.sum().item() == 9900
    assert library.calls.count("cuModuleLoadData") == len(library.modules)
    del x
    gc.collect()
    assert cuda.backend().allocator.allocated == used
    allocations = library.calls.count("cuMemAllocAsync")
    assert library.calls.count("cuMemFreeAsync") == allocations


def test_cards_have_contexts_and_streams_of_their_own(library: FakeLibrary) -> None:
    x, y = (torch.ones(3, device=f"cuda:{k}") * (k + 1) for k in range(2))
    assert (x.to("cuda:1") + y).tolist() == [3.0, 3.0, 3.0]
    assert len(library.streams) == 2 and library.calls.count("cuDevicePrimaryCtxRetain") == 2


def test_no_memory_is_pytorchs_error_and_nothing_is_lost(library: FakeLibrary) -> None:
    x = torch.ones(4, device="cuda") + 1
    x.sum().item()
    y = x * 3
    # The pool is trimmed and asked once more before a program hears of it.
    library.emulator._facts = library.emulator._facts.__class__(
        **{**library.emulator._facts.__dict__, "total_bytes": 1 << 12}
    )
    with pytest.raises(torch.cuda.OutOfMemoryError, match=r"Tried to allocate .* GPU 0"):
        torch.empty(1 << 20, device="cuda")
    assert "cuMemPoolTrimTo" in library.calls
    assert y.tolist() == [6.0] * 4


def test_a_failed_kernel_is_named(library: FakeLibrary) -> None:
    x = torch.ones(4, device="cuda")
    library.fail["cuLaunchKernel"] = ILLEGAL_ADDRESS
    with pytest.raises(RuntimeError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        (x * 5).sum().item()


def test_events_are_the_cards(library: FakeLibrary) -> None:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    end.record()
    assert start.elapsed_time(end) >= 0
    assert library.calls[-2:] != [] and "cuEventElapsedTime" in library.calls
    del start, end
    gc.collect()
    assert not library.events


def test_what_is_missing_is_said() -> None:
    class Old:
        pass

    with pytest.raises(NoDriver, match="too old"):
        LibCuda(Old())
    without_card = FakeLibrary()
    without_card.fail["cuInit"] = 100
    with pytest.raises(NoDriver, match="cuInit"):
        LibCuda(without_card)
    assert all(name.startswith("cu") for name in SIGNATURES)


def _in_child(queue) -> None:
    try:
        torch.ones(2, device="cuda").tolist()
    except RuntimeError as error:
        queue.put(str(error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_is_told_to_spawn(library: FakeLibrary) -> None:
    torch.ones(2, device="cuda").tolist()
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    child = context.Process(target=_in_child, args=(queue,))
    child.start()
    assert "Cannot re-initialize CUDA in forked subprocess" in queue.get(timeout=30)
    child.join()
