"""The gradient of a complex number's parts kept the width of the complex number."""

import pytest

import rushlight as rl


@pytest.mark.parametrize("dtype", [rl.float16, rl.bfloat16])
def test_gradients_have_the_operands_dtype(dtype):
    x = rl.tensor([3.0, -4.0], dtype=dtype, requires_grad=True)
    y = rl.tensor([[4.0], [3.0]], dtype=dtype, requires_grad=True)
    rl.hypot(x, y).sum().backward()
    assert x.grad.dtype is dtype
    assert y.grad.dtype is dtype
    expected = x.detach().float() / rl.hypot(x.detach(), y.detach()).float()
    assert rl.allclose(x.grad.float(), expected.sum(0), rtol=1e-2)
