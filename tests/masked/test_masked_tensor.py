"""Masked tensors compute, and give gradients, as PyTorch's do."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight.overrides.interception import forget_classes

torch = pytest.importorskip("torch")

DATA = np.arange(6, dtype=np.float32).reshape(2, 3)
MASK = np.array([[True, False, False], [True, True, False]])

pytestmark = [
    # PyTorch says each time that its own are a prototype.
    pytest.mark.filterwarnings("ignore:The PyTorch API of MaskedTensors"),
    pytest.mark.filterwarnings("ignore:It is not recommended to create a MaskedTensor"),
]


@pytest.fixture(autouse=True)
def _forget():
    yield
    forget_classes()


def plain(found):
    """Values with None where they are masked, in whatever they are in."""
    if isinstance(found, (tuple, list)):
        return [plain(one) for one in found]
    if hasattr(found, "get_mask"):
        data, mask = found.get_data().detach().tolist(), found.get_mask().tolist()
        return [str(found.dtype).rpartition(".")[2], _hidden(data, mask)]
    return found.detach().tolist() if hasattr(found, "detach") else found


def _hidden(data, mask):
    if isinstance(data, list):
        return [_hidden(d, m) for d, m in zip(data, mask)]
    return data if mask else None


def close(mine, theirs):
    """Whether numbers are the same but for rounding, and all else is equal."""
    if isinstance(mine, list):
        return len(mine) == len(theirs) and all(map(close, mine, theirs))
    return mine == theirs or mine == pytest.approx(theirs, rel=1e-6, nan_ok=True)


def made(m, requires_grad=False):
    return m.masked.masked_tensor(m.tensor(DATA), m.tensor(MASK), requires_grad=requires_grad)


CASES = {
    "facts": lambda m, t: [list(t.shape), t.dim(), t.size(1), t.numel(), len(t), t.is_leaf],
    "add": lambda m, t: [t + 1, t + t, t + m.ones(3), m.add(m.ones(2, 3), t)],
    "arithmetic": lambda m, t: [t * t, t - 2, t / 2, -t, t**2, t.remainder(2)],
    "comparison": lambda m, t: [t > 2, t == t, t <= 3, m.ne(t, 4)],
    "unary": lambda m, t: [t.sqrt(), m.sin(t), t.abs(), t.clamp(1, 2), m.isnan(t)],
    "in place": lambda m, t: [t.add_(1), t.mul_(2), t.neg_()],
    "dtypes": lambda m, t: [t.to(m.float64), t.double(), t.to(m.int64), t.bool()],
    "sum": lambda m, t: [t.sum(), t.sum(1), m.sum(t, 0, keepdim=True), t.sum(dim=1)],
    "mean": lambda m, t: [t.mean(), t.mean(1), m.mean(t, 1, True)],
    "extremes": lambda m, t: [t.amax(), t.amin(1), m.amax(t, 0), t.argmax(1), t.argmin(1)],
    "prod": lambda m, t: [t.prod(), t.prod(1)],
    "spread": lambda m, t: [t.var(1), t.std(0)],
    "all": lambda m, t: [(t >= 0).all(), (t > 0).all(1)],
    "softmax": lambda m, t: m.softmax(t, 1),
    "index": lambda m, t: [t[0], t[1, 1], t[:, :2], t[..., None]],
    "shapes": lambda m, t: [t.reshape(6), t.view(3, 2), t.t(), t.transpose(0, 1), t.unsqueeze(0)],
    "more shapes": lambda m, t: [t.expand(2, 2, 3), t.select(1, 0), t.split(1), t.narrow(1, 0, 2)],
    "joined": lambda m, t: [m.cat([t, t]), m.stack([t, t + 1])],
    "copies": lambda m, t: [t.clone(), t.detach(), t.contiguous(), m.ones_like(t)],
    "where": lambda m, t: m.where(m.tensor(DATA) > 3, t, m.zeros(2, 3)),
    "filled": lambda m, t: [t.to_tensor(9.0), t.get_data(), t.get_mask()],
    "item": lambda m, t: [t.sum().item(), t[1, 1].item()],
    "plain results": lambda m, t: [
        m.masked.sum(t, 1), m.masked.amax(t), m.masked.is_masked_tensor(t),
        m.masked.is_masked_tensor(m.ones(2)), isinstance(t, m.Tensor),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_function_gives_what_pytorchs_gives(name: str) -> None:
    case = CASES[name]
    assert close(plain(case(rl, made(rl))), plain(case(torch, made(torch))))


def _squares(m):
    t = made(m, True)
    (t * t).sum().backward()
    return [t.grad, t.requires_grad, t.is_leaf]


def _flowing(m):
    x = m.tensor(DATA, requires_grad=True)
    m.masked.as_masked_tensor(x, m.tensor(MASK)).sum().backward()
    grad = x.grad
    return (grad.to_tensor(0.0) if hasattr(grad, "to_tensor") else grad).tolist()


def _no_nan_from_what_is_masked(m):
    x = m.tensor([-10.0, -5, 0, 5, 100], requires_grad=True)
    low = m.masked.masked_tensor(x, x < 0, requires_grad=True)
    high = m.masked.masked_tensor(m.ones_like(x), x >= 0, requires_grad=True)
    y = m.where(x < 0, m.exp(low), high)
    y.sum().backward()
    return [y, low.grad, high.grad]


def _mean(m):
    t = made(m, True)
    t.mean(0).sum().backward()
    return t.grad


@pytest.mark.parametrize("case", [_squares, _flowing, _no_nan_from_what_is_masked, _mean])
def test_gradients_are_pytorchs_and_masked_as_the_tensor(case) -> None:
    assert close(plain(case(rl)), plain(case(torch)))


def test_it_prints_as_pytorchs() -> None:
    for m in (rl, torch):
        t = made(m)
        shown = [repr(x) for x in (t, t[0], t.sum(), t[0, 1], t > 2, t[None])]
        wide = m.masked.masked_tensor(m.arange(3), m.tensor([True, False, True]))
        shown.append(repr(wide))
        expected = shown if m is rl else expected  # noqa: F821 - of the first round
    assert shown == expected


@pytest.mark.parametrize(
    ("arguments", "kind"),
    [
        (lambda m: ([1], m.tensor(MASK)), TypeError),
        (lambda m: (m.tensor(DATA), m.tensor(DATA)), TypeError),
        (lambda m: (m.tensor(DATA), m.tensor(MASK[0])), ValueError),
        (lambda m: (m.tensor(DATA[:, :2]), m.tensor(MASK)), ValueError),
        (lambda m: (m.tensor(DATA).to(m.complex64), m.tensor(MASK)), TypeError),
    ],
)
def test_what_is_no_masked_tensor_is_refused(arguments, kind) -> None:
    for m in (rl, torch):
        with pytest.raises(kind):
            m.masked.masked_tensor(*arguments(m))


def test_masks_that_differ_are_refused_and_functions_without_a_rule_say_what_to_do() -> None:
    t = made(rl)
    with pytest.raises(ValueError, match="Input masks must match"):
        t + rl.masked.masked_tensor(rl.tensor(DATA), rl.tensor(~MASK))
    with pytest.raises(TypeError, match=r"cumsum: masked tensors have no rule.*to_tensor"):
        t.cumsum(0)
    with pytest.raises(RuntimeError, match="not supported for tensor subclasses"):
        t.numpy()
    with pytest.raises(ValueError, match="masked, and has no value"):
        t[0, 1].item()


def test_a_gradient_can_be_cleared_and_a_step_be_taken() -> None:
    t = made(rl, True)
    optimizer = rl.optim.SGD([t.get_data()], lr=0.5)
    (t * t).sum().backward()
    assert plain(t.grad) == ["float32", [[0.0, None, None], [6.0, 8.0, None]]]
    optimizer.step()
    t.grad = None
    assert t.grad is None
    assert plain(t) == ["float32", [[0.0, None, None], [0.0, 0.0, None]]]
