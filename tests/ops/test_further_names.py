"""Operations of PyTorch's that few programs name, beside it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")
BOTH = (rushlight, torch)


def _listed(text: str) -> list[str]:
    return [x.strip() for x in text.replace("\n", "|").split("|") if x.strip()]


HASHED = """
t.arange(6.).reshape(2, 3) | t.arange(5) | t.arange(5, dtype=t.int16) | t.tensor([1.5, -2.25], dtype=t.float64)
t.tensor([True, False, True]) | t.tensor([1.5, 7.0], dtype=t.bfloat16) | t.tensor([-1, 4], dtype=t.int8) | t.tensor([float("nan"), 1.0])
"""  # noqa: E501


@pytest.mark.parametrize(
    "text", [x.strip() for x in HASHED.replace("\n", "|").split("|") if x.strip()]
)
def test_hashes_of_tensors(text: str) -> None:
    found = []
    for lib in BOTH:
        x = eval(text, {"t": lib})
        found.append([str(lib.hash_tensor(x)), str(x.hash_tensor(-1, keepdim=True))])
        with pytest.raises(RuntimeError, match="mode"):
            lib.hash_tensor(x, mode=1)
    assert found[0] == found[1]


def _matrix(kind: str, size: int, seed: int) -> np.ndarray:
    generator = np.random.default_rng(seed)
    a = generator.normal(size=(2, size, size))
    if kind.startswith("complex"):
        a = a + 1j * generator.normal(size=a.shape)
    if size > 1:
        a[0, 0, 0] = 0  # a block of two is needed
    return a.astype(kind)


@pytest.mark.parametrize("kind", ["float64", "float32", "complex128"])
@pytest.mark.parametrize("hermitian", [False, True])
@pytest.mark.parametrize("size", [1, 2, 5, 8])
def test_ldl_factors_and_solutions(kind: str, hermitian: bool, size: int) -> None:
    a = _matrix(kind, size, size)
    a = a + (a.conj() if hermitian else a).swapaxes(-1, -2)
    b = _matrix(kind, size, size + 1)[..., :2]
    found = []
    for lib in BOTH:
        factors = lib.linalg.ldl_factor(lib.tensor(a), hermitian=hermitian)
        x = lib.linalg.ldl_solve(*factors, lib.tensor(b), hermitian=hermitian)
        found.append((factors.LD.tril().numpy(), factors.pivots.tolist(), x.numpy()))
        assert lib.linalg.ldl_factor_ex(lib.tensor(a), hermitian=hermitian).info.tolist() == [0, 0]
    tolerance = 2e-3 if kind == "float32" else 1e-9
    assert found[0][1] == found[1][1]
    np.testing.assert_allclose(found[0][0], found[1][0], rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(a @ found[0][2], b, rtol=tolerance, atol=tolerance)


def test_a_singular_matrix_has_no_ldl_factor() -> None:
    for lib in BOTH:
        with pytest.raises(RuntimeError, match=r"ldl_factor"):
            lib.linalg.ldl_factor(lib.zeros(2, 2))
        with pytest.raises(RuntimeError):
            lib.linalg.ldl_factor(lib.zeros(2, 3))


def test_cond_takes_one_branch() -> None:
    for lib in BOTH[:1]:
        x = lib.ones(2, requires_grad=True)
        y = lib.cond(lib.tensor(True), lambda v: v * 2, lambda v: v * 3, (x,))
        y.sum().backward()
        assert x.grad.tolist() == [2.0, 2.0]
        assert lib.cond(False, lambda v: v * 2, lambda v: v * 3, (x,)).tolist() == [3.0, 3.0]
        with pytest.raises(RuntimeError, match="single-element"):
            lib.cond(lib.ones(2), abs, abs, (x,))
        with pytest.raises(RuntimeError, match="callable"):
            lib.cond(True, 1, abs, (x,))


SMALL = """
t.bilinear(x, x, t.ones(2, 3, 3), None) | t.pairwise_distance(x, x + 1) | t.relu_(x - 2) | t.detach_copy(x) | t.view_as_real_copy(t.complex(x, x)) | t.view_as_complex_copy(t.ones(3, 2))
x.t().dim_order() | x.dim_order() | t.ones(2, 3, 4).permute(1, 2, 0).dim_order() | x.grad_dtype | t.zeros(2, 3).module_load(x) | t.nn.functional.native_channel_shuffle(t.arange(8.).reshape(1, 4, 2), 2)
t.nn.factory_kwargs({"dtype": 1, "factory_kwargs": {"device": 2}}) | t.random.thread_safe_generator() | t.nn.utils.skip_init(t.nn.Linear, 3, 4).weight.shape
t.nn.utils.convert_conv2d_weight_memory_format(t.nn.Conv2d(2, 3, 2), t.channels_last).weight.shape
"""  # noqa: E501


@pytest.mark.parametrize(
    "text", [x.strip() for x in SMALL.replace("\n", "|").split("|") if x.strip()]
)
def test_small_operations(text: str) -> None:
    found: list[Any] = []
    for lib in BOTH:
        found.append(str(eval(text, {"t": lib, "x": lib.arange(6.0).reshape(2, 3)})))
    assert found[0] == found[1]


def test_switches_and_refusals() -> None:
    for lib in BOTH:
        with lib.autograd.grad_mode.set_multithreading_enabled(False):
            pass
        with pytest.raises(TypeError, match="unexpected"):
            lib.nn.factory_kwargs({"other": 1})
        with pytest.raises(RuntimeError, match="Expected a Module"):
            lib.nn.utils.skip_init(int)


def test_new_makes_tensors_of_the_same_kind() -> None:
    x = rushlight.tensor([1, 2], dtype=rushlight.int16)
    assert x.new([3, 4]).tolist() == [3, 4] and x.new([3, 4]).dtype == rushlight.int16
    assert x.new(2, 3).shape == (2, 3) and x.new(2, 3).dtype == rushlight.int16
    assert x.new(rushlight.Size([4])).shape == (4,)
    assert x.new().shape == (0,)
    assert x.new(2, device="meta").device.type == "meta"
