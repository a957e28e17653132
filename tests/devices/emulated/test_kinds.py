"""Devices under their other names: what `cuda` does, `xpu` and `mps` do, on the emulated device."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.engine import cuda, mps, xpu
from rushlight.engine.accelerators import Accelerators
from rushlight.runtime.emulator import RANDOM, Emulator


@pytest.fixture(params=[xpu.kind, mps.kind], ids=lambda kind: kind.kind)
def kind(request) -> Iterator[Accelerators]:
    cuda.use_driver(None)
    driver = Emulator(devices=2)
    driver.order = RANDOM
    request.param.use_driver(driver)
    yield request.param
    request.param.use_driver(None)


def _trained(place: str) -> list:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.GELU(), nn.Linear(5, 3)).to(place)
    x, y = torch.randn(8, 6).to(place), torch.randint(0, 3, (8,)).to(place)
    optimizer = torch.optim.AdamW(model.parameters())
    for _ in range(3):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    return [p.tolist() for p in model.parameters()]


def test_a_network_trains_with_the_bits_of_the_cpu(kind: Accelerators) -> None:
    assert _trained(kind.kind) == _trained("cpu")


def test_values_say_where_they_are(kind: Accelerators) -> None:
    x = torch.tensor([1.0, 2.0], device=kind.kind)
    assert repr(x) == f"tensor([1., 2.], device='{kind.kind}:0')"
    assert (x.is_xpu, x.is_mps, x.is_cuda) == (kind is xpu.kind, kind is mps.kind, False)
    assert x.type() == f"torch.{kind.kind}.FloatTensor" and x.cpu().device.type == "cpu"
    assert pickle.loads(pickle.dumps(x)).device == x.device
    file = io.BytesIO()
    torch.save({"x": x}, file)
    for location, found in ((None, kind.kind), ("cpu", "cpu"), (f"{kind.kind}:1", kind.kind)):
        file.seek(0)
        loaded = torch.load(file, map_location=location)["x"]
        assert loaded.device.type == found and loaded.tolist() == [1.0, 2.0]
    with pytest.raises(RuntimeError, match="found at least two devices"):
        x + torch.ones(2)
    with pytest.raises(TypeError, match="can't convert"):
        x.numpy()
    with pytest.raises(BufferError, match="is not shared"):
        x.__dlpack_device__()


def test_random_numbers_follow_their_seed(kind: Accelerators) -> None:
    found = []
    for _ in range(2):
        torch.manual_seed(3)
        found.append(torch.rand(5, device=kind.kind).tolist())
    assert found[0] == found[1] != torch.rand(5, device=kind.kind).tolist()
    generator = torch.Generator(kind.kind).manual_seed(1)
    assert torch.randn(3, device=kind.kind, generator=generator).device.type == kind.kind


def test_the_accelerator_is_the_one_that_is_here(kind: Accelerators) -> None:
    accelerator = torch.accelerator
    assert accelerator.is_available() and accelerator.device_count() == 2
    assert accelerator.current_accelerator() == torch.device(kind.kind)
    accelerator.set_device_index(1)
    assert torch.ones(2, device=kind.kind).device.index == 1
    accelerator.set_device_index(0)
    x = torch.ones(1000, device=kind.kind) * 2
    accelerator.synchronize()
    assert accelerator.memory_allocated() >= x.nbytes
    assert accelerator.get_memory_info()[0] < accelerator.get_memory_info()[1]
    stream = torch.Stream(device=kind.kind)
    with torch.accelerator.device_index(0), stream:
        assert accelerator.current_stream() == stream and stream.device.type == kind.kind
        assert (x + 1).sum().item() == 3000
    assert torch.ones(2).pin_memory().is_pinned()


def test_the_modules_of_the_kinds_answer(kind: Accelerators) -> None:
    module = torch.get_device_module(kind.kind)
    assert module.is_available() and module.device_count() == 2
    module.synchronize()
    start, end = (module.Event(enable_timing=True) for _ in range(2))
    start.record()
    (torch.ones(10, device=kind.kind) + 1).sum()
    end.record()
    end.synchronize()
    assert start.elapsed_time(end) >= 0
    module.manual_seed(1)
    assert module.get_rng_state().dtype is torch.uint8
    module.empty_cache()
    assert torch.backends.mps.is_available() is (kind is mps.kind)


def test_xpu_answers_what_pytorchs_does() -> None:
    driver = Emulator(devices=2)
    xpu.kind.use_driver(driver)
    try:
        assert torch.xpu.get_device_properties().total_memory == driver.facts(0).total_bytes
        assert torch.xpu.get_device_capability(1)["max_compute_units"] == 132
        with torch.xpu.device(1):
            assert torch.xpu.current_device() == 1
        with torch.xpu.stream(torch.xpu.Stream()):
            assert torch.xpu.current_stream() != torch.xpu.default_stream()
        assert torch.ones(3).xpu().device == torch.device("xpu:0")
        assert torch.xpu.max_memory_allocated() >= torch.xpu.memory_allocated()
    finally:
        xpu.kind.use_driver(None)


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ("torch.ones(2, device='xpu')", "AssertionError: Torch not compiled with XPU enabled"),
        ("torch.ones(2).to('mps')", "RuntimeError: The MPS backend is not available"),
        ("torch.xpu.Stream()", "RuntimeError: torch.xpu.Stream requires XPU support"),
        ("torch.mps.synchronize()", "RuntimeError: The MPS backend is not available"),
    ],
)
def test_without_a_device_it_is_said(use: str, error: str) -> None:
    environment = {**os.environ, "RUSHLIGHT_XPU": "off", "RUSHLIGHT_MPS": "off"}
    code = f"import rushlight as torch; assert not torch.xpu.is_available(); {use}"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert error in result.stderr
