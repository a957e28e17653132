"""Switches at the top of PyTorch scripts are accepted, kept, or refused with PyTorch's error."""

from __future__ import annotations

import math

import pytest

import rushlight
from rushlight import settings


@pytest.fixture(autouse=True)
def fresh_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "_settings", settings._Settings())


@pytest.mark.parametrize("name", ["num_threads", "num_interop_threads"])
def test_a_number_of_threads_is_kept(name: str) -> None:
    assert getattr(rushlight, f"get_{name}")() >= 1
    getattr(rushlight, f"set_{name}")(3)
    assert getattr(rushlight, f"get_{name}")() == 3


@pytest.mark.parametrize("count", [0, -1, 2.0, "a", True])
def test_no_number_of_threads_is_refused(count: object) -> None:
    with pytest.raises(RuntimeError, match="set_num_threads expects"):
        rushlight.set_num_threads(count)


def test_the_precision_of_products_is_kept_and_unknown_ones_warn() -> None:
    assert rushlight.get_float32_matmul_precision() == "highest"
    rushlight.set_float32_matmul_precision("high")
    with pytest.warns(UserWarning, match="is not one of 'highest', 'high', or 'medium'"):
        rushlight.set_float32_matmul_precision("low")
    assert rushlight.get_float32_matmul_precision() == "high"


def test_determinism_is_kept() -> None:
    rushlight.use_deterministic_algorithms(True, warn_only=True)
    assert rushlight.are_deterministic_algorithms_enabled()
    assert rushlight.is_deterministic_algorithms_warn_only_enabled()


def test_the_default_device_is_the_cpu() -> None:
    rushlight.set_default_device("cpu")
    assert rushlight.get_default_device() == rushlight.device("cpu")
    with pytest.raises(AssertionError, match="Torch not compiled with CUDA enabled"):
        rushlight.set_default_device("cuda")


def test_compile_takes_pytorchs_options() -> None:
    model = rushlight.nn.Linear(2, 1)
    wrapped = rushlight.compile(model, mode="max-autotune")
    assert isinstance(wrapped, rushlight._dynamo.OptimizedModule) and wrapped._orig_mod is model
    assert rushlight.compile(model, disable=True) is model

    @rushlight.compile
    def double(x):
        return x * 2

    @rushlight.compile(fullgraph=True)
    def triple(x):
        return x * 3

    assert double(rushlight.ones(1)).item() == 2.0 and triple(rushlight.ones(1)).item() == 3.0
    with pytest.raises(AssertionError, match="A callable function is expected"):
        rushlight.compile(3)
    with pytest.raises(RuntimeError, match="Unrecognized mode=fast"):
        rushlight.compile(model, mode="fast")
    with pytest.raises(RuntimeError, match="Either mode or options"):
        rushlight.compile(model, mode="default", options={})
    with pytest.raises(rushlight._dynamo.exc.InvalidBackend, match="Invalid backend: 'none'"):
        rushlight.compile(model, backend="none")


def test_constants_are_there() -> None:
    assert (rushlight.pi, rushlight.e, rushlight.inf) == (math.pi, math.e, math.inf)
    assert math.isnan(rushlight.nan) and rushlight.newaxis is None
