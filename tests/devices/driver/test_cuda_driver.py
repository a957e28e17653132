"""The driver of CUDA cards, on a library that checks each call and computes on the emulator."""

from __future__ import annotations

import gc
import multiprocessing
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine import cuda
from rushlight.engine.device_plan import DevicePlan
from rushlight.runtime import cuda_code
from rushlight.runtime.cuda_calls import SIGNATURES
from rushlight.runtime.cuda_driver import LibCuda
from rushlight.runtime.cuda_library import NoDriver
from rushlight.runtime.jit import assembly_of
from rushlight.runtime.kernel_cache import DiskCache, KernelCache
from rushlight.tape.memo import memo
from rushlight.tape.tape import current_tape
from tests.devices.driver.fake_libcuda import ILLEGAL_ADDRESS, FakeLibrary, NamingDriver


@pytest.fixture
def library() -> Iterator[FakeLibrary]:
    made = FakeLibrary(cards=2)
    cuda.use_driver(NamingDriver(made))
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
    torch.cuda.empty_cache()
    allocations = library.calls.count("cuMemAllocAsync")
    assert library.calls.count("cuMemFreeAsync") == allocations


def test_a_step_like_the_one_before_asks_the_driver_for_no_memory(library: FakeLibrary) -> None:
    torch.manual_seed(0)
    model = torch.nn.Linear(6, 3).cuda()
    optimizer = torch.optim.Adam(model.parameters())
    x = torch.randn(8, 6, device="cuda")
    asked, losses = [], []
    for _ in range(6):
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        asked.append(library.calls.count("cuMemAllocAsync"))
    assert asked[3] == asked[-1] and losses == sorted(losses, reverse=True)
    held = cuda.backend().allocator
    assert 0 < held.spare_bytes <= held.MOST_SPARE


def test_what_is_kept_is_given_back_before_memory_is_said_to_be_out(library: FakeLibrary) -> None:
    kept = [torch.ones(1 << 16, device="cuda") * k for k in range(8)]
    for x in kept:
        x[0].item()
    facts = library.emulator._facts
    library.emulator._facts = facts.__class__(**{**facts.__dict__, "total_bytes": 5 << 20})
    del kept, x
    gc.collect()
    memo.clear()
    current_tape().drop()
    assert cuda.backend().allocator.spare_bytes >= 1 << 20
    large = torch.ones(1 << 20, device="cuda") + 0.5
    assert large[5].item() == 1.5
    assert cuda.backend().allocator.spare_bytes < 1 << 20


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


@pytest.fixture
def on_disk(monkeypatch, tmp_path) -> Iterator[Callable[..., FakeLibrary]]:
    """A function that begins as another process would: only the files are kept."""

    def begin(**options: Any) -> FakeLibrary:
        cache = KernelCache(DiskCache(tmp_path / "cache"))
        monkeypatch.setattr(cuda_code, "process_cache", lambda: cache)
        made = FakeLibrary(version=options.pop("version", 12040))
        for name, value in options.items():
            setattr(made, name, value)
        cuda.use_driver(None)
        cuda.use_driver(NamingDriver(made))
        assert (torch.arange(5.0, device="cuda") * 3 + 1).tolist() == [1.0, 4.0, 7.0, 10.0, 13.0]
        return made

    yield begin
    cuda.use_driver(None)


def test_binary_code_is_kept_on_disk_for_a_version_of_the_driver(on_disk, monkeypatch) -> None:
    written: list[str] = []

    def counted(text: str, target) -> str:
        written.append(text)
        return assembly_of(text, target)

    monkeypatch.setattr(cuda_code, "assembly_of", counted)
    assert on_disk().calls.count("cuLinkComplete") == 1
    again = on_disk()
    assert again.calls.count("cuLinkComplete") == 0, "the next process links again"
    assert again.calls.count("cuModuleLoadData") == 1
    # Another driver makes its own, of the text that lies on disk.
    assert on_disk(version=13000).calls.count("cuLinkComplete") == 1
    assert len(written) == 1


def test_files_that_were_tampered_with_are_not_loaded(on_disk, tmp_path) -> None:
    on_disk()
    for file in (tmp_path / "cache").iterdir():
        data = bytearray(file.read_bytes())
        data[-1] ^= 1
        file.write_bytes(data)
    assert on_disk().calls.count("cuLinkComplete") == 1
    os.chmod(tmp_path / "cache", 0o755)
    assert on_disk().calls.count("cuLinkComplete") == 1, "a directory that others write to is used"


@pytest.mark.parametrize("lack", [{"links": False}, {"refuses_binaries": True}], ids=str)
def test_a_driver_that_does_not_take_binary_code_is_given_text(on_disk, lack) -> None:
    loads = [on_disk(**lack).calls.count("cuModuleLoadData") for _ in range(2)]
    assert loads == ([1, 1] if "links" in lack else [2, 2])


def test_a_graph_is_ended_with_its_plan(library: FakeLibrary) -> None:
    x = torch.randn(20, 30, device="cuda")
    x.tolist()  # drawn on the card together with what follows, it would be one more plan
    for _ in range(4):
        y = ((x @ x.T).softmax(1) @ x).sum()
        y.item()
    assert library.calls.count("cuGraphLaunch") == 3
    assert library.calls.count("cuGraphInstantiateWithFlags") == 1
    assert len(library.graphs) == 1
    plans = [p for p in gc.get_objects() if type(p) is DevicePlan and p.chain is not None]
    for plan in plans:
        plan.chain = None
    gc.collect()
    assert not library.graphs


def test_a_failed_kernel_is_named(library: FakeLibrary) -> None:
    x = torch.ones(4, device="cuda")
    library.fail["cuLaunchKernel"] = ILLEGAL_ADDRESS
    with pytest.raises(RuntimeError, match="CUDA_ERROR_ILLEGAL_ADDRESS"):
        (x * 5).sum().item()


@pytest.mark.parametrize("call", ["cuMemFreeAsync", "cuGraphExecDestroy"])
def test_what_ends_on_a_failed_card_ends_without_a_word(library: FakeLibrary, call: str) -> None:
    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        x = torch.randn(20, 30, device="cuda")
        for _ in range(4):
            ((x @ x.T).softmax(1) @ x).sum().item()
    library.fail[call] = ILLEGAL_ADDRESS
    for plan in [p for p in gc.get_objects() if type(p) is DevicePlan and p.chain is not None]:
        plan.chain = None
    del x, stream
    torch.cuda.synchronize()
    memo.clear()
    current_tape().drop()
    gc.collect()
    assert call in library.calls and call not in library.fail


def test_an_event_of_a_failed_card_ends_without_a_word(library: FakeLibrary) -> None:
    event = torch.cuda.Event()
    event.record()
    library.fail["cuEventDestroy_v2"] = ILLEGAL_ADDRESS
    del event
    gc.collect()
    assert not library.fail


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
