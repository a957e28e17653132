"""Operations on 16-bit floats are computed in float32 and rounded once, as PyTorch's kernels do."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

DTYPES = pytest.mark.parametrize("dtype", ["float16", "bfloat16"])

# Each has PyTorch's bits on this grid.
EXACT = {
    "x * 0.1": lambda l, x: x * 0.1,
    "0.1 * x": lambda l, x: 0.1 * x,
    "x / 0.3": lambda l, x: x / 0.3,
    "0.3 / x": lambda l, x: 0.3 / x,
    "x *= 0.1": lambda l, x: x.clone().mul_(0.1),
    "x /= 0.3": lambda l, x: x.clone().div_(0.3),
    "x + 0.1": lambda l, x: x + 0.1,
    "0.3 - x": lambda l, x: 0.3 - x,
    "mul": lambda l, x: l.mul(x, 0.7),
    "add, alpha": lambda l, x: l.add(x, x, alpha=0.1),
    "add_, alpha": lambda l, x: x.clone().add_(x, alpha=0.1),
    "sub, alpha": lambda l, x: l.sub(x, x * 3, alpha=0.3),
    "lerp": lambda l, x: l.lerp(x, x * 2, 0.3),
    "addcmul": lambda l, x: l.addcmul(x, x, x, value=0.1),
    "addcdiv": lambda l, x: l.addcdiv(x, x, x + 20, value=0.1),
    "deg2rad": lambda l, x: l.deg2rad(x),
    "rad2deg": lambda l, x: l.rad2deg(x),
    "leaky_relu": lambda l, x: l.nn.functional.leaky_relu(x),
    "elu": lambda l, x: l.nn.functional.elu(x, 0.7),
    "selu": lambda l, x: l.nn.functional.selu(x),
    "silu": lambda l, x: l.nn.functional.silu(x),
    "hardswish": lambda l, x: l.nn.functional.hardswish(x),
    "hardsigmoid": lambda l, x: l.nn.functional.hardsigmoid(x),
    "logsigmoid": lambda l, x: l.nn.functional.logsigmoid(x),
    "glu": lambda l, x: l.nn.functional.glu(x.reshape(8, 128)),
}


def operand(library, dtype):
    # Whole vectors: PyTorch rounds otherwise in what is left over.
    return library.linspace(-7, 9, 1024).to(getattr(library, dtype))


@DTYPES
@pytest.mark.parametrize("name", EXACT)
def test_it_has_pytorchs_bits(name, dtype):
    theirs = EXACT[name](torch, operand(torch, dtype)).float().numpy()
    ours = EXACT[name](rl, operand(rl, dtype))
    assert ours.dtype is getattr(rl, dtype)
    differ = np.flatnonzero(~((ours.float().numpy() == theirs) | np.isnan(theirs)))
    # A last bit of exp may turn a rounding, never more than the odd one.
    assert differ.size <= 1, (differ, ours[differ.tolist()], theirs[differ])


# Sums or series: what counts is that they are no worse than PyTorch's.
AS_EXACT = {
    "sinc": lambda l, x: l.sinc(x[450:650]),
    "i0": lambda l, x: l.i0(x),
    "i0e": lambda l, x: l.special.i0e(x),
    "i1": lambda l, x: l.special.i1(x[480:]),
    "i1e": lambda l, x: l.special.i1e(x[480:]),
    "ndtr": lambda l, x: l.special.ndtr(x[300:]),
    "mish": lambda l, x: l.nn.functional.mish(x),
    "avg_pool2d": lambda l, x: l.nn.functional.avg_pool2d(x.reshape(1, 1, 8, 128), 3),
    "adaptive_avg_pool2d": lambda l, x: l.nn.functional.adaptive_avg_pool2d(
        x.reshape(1, 1, 8, 128), (3, 7)
    ),
    "bilinear": lambda l, x: l.nn.functional.interpolate(
        x.reshape(1, 1, 8, 128), scale_factor=1.7, mode="bilinear"
    ),
    "bicubic": lambda l, x: l.nn.functional.interpolate(
        x.reshape(1, 1, 8, 128), scale_factor=1.7, mode="bicubic"
    ),
}


@DTYPES
@pytest.mark.parametrize("name", AS_EXACT)
def test_it_is_no_worse_than_pytorchs(name, dtype):
    function = AS_EXACT[name]
    x = operand(torch, dtype)
    exact = function(torch, x.double()).numpy()
    theirs = function(torch, x).double().numpy()
    ours = function(rl, operand(rl, dtype))
    assert ours.dtype is getattr(rl, dtype)
    size = np.abs(exact).max()
    worst = np.abs(ours.double().numpy() - exact).max() / size
    assert worst <= 1.05 * np.abs(theirs - exact).max() / size + 1e-7


@DTYPES
def test_gradients_keep_the_name_and_the_dtype(dtype):
    for name in ("x * 0.1", "x / 0.3", "silu", "hardswish", "leaky_relu", "add, alpha", "lerp"):
        made = []
        for library in (torch, rl):
            x = operand(library, dtype)[:50].requires_grad_()
            y = EXACT[name](library, x)
            y.sum().backward()
            made.append((type(y.grad_fn).__name__, x.grad.float().numpy()))
            assert x.grad.dtype is getattr(library, dtype)
        assert made[0][0] == made[1][0], name
        np.testing.assert_allclose(made[1][1], made[0][1], rtol=0.02, atol=1e-3, err_msg=name)


@DTYPES
@pytest.mark.parametrize("alpha", [True, False])
def test_a_truth_value_is_no_alpha_of_floats(alpha, dtype):
    for library in (torch, rl):
        x = operand(library, dtype)
        for function in (library.add, library.sub):
            with pytest.raises(RuntimeError, match="Boolean alpha only supported"):
                function(x, x, alpha=alpha)
