"""Pieces of a stream's work keep their order, whoever asks for more in the middle of one."""

from __future__ import annotations

import gc
import os
import threading

import pytest

import rushlight
from rushlight.engine import cuda
from rushlight.runtime.emulator import Emulator

pytestmark = pytest.mark.skipif(
    bool(os.environ.get("RUSHLIGHT_ON_CARD")), reason="about the emulator's own queues"
)


class Cycle:
    """Something that only the garbage collector ends, and that holds memory of the device."""

    def __init__(self, value: rushlight.Tensor) -> None:
        self.value = value
        self.itself = self


def test_garbage_collected_in_a_copy_lets_no_kernel_overtake_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    driver = Emulator()
    cuda_before = cuda.driver()
    address_of = driver._host_address

    held = []

    def collecting(*arguments: int) -> int:
        if held:
            Cycle(held.pop())
        gc.collect()
        return address_of(*arguments)

    cuda.use_driver(driver)
    try:
        held += [rushlight.tensor([float(i)]).to("cuda") * 2 for i in range(4)]
        assert [x.item() for x in held] == [0.0, 2.0, 4.0, 6.0]
        monkeypatch.setattr(driver, "_host_address", collecting)
        x = rushlight.tensor([1.0, 2.0, 3.0]).to("cuda")
        assert ((x + 1) * 2).cpu().tolist() == [4.0, 6.0, 8.0]
    finally:
        cuda.use_driver(cuda_before)


def test_memory_given_back_in_a_piece_is_there_until_its_end() -> None:
    driver = Emulator()
    address = driver.allocate(0, 16)
    order = []

    def piece() -> None:
        driver.free(0, address)  # as a finalizer does
        order.append(driver._host_address(0, address, 16))
        order.append("piece")

    driver._ask(0, 0, piece, False)
    assert order[1:] == ["piece"]
    with pytest.raises(RuntimeError, match="illegal memory access"):
        driver._host_address(0, address, 16)


def test_another_thread_waits_for_a_kernel_that_runs() -> None:
    driver = Emulator()
    begun, may_end = threading.Event(), threading.Event()
    order = []

    def kernel() -> None:
        begun.set()
        may_end.wait(10)
        order.append("kernel")

    thread = threading.Thread(target=lambda: driver._ask(0, 0, kernel, False))
    thread.start()
    begun.wait(10)
    driver._ask(0, 0, lambda: order.append("next"), False)
    assert order == []
    may_end.set()
    driver.synchronize(0)
    thread.join()
    assert order == ["kernel", "next"]


def test_a_mark_asked_for_in_a_piece_stands_behind_it() -> None:
    driver = Emulator()
    reached = []
    driver._ask(0, 0, lambda: reached.append(driver.mark(0).time), False)
    assert reached == [0.0]


def test_plans_of_a_driver_end_with_it() -> None:
    used = cuda.driver()
    try:
        for driver in (Emulator(), Emulator(), Emulator()):
            cuda.use_driver(driver)
            for _ in range(20):
                x = rushlight.arange(24.0, device="cpu").reshape(2, 3, 4).to("cuda")
                x[None, False] = 9.0
                assert x.cpu().tolist() == rushlight.arange(24.0).reshape(2, 3, 4).tolist()
    finally:
        cuda.use_driver(used)
