"""Modules that scripts ask before they choose a device or a compiler answer as PyTorch's do."""

from __future__ import annotations

import threading

import pytest

import rushlight

SAME = [
    "xpu.is_available()",
    "xpu.device_count()",
    "mps.is_available()",
    "mps.device_count()",
    "accelerator.is_available()",
    "accelerator.current_accelerator()",
    "accelerator.device_count()",
    "cpu.is_available()",
    "cpu.device_count()",
    "cpu.current_device()",
    "cpu.synchronize()",
    "cuda.memory_stats()",
    "cuda.get_gencode_flags()",
    "cuda.is_tf32_supported()",
    "compiler.is_compiling()",
    "get_deterministic_debug_mode()",
    "is_warn_always_enabled()",
    "typename(tensor([1.0]))",
    "is_storage(tensor([1.0]).untyped_storage())",
    "get_device_module('cpu').__name__.split('.')[-1]",
    "__future__.get_overwrite_module_params_on_conversion()",
    "backends.cuda.flash_sdp_enabled()",
    "backends.mha.get_fastpath_enabled()",
]
REFUSED = [
    "mps.synchronize()",
    "xpu.current_device()",
    "accelerator.synchronize()",
    "accelerator.current_device_index()",
    "cuda.cudart()",
    "cuda.CUDAGraph()",
    "cuda.FloatTensor(2)",
    "set_deterministic_debug_mode(7)",
    "set_default_tensor_type('torch.LongTensor')",
]


@pytest.mark.parametrize("text", SAME)
def test_answers_equal_pytorchs(text: str) -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available() or torch.backends.mps.is_available():
        pytest.skip("this PyTorch has an accelerator")
    assert eval(f"rushlight.{text}", {"rushlight": rushlight, "tensor": rushlight.tensor}) == eval(
        f"torch.{text}", {"torch": torch, "tensor": torch.tensor}
    )


@pytest.mark.parametrize("text", REFUSED)
def test_what_needs_a_device_is_refused(text: str) -> None:
    with pytest.raises((AssertionError, RuntimeError, TypeError)):
        eval(f"rushlight.{text}")


def test_all_of_pytorchs_cuda_names_are_there() -> None:
    torch = pytest.importorskip("torch")
    missing = [name for name in torch.cuda.__all__ if not hasattr(rushlight.cuda, name)]
    assert missing == []


def test_marks_of_compilers_return_what_they_mark() -> None:
    def function(x: int) -> int:
        return x

    assert rushlight.compiler.disable(function) is function
    assert rushlight._dynamo.disable()(function) is function
    assert rushlight._dynamo.optimize("eager")(function)(3) == 3
    rushlight._dynamo.config.cache_size_limit = 8
    with rushlight._dynamo.config.patch(cache_size_limit=3, unheard_of=1):
        assert rushlight._dynamo.config.cache_size_limit == 3
    assert rushlight._dynamo.config.cache_size_limit == 8
    assert not hasattr(rushlight._dynamo.config, "unheard_of")


def test_a_future_is_waited_for_and_followed() -> None:
    future: rushlight.futures.Future[int] = rushlight.futures.Future()
    doubled = future.then(lambda done: done.wait() * 2)
    failed = doubled.then(lambda done: 1 / 0)
    threading.Timer(0.01, future.set_result, [21]).start()
    assert doubled.wait() == 42
    with pytest.raises(ZeroDivisionError):
        failed.wait()
    assert rushlight.futures.wait_all([future, doubled]) == [21, 42]
    with pytest.raises(RuntimeError, match="second time"):
        future.set_result(1)
