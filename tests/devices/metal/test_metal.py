"""Metal's back end on a stand-in for libobjc, and its texts under a C++ compiler with a shim.

No Mac takes part: what is shown is that the messages are those that Metal documents, with the right
types, that objects are given back, that work is ordered, and that the texts are well-formed.
"""

from __future__ import annotations

import gc
import platform
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base.stats import stats
from rushlight.codegen.device_c import METAL, OPENCL_SINGLE, device_text
from rushlight.codegen.grid import NoKernel
from rushlight.engine import mps
from rushlight.runtime.metal_driver import MetalDriver
from tests.devices.metal.fake_objc import FakeObjC, NamingMetalDriver

by_registers = pytest.mark.skipif(
    platform.machine().lower() not in ("x86_64", "amd64") or platform.system() == "Windows",
    reason="the stand-in reads arguments as Unix passes them on x86-64",
)


@pytest.fixture
def metal() -> Iterator[FakeObjC]:
    fake = FakeObjC()
    mps.kind.use_driver(NamingMetalDriver(fake))
    yield fake
    torch.mps.synchronize()
    mps.kind.use_driver(None)
    gc.collect()
    assert not fake.problems


def _trained(place: str) -> list:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.LayerNorm(64), nn.Linear(64, 3)
    ).to(place)
    x, y = torch.randn(5, 1, 6, 6).to(place), torch.tensor([0, 2, 1, 0, 2]).to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
    return [loss.item(), *[p.tolist() for p in model.parameters()]]


@by_registers
def test_a_network_trains_through_messages(metal: FakeObjC) -> None:
    stats.reset()
    found = _trained("mps")
    assert stats.host_steps == 0, stats.fallback_reasons
    assert found == _trained("cpu")
    assert torch.backends.mps.get_name() == "Apple M of a test"
    assert len(metal.texts) == len(set(metal.texts)) > 5


@by_registers
def test_objects_are_given_back(metal: FakeObjC) -> None:
    (torch.ones(8, device="mps") * 2).sum().item()
    gc.collect()
    torch.mps.synchronize()
    before = {h: t.kind for h, t in metal.things.items()}
    for _ in range(3):
        x = torch.arange(300.0, device="mps") * 2
        assert x.sum().item() == 300 * 299
        del x
    gc.collect()
    torch.mps.synchronize()
    kinds = [t.kind for h, t in metal.things.items() if h not in before]
    # What stays: states of the kernels, and the last command buffer.
    assert set(kinds) <= {"State", "Commands"} and kinds.count("Commands") <= 2
    assert not metal.pools


@by_registers
def test_streams_are_queues_and_events_order_them(metal: FakeObjC) -> None:
    for seed in range(4):
        metal.random.seed(seed)
        side = torch.Stream(device="mps")
        x = torch.arange(64.0, device="mps")
        with side:
            y = x * 2
            event = side.record_event()
        torch.accelerator.current_stream().wait_event(event)
        z = y + x
        del x, y
        assert z.tolist() == [3.0 * k for k in range(64)]
        event.synchronize()
        assert event.query()
    start, end = (torch.mps.Event(enable_timing=True) for _ in range(2))
    start.record()
    torch.ones(4, device="mps").add(1).sum()
    end.record()
    assert start.elapsed_time(end) > 0


@by_registers
def test_what_metal_lacks_goes_through_the_host_and_is_named(metal: FakeObjC) -> None:
    stats.reset()
    x = torch.linspace(0.1, 1, 7, dtype=torch.float64)
    assert torch.equal((x.to("mps") * 3).exp().cpu(), (x * 3).exp())
    assert torch.equal((x[:6].reshape(2, 3).to("mps") @ x[:6].reshape(3, 2).to("mps")).cpu(),
                       x[:6].reshape(2, 3) @ x[:6].reshape(3, 2))  # fmt: skip
    assert stats.host_steps >= 2
    assert any("Metal has no words for" in reason for reason in stats.fallback_reasons)


@by_registers
def test_memory_that_is_not_there_is_pytorchs_error(metal: FakeObjC) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="MPS out of memory"):
        torch.empty(1 << 26, device="mps").add(1).sum().item()
    assert torch.mps.driver_allocated_memory() >= 0
    assert torch.mps.recommended_max_memory() == 1 << 28


@by_registers
def test_failures_are_told() -> None:
    fake = FakeObjC()
    fake.refuses = "kernel void"
    mps.kind.use_driver(NamingMetalDriver(fake))
    try:
        with pytest.raises(RuntimeError, match="was not compiled\na word of this test"):
            (torch.ones(3, device="mps") + 1).tolist()
        fake.refuses = ""
        x = torch.ones(3, device="mps") * 5
        fake.fails = True
        with pytest.raises(RuntimeError, match="the GPU of this test hangs"):
            x.tolist()
        fake.fails = False
    finally:
        mps.kind.use_driver(None)


@by_registers
def test_without_a_gpu_there_is_no_driver() -> None:
    fake = FakeObjC()
    fake.device = 0
    with pytest.raises(Exception, match="Metal knows no device"):
        MetalDriver(fake.libraries)


def test_here_it_is_said_why_there_is_none() -> None:
    mps.kind.use_driver(None)
    if platform.system() == "Darwin":
        pytest.skip("this is macOS")
    assert not torch.backends.mps.is_available() and "macOS" in mps.kind.reason()


# ---- the text ------------------------------------------------------------------------------------

# What Metal's language has beyond C++, as C++.
SHIM = """
#include <cmath>
#include <cstdint>
typedef unsigned char uchar; typedef unsigned short ushort; typedef unsigned int uint;
typedef unsigned long ulong; typedef _Float16 half;
#define device
#define threadgroup
#define thread
#define constant const
#define kernel
namespace metal {
template <class T, class S> T as_type(S x) {
  static_assert(sizeof(T) == sizeof(S), "as_type keeps the bits");
  T y; __builtin_memcpy(&y, &x, sizeof y); return y;
}
enum class mem_flags { mem_none = 0, mem_device = 1, mem_threadgroup = 2 };
inline mem_flags operator|(mem_flags x, mem_flags y) { return mem_flags(int(x) | int(y)); }
inline void threadgroup_barrier(mem_flags) {}
template <class T> T popcount(T x) { return T(__builtin_popcountll(ulong(x))); }
template <class T> T clz(T x) { return x; }
template <class T> T ctz(T x) { return x; }
template <class T> T min(T x, T y) { return x < y ? x : y; }
template <class T> T max(T x, T y) { return x < y ? y : x; }
using std::fma; using std::fabs; using std::sqrt; using std::floor; using std::ceil;
using std::trunc; using std::rint; using std::copysign; using std::fmod; using std::abs;
}
"""


@by_registers
def test_a_compiler_of_cpp_takes_the_texts(metal: FakeObjC, tmp_path: Path) -> None:
    compiler = shutil.which("g++") or shutil.which("clang++")
    if compiler is None:
        pytest.skip("there is no compiler of C++")
    _trained("mps")
    x = torch.randn(70, 9, device="mps")
    torch.nn.functional.softmax(x, 1).argsort(1).sum().item()
    layer = nn.GRU(9, 5).to("mps")
    layer(x)[0].sum().item()
    (x.half() @ x.half().T).bfloat16().cumsum(0).sum().item()
    (tmp_path / "metal_stdlib").write_text(SHIM)
    bodies = []
    for number, text in enumerate(metal.texts):
        # Each has helpers of its own; one file starts the compiler once.
        body = text.partition("using namespace metal;")[2]
        bodies.append(f"namespace text_{number} {{ using namespace metal;{body} }}")
    file = tmp_path / "kernels.cpp"
    file.write_text("#include <metal_stdlib>\n" + "\n".join(bodies))
    command = [
        compiler, "-std=c++20", "-fsyntax-only", "-Wno-attributes", "-Wno-unknown-pragmas",
        "-I", str(tmp_path), str(file),
    ]  # fmt: skip
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:4000]
    assert len(bodies) > 12


def test_devices_without_double_take_numbers_as_float() -> None:
    made: list = []

    class Noting(NamingMetalDriver):
        def load(self, index, kernel):
            made.append(kernel)
            return super().load(index, kernel)

    if platform.machine().lower() not in ("x86_64", "amd64"):
        pytest.skip("the stand-in reads arguments as Unix passes them on x86-64")
    mps.kind.use_driver(Noting(FakeObjC()))
    try:
        assert (torch.ones(3, device="mps") * 0.1).tolist() == (torch.ones(3) * 0.1).tolist()
    finally:
        mps.kind.use_driver(None)
    kernel = next(k for k in made if any(k.params))
    for dialect, words in ((METAL, "const float v_p"), (OPENCL_SINGLE, "float v_p")):
        found = device_text(kernel, dialect)
        assert words in found.text and "double" not in found.text and found.single
    doubled = kernel.body.replace("fptrunc double", "fpext double")
    with pytest.raises(NoKernel, match="has no words for"):
        device_text(kernel.__class__(**{**kernel.__dict__, "body": doubled}), METAL)
