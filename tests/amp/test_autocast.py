"""autocast computes in PyTorch's dtypes, nested, switched off, as decorator, and is gone after."""

from __future__ import annotations

import subprocess
import sys
import warnings
from typing import Any

import numpy as np
import pytest

import rushlight

CASES = {
    "matmul": lambda t, f, a, b: a @ b,
    "linear": lambda t, f, a, b: f.linear(a, b),
    "conv2d": lambda t, f, a, b: f.conv2d(a[None, None], b[None, None, :2, :2]),
    "bmm": lambda t, f, a, b: t.bmm(a[None], b[None]),
    "einsum": lambda t, f, a, b: t.einsum("ij,jk", a, b),
    "attention": lambda t, f, a, b: f.scaled_dot_product_attention(a[None], b[None], b[None]),
    "inner": lambda t, f, a, b: t.inner(a, b),
    "mv": lambda t, f, a, b: t.mv(a, b[0]),
    "add": lambda t, f, a, b: a + b,
    "mixed add": lambda t, f, a, b: (a @ b) + b,
    "cat": lambda t, f, a, b: t.cat([a @ b, b]),
    "index_copy": lambda t, f, a, b: t.index_copy(a @ b, 0, t.tensor([0]), b[:1]),
    "relu": lambda t, f, a, b: f.relu(a @ b),
    "softmax": lambda t, f, a, b: (a @ b).softmax(-1),
    "layer_norm": lambda t, f, a, b: f.layer_norm(a @ b, (4,)),
    "mse_loss": lambda t, f, a, b: f.mse_loss(a @ b, b),
    "cross_entropy": lambda t, f, a, b: f.cross_entropy(a @ b, t.tensor([0, 1, 2, 3])),
    "cosine_similarity": lambda t, f, a, b: f.cosine_similarity(a @ b, b),
    "prod": lambda t, f, a, b: (a @ b).prod(),
    "cumsum": lambda t, f, a, b: (a @ b).cumsum(0),
    "rfft": lambda t, f, a, b: t.fft.rfft(a @ b),
    "inv": lambda t, f, a, b: t.linalg.inv(a @ b + 9 * t.eye(4)),
    "reflect": lambda t, f, a, b: f.pad((a @ b)[None], (1, 1), mode="reflect"),
    "constant": lambda t, f, a, b: f.pad((a @ b)[None], (1, 1)),
    "double": lambda t, f, a, b: a.double() @ b.double(),
    "integers": lambda t, f, a, b: a.int() @ b.int(),
    "prelu": lambda t, f, a, b: f.prelu(a, t.tensor(0.5)),
    "max_pool3d": lambda t, f, a, b: f.max_pool3d((a @ b)[None, None, None], (1, 2, 2)),
    "max_pool2d": lambda t, f, a, b: f.max_pool2d((a @ b)[None, None], 2),
}
NUMBERS = np.random.default_rng(0).uniform(-2, 2, (2, 4, 4)).astype(np.float32)


def _operands(library: Any) -> tuple[Any, Any]:
    return library.tensor(NUMBERS[0]), library.tensor(NUMBERS[1])


@pytest.mark.parametrize("name", CASES)
def test_results_have_pytorchs_dtype_and_values(name: str) -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (rushlight, torch):
        a, b = _operands(library)
        with library.autocast("cpu", dtype=library.bfloat16):
            result = CASES[name](library, library.nn.functional, a, b)
        plain = result.float() if result.dtype in (library.bfloat16,) else result
        found.append((str(result.dtype).rpartition(".")[2], plain.numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=0.03, atol=0.03)


def test_contexts_nest_and_end() -> None:
    a, _ = _operands(rushlight)
    with rushlight.autocast("cpu"):
        assert rushlight.is_autocast_enabled("cpu") and (a @ a).dtype is rushlight.bfloat16
        with rushlight.autocast("cpu", enabled=False):
            assert (a @ a).dtype is rushlight.float32
        with rushlight.autocast("cpu", dtype=rushlight.float16):
            assert (a @ a).dtype is rushlight.float16
        assert (a @ a).dtype is rushlight.bfloat16
    assert (a @ a).dtype is rushlight.float32 and not rushlight.is_autocast_enabled("cpu")

    @rushlight.autocast("cpu")
    def decorated(x):
        return x @ x

    assert decorated(a).dtype is rushlight.bfloat16


def test_gradients_have_the_dtypes_of_the_parameters() -> None:
    layer = rushlight.nn.Linear(4, 3)
    with rushlight.autocast("cpu"):
        out = layer(rushlight.ones(2, 4))
        again = layer(rushlight.ones(2, 4))
        loss = rushlight.nn.functional.mse_loss(out, again + 1)
    loss.backward()
    assert (out.dtype, loss.dtype) == (rushlight.bfloat16, rushlight.float32)
    assert {p.grad.dtype for p in layer.parameters()} == {rushlight.float32}


def test_a_weight_that_changes_within_the_context_is_cast_again() -> None:
    layer = rushlight.nn.Linear(1, 1, bias=False)
    with rushlight.autocast("cpu"):
        layer(rushlight.ones(1, 1))
        with rushlight.no_grad():
            layer.weight.fill_(3.0)
        assert float(layer(rushlight.ones(1, 1))) == 3.0


def test_what_is_not_there_is_switched_off_with_a_warning() -> None:
    a, _ = _operands(rushlight)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with rushlight.autocast("cuda"):
            assert (a @ a).dtype is rushlight.float32
        with rushlight.autocast("cpu", dtype=rushlight.float64):
            assert (a @ a).dtype is rushlight.float32
        with rushlight.cuda.amp.autocast():
            assert (a @ a).dtype is rushlight.float32
        assert not rushlight.cuda.amp.GradScaler().is_enabled()
    assert len(caught) == 6
    with pytest.raises(ValueError, match="type `str`"):
        rushlight.autocast(rushlight.device("cpu"))  # type: ignore[arg-type]


def test_functions_are_untouched_without_a_context() -> None:
    code = """
import time
import rushlight
from rushlight.amp import autocast_mode
code = rushlight.matmul.__code__
x = rushlight.ones(2, 2)
autocast_mode._LINGER_SECONDS = 0.0
with rushlight.autocast("cpu"):
    assert rushlight.matmul.__code__ is not code
for _ in range(200):
    (x + 1).sum().item()
assert rushlight.matmul.__code__ is code
"""
    # Between flushes somebody looks whether autocast is still used, where recording can change.
    environment = {"RUSHLIGHT_SELFCOMPILE": "1"}
    subprocess.run(
        [sys.executable, "-c", code], check=True, env={**__import__("os").environ, **environment}
    )


def test_custom_functions_say_what_they_take() -> None:
    seen = []

    class Doubled(rushlight.autograd.Function):
        @staticmethod
        @rushlight.amp.custom_fwd(device_type="cpu", cast_inputs=rushlight.float32)
        def forward(ctx, x):
            seen.append((x.dtype, rushlight.is_autocast_enabled("cpu")))
            return x * 2

        @staticmethod
        @rushlight.amp.custom_bwd(device_type="cpu")
        def backward(ctx, grad):
            seen.append((grad.dtype, rushlight.is_autocast_enabled("cpu")))
            return grad * 2

    x = rushlight.ones(3, requires_grad=True)
    with rushlight.autocast("cpu"):
        y = Doubled.apply(x.bfloat16())
    y.sum().backward()
    assert seen == [(rushlight.float32, False), (rushlight.float32, False)]


def test_a_scaler_trains_as_pytorchs() -> None:
    torch = pytest.importorskip("torch")
    found = []
    for library in (rushlight, torch):
        weight = library.nn.Parameter(library.tensor(NUMBERS[0]))
        x = library.tensor(NUMBERS[1])
        optimizer = library.optim.SGD([weight], lr=0.1)
        scaler = library.amp.GradScaler("cpu", init_scale=256.0, growth_interval=2)
        scales = []
        for step in range(5):
            optimizer.zero_grad()
            scaler.scale((x @ weight).pow(2).mean()).backward()
            if step == 2:
                weight.grad[0, 0] = float("inf")
            if step % 2:
                scaler.unscale_(optimizer)
            scaler.step(optimizer)
            scaler.update()
            scales.append(scaler.get_scale())
        found.append((scales, scaler.state_dict(), weight.detach().numpy()))
    assert found[0][:2] == found[1][:2]
    np.testing.assert_allclose(found[0][2], found[1][2], rtol=1e-5)


def test_a_scaler_says_what_is_out_of_order() -> None:
    scaler = rushlight.amp.GradScaler("cpu")
    weight = rushlight.nn.Parameter(rushlight.ones(1))
    optimizer = rushlight.optim.SGD([weight], lr=0.1)
    with pytest.raises(AssertionError, match="_scale is None"):
        scaler.update()
    scaler.scale(weight.sum()).backward()
    scaler.unscale_(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.unscale_(optimizer)
    scaler.step(optimizer)
    with pytest.raises(RuntimeError, match="already been called"):
        scaler.step(optimizer)
