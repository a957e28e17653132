"""What is added to a product of 16-bit floats is added to its sums, and rounded once with them."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")


def _eighths(shape, seed: int, most: int = 64) -> np.ndarray:
    """Multiples of an eighth: sums of their products are exact in float32, in any order."""
    generator = np.random.default_rng(seed)
    return generator.integers(-most, most + 1, shape).astype(np.float32) / 8


X, W, BIAS = _eighths((33, 70), 0), _eighths((20, 70), 1), _eighths(20, 2, 1000)


def _equal(work, dtype: str) -> None:
    found, expected = (work(module, getattr(module, dtype)) for module in (rl, torch))
    assert str(found.dtype) == str(expected.dtype) and found.shape == expected.shape
    assert np.array_equal(found.detach().float().numpy(), expected.detach().float().numpy())


WORK = {
    "linear": lambda m, dt: m.nn.functional.linear(
        m.tensor(X).to(dt), m.tensor(W).to(dt), m.tensor(BIAS).to(dt)
    ),
    "linear of one row": lambda m, dt: m.nn.functional.linear(
        m.tensor(X[0]).to(dt), m.tensor(W).to(dt), m.tensor(BIAS).to(dt)
    ),
    "linear of batches": lambda m, dt: m.nn.functional.linear(
        m.tensor(X).to(dt).view(3, 11, 70), m.tensor(W).to(dt), m.tensor(BIAS).to(dt)
    ),
    "addmm": lambda m, dt: m.addmm(
        m.tensor(BIAS).to(dt), m.tensor(X).to(dt), m.tensor(W).to(dt).t()
    ),
    "addmm scaled": lambda m, dt: m.addmm(
        m.tensor(BIAS).to(dt), m.tensor(X).to(dt), m.tensor(W).to(dt).t(), beta=0.5, alpha=0.25
    ),
    "addmv": lambda m, dt: m.addmv(
        m.tensor(BIAS).to(dt), m.tensor(W).to(dt), m.tensor(X[0]).to(dt)
    ),
    "baddbmm": lambda m, dt: m.baddbmm(
        m.tensor(BIAS).to(dt), m.tensor(X).to(dt)[None], m.tensor(W).to(dt).t()[None]
    ),
    "conv2d": lambda m, dt: m.nn.functional.conv2d(
        m.tensor(X[:14].reshape(2, 5, 7, 14)).to(dt),
        m.tensor(W[:3, :45].reshape(3, 5, 3, 3)).to(dt),
        m.tensor(BIAS[:3]).to(dt),
    ),
    "conv1d": lambda m, dt: m.nn.functional.conv1d(
        m.tensor(X[:10].reshape(2, 5, 70)).to(dt), m.tensor(W[:4, :15].reshape(4, 5, 3)).to(dt),
        m.tensor(BIAS[:4]).to(dt), padding=1, stride=2,
    ),
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("work", WORK.values(), ids=WORK.keys())
def test_a_sum_with_a_product_is_rounded_once(work, dtype) -> None:
    _equal(work, dtype)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("which", range(3))
def test_gradients_of_a_linear_layer_of_halves(dtype, which) -> None:
    def work(module, dt):
        given = [module.tensor(a).to(dt).requires_grad_() for a in (X[:8], W, BIAS)]
        out = module.nn.functional.linear(*given)
        out.backward(module.tensor(_eighths((8, 20), 5, 8)).to(dt))
        return given[which].grad

    _equal(work, dtype)


@pytest.mark.parametrize("which", range(3))
def test_gradients_of_a_convolution_of_halves_are_rounded_once(which) -> None:
    """PyTorch's own sum of a gradient is rounded several times on some processors."""

    def gradient(module, dtype):
        shapes = (X[:14, :30].reshape(2, 5, 6, 7), W[:3, :45].reshape(3, 5, 3, 3), BIAS[:3])
        given = [module.tensor(a).to(dtype).requires_grad_() for a in shapes]
        out = module.nn.functional.conv2d(*given)
        out.backward(module.tensor(_eighths((2, 3, 4, 5), 5, 8)).to(dtype))
        return given[which].grad

    expected = gradient(torch, torch.float32).bfloat16().float().numpy()
    assert np.array_equal(gradient(rl, rl.bfloat16).float().numpy(), expected)


def test_a_bias_of_another_dtype_is_refused() -> None:
    x, w = rl.ones(2, 3, dtype=rl.bfloat16), rl.ones(4, 3, dtype=rl.bfloat16)
    with pytest.raises(RuntimeError, match="same dtype"):
        rl.nn.functional.linear(x, w, rl.ones(4))
