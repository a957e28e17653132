"""`__torch_dispatch__`: classes and modes answer the operators that PyTorch's are asked for."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.overrides.interception import forget_classes
from rushlight.utils._python_dispatch import (
    TorchDispatchMode,
    is_traceable_wrapper_subclass,
    return_and_correct_aliasing,
    transform_subclass,
)
from rushlight.utils._pytree import tree_map


@pytest.fixture(autouse=True)
def _forget():
    yield
    forget_classes()


# ---- modes ---------------------------------------------------------------------------------------


def _cases(m):
    m.manual_seed(0)
    x, w, b, z = m.randn(4, 3), m.randn(5, 3), m.randn(5), m.randn(2, 4, 3)
    f = m.nn.functional
    image, kernel = m.ones(1, 1, 4, 4), m.ones(2, 1, 3, 3)
    return {
        "arithmetic": lambda: (x + 1) * 2 - x / 3 + (1 - x) + 1 / (x.abs() + 1),
        "comparisons": lambda: ((x > 0) & (x <= x), x == 0),
        "linear": lambda: f.linear(x, w, b),
        "linear of batches": lambda: f.linear(z, w, b),
        "linear without bias": lambda: f.linear(z, w),
        "softmax": lambda: (x.softmax(-1), f.log_softmax(x, 1)),
        "sums": lambda: (x.sum(), x.sum(0), x.mean(dim=1, keepdim=True), x.max(), x.max(1)),
        "more sums": lambda: (x.amax(0), x.var(0), x.any()),
        "shapes": lambda: (x.t(), x.T, x.reshape(3, 4), x.view(-1), z.permute(2, 0, 1), z.mT),
        "more shapes": lambda: (x.flatten(), x.unsqueeze(0), z.squeeze(), x.expand(2, 4, 3)),
        "indices": lambda: (x[0], x[1:3], x[:, 1], x[None], x[..., 0], x[x > 0]),
        "convolution": lambda: f.conv2d(image, kernel, padding=1),
        "layer norm": lambda: f.layer_norm(x, (3,)),
        "casts": lambda: (x.double(), x.to(m.int32), x.float(), x.to(m.float64)),
        "pieces": lambda: (m.cat([x, x]), m.stack([x, x], 1), x.split(2), x.chunk(2), x.unbind()),
        "powers": lambda: (x.pow(2), x**3, x.square()),
        "choices": lambda: (m.where(x > 0, x, x), x.masked_fill(x > 0, 0.0), x.clamp(0, 1)),
        "activations": lambda: (x.relu(), f.gelu(x), f.silu(x), x.clone(), x.detach()),
        "made": lambda: (m.zeros(2), m.randn(2, 2), m.zeros_like(x)),
        "products": lambda: (x @ x.t(), z @ x.t(), m.bmm(z, z.transpose(1, 2)), x @ x[0]),
        "writes": lambda: x.clone().add_(1).mul_(2).zero_(),
        "numbers": lambda: x.sum().item(),
        "loss": lambda: f.mse_loss(x, x * 2),
    }


def _names(library, mode_class, name):
    seen = []

    class Log(mode_class):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(str(func))
            return func(*args, **(kwargs or {}))

    case = _cases(library)[name]
    with Log():
        case()
    return seen


@pytest.mark.parametrize("name", _cases(rl))
def test_a_mode_sees_the_operators_that_pytorchs_sees(name):
    torch = pytest.importorskip("torch")
    theirs = pytest.importorskip("torch.utils._python_dispatch").TorchDispatchMode
    assert _names(rl, TorchDispatchMode, name) == _names(torch, theirs, name)


def test_a_mode_sees_the_products_of_backward():
    seen = []

    class Log(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            seen.append(func)
            return func(*args, **(kwargs or {}))

    x, w = rl.randn(4, 3, requires_grad=True), rl.randn(5, 3, requires_grad=True)
    loss = rl.nn.functional.linear(x, w).relu().sum()
    with Log():
        loss.backward()
    assert seen.count(rl.ops.aten.mm.default) == 2
    expected = rl.autograd.grad(rl.nn.functional.linear(x, w).relu().sum(), (x, w))
    assert rl.equal(x.grad, expected[0]) and rl.equal(w.grad, expected[1])


def test_a_count_of_operations_as_public_counters_have_it():
    class Flops(TorchDispatchMode):
        total = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            if func.overloadpacket in (rl.ops.aten.mm, rl.ops.aten.addmm):
                x, y = args[-2:]
                self.total += 2 * x.shape[0] * x.shape[1] * y.shape[1]
            return out

    model = rl.nn.Sequential(rl.nn.Linear(8, 16), rl.nn.ReLU(), rl.nn.Linear(16, 4))
    with Flops() as flops:
        model(rl.ones(2, 8)).sum().backward()
    forward = 2 * 2 * (8 * 16 + 16 * 4)
    assert flops.total == 2 * forward + 2 * 2 * 16 * 4  # the input needs no gradient


def test_modes_stand_inside_each_other_and_change_results():
    class Plus(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            out = func(*args, **(kwargs or {}))
            return out + 1 if func is rl.ops.aten.mul.Tensor else out

    x = rl.ones(2)
    with Plus(), Plus():
        assert (x * 2).tolist() == [4, 4]
    assert (x * 2).tolist() == [2, 2]


# ---- tensors made of others ----------------------------------------------------------------------


class Logged(rl.Tensor):
    names: list[str] = []

    @staticmethod
    def __new__(cls, elem):
        made = rl.Tensor._make_wrapper_subclass(
            cls, elem.size(), dtype=elem.dtype, requires_grad=elem.requires_grad
        )
        made.elem = elem.detach()
        return made

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        cls.names.append(str(func))
        args, kwargs = tree_map(lambda x: getattr(x, "elem", x), (args, kwargs or {}))
        out = func(*args, **kwargs)
        return tree_map(lambda x: Logged(x) if isinstance(x, rl.Tensor) else x, out)


def _model(x, w, b):
    f = rl.nn.functional
    y = f.gelu(f.linear(x, w, b)).softmax(-1)
    return (
        (y * y).sum()
        + f.layer_norm(x, (3,)).square().mean()
        + f.cross_entropy(x, rl.tensor([0, 2]))
    )


def test_a_wrapper_computes_and_differentiates_as_what_it_holds():
    rl.manual_seed(0)
    values = [rl.randn(2, 3), rl.randn(4, 3), rl.randn(4)]
    plain = [x.clone().requires_grad_() for x in values]
    wrapped = [Logged(x.clone().requires_grad_()) for x in values[:2]] + [
        values[2].clone().requires_grad_()
    ]
    expected = _model(*plain)
    expected.backward()
    Logged.names.clear()
    found = _model(*wrapped)
    assert type(found) is Logged and found.requires_grad
    assert "aten.addmm.default" in Logged.names and "aten.gelu.default" in Logged.names
    np.testing.assert_allclose(found.item(), expected.item(), rtol=1e-5)
    found.backward()
    for x, y in zip(plain, wrapped):
        grad = getattr(y.grad, "elem", y.grad)
        np.testing.assert_allclose(grad.numpy(), x.grad.numpy(), rtol=1e-4, atol=1e-6)


def test_a_wrapper_says_its_shape_and_asks_no_class_for_it():
    x = Logged(rl.ones(2, 3, dtype=rl.float64))
    Logged.names.clear()
    facts = (x.shape, x.dtype, x.dim(), x.numel(), x.stride(), x.is_contiguous(), x.device.type)
    assert facts == (rl.Size([2, 3]), rl.float64, 2, 6, (3, 1), True, "cpu")
    assert Logged.names == []


def test_reading_a_wrapper_without_unwrapping_is_refused():
    with pytest.raises(RuntimeError, match="no data of its own"):
        Logged(rl.ones(2)).numpy()


class Two(rl.Tensor):
    """Two tensors that are computed with alike."""

    @staticmethod
    def __new__(cls, a, b):
        return rl.Tensor._make_wrapper_subclass(cls, a.shape, dtype=a.dtype)

    def __init__(self, a, b):
        self.a, self.b = a, b

    def __tensor_flatten__(self):
        return ["a", "b"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return Two(inner["a"], inner["b"])

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        first, second = (
            func(*tree_map(part, args), **tree_map(part, kwargs))
            for part in (lambda x: getattr(x, "a", x), lambda x: getattr(x, "b", x))
        )
        out = tree_map(lambda x, y: Two(x, y) if isinstance(x, rl.Tensor) else x, first, second)
        return return_and_correct_aliasing(func, args, kwargs, out)


def test_a_parameter_that_is_a_wrapper_is_trained():
    p = rl.nn.Parameter(Two(rl.ones(2), rl.zeros(2)))
    assert type(p) is Two and isinstance(p, rl.nn.Parameter)
    optimizer = rl.optim.SGD([p], lr=0.1)
    (p * p).sum().backward()
    optimizer.step()
    np.testing.assert_allclose(p.a.numpy(), [0.8, 0.8], rtol=1e-6)
    assert p.b.tolist() == [0, 0]


def test_a_wrapper_is_written_in_place_and_taken_apart():
    x = Two(rl.ones(2), rl.zeros(2))
    assert x.add_(1) is x and x.a.tolist() == [2, 2] and x.b.tolist() == [1, 1]
    assert is_traceable_wrapper_subclass(x) and not is_traceable_wrapper_subclass(rl.ones(2))
    assert transform_subclass(x, lambda name, part: part * 3).b.tolist() == [3, 3]


def test_a_class_that_answers_for_nothing_makes_no_wrappers():
    class Plain(rl.Tensor):
        pass

    with pytest.raises(RuntimeError, match="__torch_dispatch__"):
        rl.Tensor._make_wrapper_subclass(Plain, (2,))


def test_a_class_that_declines_is_reported():
    class Declines(rl.Tensor):
        @classmethod
        def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
            return NotImplemented

    x = rl.Tensor._make_wrapper_subclass(Declines, (2,))
    with pytest.raises(TypeError, match=r"aten\.add\.Tensor"):
        x + 1
