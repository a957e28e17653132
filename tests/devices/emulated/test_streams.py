"""Streams, events and page-locked memory: what runs side by side still comes in order.

The emulated device leaves work of several streams waiting and does pieces of any of them at random;
the stand-in for CUDA's library is driven the same way.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import numpy as np
import pytest

import rushlight as torch
from rushlight.base.stats import stats
from rushlight.engine import cuda
from rushlight.runtime.emulator import RANDOM, Emulator
from tests.devices.driver.fake_libcuda import FakeLibrary, NamingDriver

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("RUSHLIGHT_ON_CARD")), reason="counts the calls of a stand-in"
)
SEEDS = range(4)


def _emulator(seed: int) -> Emulator:
    made = Emulator(devices=2, seed=seed)
    made.order = RANDOM
    return made


@pytest.fixture(params=["emulator", "libcuda"])
def driver(request) -> Iterator[Emulator]:
    """The emulator that runs the kernels, alone or behind the calls of CUDA's library."""
    # What other tests left need not be looked through again at each end.
    gc.freeze()
    emulator = _emulator(0)
    chosen = emulator
    if request.param == "libcuda":
        library = FakeLibrary(cards=2)
        library.emulator = emulator
        chosen = NamingDriver(library)
    cuda.use_driver(chosen)
    yield emulator
    gc.collect()
    gc.unfreeze()
    torch.cuda.set_stream(torch.cuda.default_stream())
    cuda.use_driver(None)


def _asks(emulator: Emulator, monkeypatch: pytest.MonkeyPatch, name: str) -> list:
    """Arguments of each call of a function of the emulator."""
    found: list = []
    original = getattr(emulator, name)

    def noting(*arguments):
        found.append(arguments)
        return original(*arguments)

    monkeypatch.setattr(emulator, name, noting)
    return found


# ---- the judge -----------------------------------------------------------------------------------


def _copied_by_another_stream(seed: int, waits: bool) -> list[float]:
    emulator = _emulator(seed)
    first, second = emulator.new_stream(0), emulator.new_stream(0)
    x = np.arange(4, dtype=np.float32)
    here, there = emulator.allocate(0, 16), emulator.allocate(0, 16)
    emulator.copy_in(0, here, x, first)
    if waits:
        emulator.follow(0, second, emulator.mark(0, first))
    emulator.copy_over(0, there, 0, here, 16, second)
    out = np.empty(4, np.float32)
    emulator.copy_out(0, out, there, second)
    emulator.synchronize(0)
    return out.tolist()


def test_a_missing_wait_is_noticed() -> None:
    right = [0.0, 1.0, 2.0, 3.0]
    assert all(_copied_by_another_stream(seed, True) == right for seed in range(20))
    assert any(_copied_by_another_stream(seed, False) != right for seed in range(20))


def test_memory_given_back_too_early_is_noticed() -> None:
    noticed = 0
    for seed in range(20):
        emulator = _emulator(seed)
        other = emulator.new_stream(0)
        here, there = emulator.allocate(0, 64), emulator.allocate(0, 64)
        try:
            emulator.copy_over(0, there, 0, here, 64, other)
            emulator.free(0, here)
            emulator.synchronize(0)
        except RuntimeError as error:
            assert "illegal memory access" in str(error)
            noticed += 1
    assert 0 < noticed < 20


# ---- streams -------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_values_cross_streams_whether_or_not_the_program_waits(driver, seed: int) -> None:
    driver._random.seed(seed)
    streams = [torch.cuda.Stream() for _ in range(3)]
    x = torch.arange(64.0, device="cuda")
    expected = torch.arange(64.0)
    for step in range(8):
        with torch.cuda.stream(streams[step % 3]):
            x = x * 2 - step
        expected = expected * 2 - step
    assert torch.equal(x.cpu(), expected)


@pytest.mark.parametrize("seed", SEEDS)
def test_memory_is_given_back_behind_its_readers(driver, seed: int) -> None:
    driver._random.seed(seed)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    totals = []
    for step in range(6):
        x = torch.full((256,), float(step), device="cuda") + 1
        torch.cuda.current_stream().record_event()
        with torch.cuda.stream(side):
            totals.append((x * 2).sum())
        del x  # the side stream has not read it yet
    assert [t.item() for t in totals] == [512.0 * (step + 1) for step in range(6)]
    torch.cuda.synchronize()


@pytest.mark.parametrize("first", ["stream", "tensor"])
def test_a_stream_may_end_before_what_it_made_and_read(driver, first: str) -> None:
    class Both:
        pass

    used = torch.cuda.memory_allocated()
    for _ in range(3):
        x = torch.arange(8.0, device="cuda")
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            y = (x * 2).exp()
            torch.cuda.synchronize()
        both = Both()
        both.itself = both
        for name in (first, "stream", "tensor"):
            setattr(both, name, stream if name == "stream" else (x, y))
        del x, y, stream, both
        gc.collect()
    torch.cuda.synchronize()
    assert torch.cuda.memory_allocated() == used


def test_what_the_program_orders_is_not_ordered_again(driver, monkeypatch) -> None:
    copies = torch.cuda.Stream()
    follows = _asks(driver, monkeypatch, "follow")
    source = torch.arange(8.0).pin_memory()
    with torch.cuda.stream(copies):
        x = source.to("cuda", non_blocking=True)
    assert not follows
    torch.cuda.current_stream().wait_stream(copies)
    assert len(follows) == 1
    assert (x + 1).sum().item() == 36.0
    assert len(follows) == 1, "the copy was known to come first"


def test_streams_and_events_are_pytorchs(driver) -> None:
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    assert torch.cuda.default_stream().cuda_stream == 0
    stream = torch.cuda.Stream(priority=-1)
    assert stream != torch.cuda.current_stream() and stream.cuda_stream != 0
    assert stream.priority == -1 and stream.device == torch.device("cuda:0")
    with torch.cuda.stream(stream):
        assert torch.cuda.current_stream() == stream
        start = torch.cuda.Event(enable_timing=True)
        start.record()
        x = torch.ones(1000, device="cuda") * 2
        end = stream.record_event(torch.cuda.Event(enable_timing=True))
    assert torch.cuda.current_stream() != stream
    end.synchronize()
    assert end.query() and start.elapsed_time(end) >= 0
    torch.cuda.current_stream().wait_event(end)
    assert x.sum().item() == 2000
    stream.synchronize()
    assert stream.query()
    with torch.cuda.stream(None), stream:
        assert torch.cuda.current_stream() == stream
    again = torch.cuda.ExternalStream(stream.cuda_stream)
    assert again == stream
    with torch.cuda.stream(again):
        assert (x + 1).sum().item() == 3000


def test_an_event_is_reached_when_its_work_is_done(driver) -> None:
    driver._random.seed(3)
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        torch.ones(16, device="cuda").add(1)
        event = side.record_event()
    asked = 1
    while not event.query():
        asked += 1
        assert asked < 100
    waiting = torch.cuda.Event()
    assert waiting.query(), "an event that was never recorded is reached, as in PyTorch"


def test_streams_of_threads_are_their_own(driver) -> None:
    from threading import Thread

    found = []
    side = torch.cuda.Stream()

    def work() -> None:
        found.append(torch.cuda.current_stream() == torch.cuda.default_stream())
        with torch.cuda.stream(torch.cuda.Stream()):
            found.append((torch.arange(5.0, device="cuda") * 2).sum().item())

    with torch.cuda.stream(side):
        thread = Thread(target=work)
        thread.start()
        thread.join()
        assert torch.cuda.current_stream() == side
    assert found == [True, 20.0]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_training_loop_with_a_prefetching_stream_has_the_bits_of_the_cpu(driver, seed) -> None:
    driver._random.seed(seed)

    def trained(place: str) -> list:
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.ReLU(), torch.nn.Linear(8, 3))
        model.to(place)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        batches = [torch.randn(4, 6) for _ in range(4)]
        copies = torch.cuda.Stream()
        moved = [b if place == "cpu" else None for b in batches]
        if place == "cuda":
            with torch.cuda.stream(copies):
                moved[0] = batches[0].pin_memory().to("cuda", non_blocking=True)
        for step in range(4):
            if place == "cuda":
                torch.cuda.current_stream().wait_stream(copies)
                if step + 1 < 4:
                    with torch.cuda.stream(copies):
                        ahead = batches[step + 1].pin_memory()
                        moved[step + 1] = ahead.to("cuda", non_blocking=True)
            optimizer.zero_grad()
            loss = model(moved[step]).square().mean()
            loss.backward()
            optimizer.step()
            moved[step] = None
        return [p.tolist() for p in model.parameters()]

    assert trained("cuda") == trained("cpu")


# ---- copies --------------------------------------------------------------------------------------


def test_page_locked_memory_is_read_behind_the_programs_back(driver, monkeypatch) -> None:
    copies = _asks(driver, monkeypatch, "copy_in")
    x = torch.arange(10.0).pin_memory()
    assert x.is_pinned() and not torch.arange(3).is_pinned()
    y = x.to("cuda", non_blocking=True)
    torch.cuda.current_stream().record_event()
    x.add_(1)  # has memory of its own: the copy still reads the old values
    assert y.tolist() == list(range(10)) and x.tolist() == list(range(1, 11))
    assert copies[-1][4] is True, "the source was not known to be page-locked"
    (torch.arange(4.0) + 1).to("cuda").sum().item()
    assert copies[-1][4] is False


def test_page_locked_memory_is_used_again(driver) -> None:
    before = torch.cuda.host_memory_stats()["reserved_bytes.current"]
    for _ in range(5):
        batch = torch.ones(3000).pin_memory()
        assert batch.cuda().sum().item() == 3000
        del batch
        torch.cuda.synchronize()
    found = torch.cuda.host_memory_stats()
    assert found["reserved_bytes.current"] - before <= 2 * (1 << 14)
    gc.collect()
    torch.accelerator.empty_host_cache()
    assert torch.cuda.host_memory_stats()["reserved_bytes.current"] == 0


def test_what_is_made_pinned_is(driver) -> None:
    for made in (
        torch.zeros(3, pin_memory=True),
        torch.tensor([1.0, 2.0], pin_memory=True),
        torch.rand(3, pin_memory=True),
        torch.rand_like(torch.ones(2), pin_memory=True),
        torch.empty(2, pin_memory=True),
    ):
        assert made.is_pinned() and made.device.type == "cpu"
    with pytest.raises(RuntimeError, match="only dense CPU tensors can be pinned"):
        torch.ones(2, device="cuda").pin_memory()
    x = torch.ones(2, requires_grad=True)
    (x.pin_memory() * 3).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_a_loader_pins_what_it_gives(driver) -> None:
    data = torch.utils.data.TensorDataset(torch.arange(12.0), torch.arange(12))
    loader = torch.utils.data.DataLoader(data, batch_size=4, pin_memory=True)
    total = 0.0
    for x, y in loader:
        assert x.is_pinned() and y.is_pinned()
        total += (x.cuda(non_blocking=True) * y.cuda(non_blocking=True)).sum().item()
    assert total == sum(k * k for k in range(12))


@pytest.mark.parametrize("seed", SEEDS)
def test_values_go_from_card_to_card_without_the_host(driver, monkeypatch, seed: int) -> None:
    driver._random.seed(seed)
    assert torch.cuda.can_device_access_peer(0, 1)
    assert not torch.cuda.can_device_access_peer(0, 0)
    side = torch.cuda.Stream("cuda:1")
    x = torch.arange(6.0, device="cuda") * 2
    outs = _asks(driver, monkeypatch, "copy_out")
    peers = _asks(driver, monkeypatch, "copy_over")
    with torch.cuda.stream(side):
        y = x.to("cuda:1") + 1
    del x
    z = y.to("cuda:0")
    torch.cuda.synchronize()
    assert len(peers) == 2 and not [a for a in outs if a[1].nbytes == 24]
    assert z.tolist() == [1.0, 3.0, 5.0, 7.0, 9.0, 11.0] and z.device.index == 0


# ---- graphs --------------------------------------------------------------------------------------


def _step(place: str):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 7), torch.nn.Tanh(), torch.nn.Linear(7, 2))
    model.to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    x, y = torch.randn(9, 5).to(place), torch.randint(0, 2, (9,)).to(place)

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()

    return model, step


def test_a_step_that_comes_again_is_one_launch(driver) -> None:
    models = []
    for place in ("cuda", "cpu"):
        model, step = _step(place)
        for count in range(6):
            if count == 5:
                torch.cuda.synchronize()
                stats.reset()
            step()
        torch.cuda.synchronize()
        models.append(model)
        if place == "cuda":
            assert stats.graph_launches == stats.flushes == 1, stats.snapshot()
            assert stats.kernel_launches > 5 and stats.host_steps == 0
    found = [[p.tolist() for p in model.parameters()] for model in models]
    assert found[0] == found[1]


def test_a_graph_runs_in_several_streams(driver) -> None:
    streams = [torch.cuda.Stream() for _ in range(2)]
    model, step = _step("cuda")
    twin, twin_step = _step("cpu")
    for count in range(6):
        with torch.cuda.stream(streams[count % 2]):
            step()
        twin_step()
    for p, q in zip(model.parameters(), twin.parameters()):
        assert torch.equal(p.cpu(), q)
