"""Results lie in memory as PyTorch's do, whatever order their operands' axes have."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import rushlight as rl
from rushlight.tape.primitive import primitive_by_name
from tests.samples.elementwise import ROWS as ELEMENTWISE_ROWS
from tests.samples.row import Row

SHAPE = (2, 3, 4, 5)
# The axes of a row-major array, in the order that makes it look like SHAPE.
STORED = {
    "row-major": (0, 1, 2, 3),
    "channels last": (0, 2, 3, 1),
    "reversed": (3, 2, 1, 0),
    "exchanged": (0, 1, 3, 2),
}


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).uniform(0.2, 0.9, shape).astype(np.float32)


def laid(lib: Any, stored: str, shape: tuple[int, ...] = SHAPE) -> Any:
    """The same values, their axes in some order in memory."""
    order = STORED.get(stored, tuple(range(len(shape))))
    inverse = [order.index(axis) for axis in range(len(shape))]
    array = np.ascontiguousarray(numbers(shape).transpose(order))
    return lib.tensor(array).permute(inverse)


def facts(x: Any) -> tuple:
    return (tuple(x.shape), x.stride(), x.is_contiguous(), x.storage_offset())


def assert_alike(function: Callable[[Any, Any], Any], stored: str) -> None:
    ours, theirs = function(rl, laid(rl, stored)), function(torch, laid(torch, stored))
    if not isinstance(ours, (tuple, list)):
        ours, theirs = (ours,), (theirs,)
    for x, y in zip(ours, theirs, strict=True):
        assert facts(x) == facts(y)
        np.testing.assert_allclose(x.detach().numpy(), y.detach().numpy(), rtol=2e-5, atol=1e-6)


ELEMENTWISE: dict[str, Callable[[Any, Any], Any]] = {
    "add a number": lambda t, x: x + 1,
    "exp": lambda t, x: x.exp(),
    "relu": lambda t, x: t.relu(x),
    "gelu": lambda t, x: t.nn.functional.gelu(x),
    "compare": lambda t, x: x > 0.5,
    "cast": lambda t, x: x.double(),
    "clamp": lambda t, x: x.clamp(0.3, 0.6),
    "where": lambda t, x: t.where(x > 0.5, x, 0.0),
    "add itself reversed": lambda t, x: x + x.flip(1),
    "row-major first": lambda t, x: x.contiguous() + x,
    "row-major second": lambda t, x: x + x.contiguous(),
    "broadcast": lambda t, x: x * x[:, :1],
    "broadcast first": lambda t, x: x[:, :1] * x,
    "of a vector": lambda t, x: x + t.arange(5.0),
    "of an expanded value": lambda t, x: x[:, :1].expand(2, 3, 4, 5) * 2,
    "clone": lambda t, x: x.clone(),
    "zeros_like": lambda t, x: t.zeros_like(x),
    "lerp": lambda t, x: t.lerp(x, x * 2, 0.5),
    "addcmul": lambda t, x: t.addcmul(x, x, x),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("name", ELEMENTWISE)
def test_elementwise_results_keep_the_order_of_axes(name: str, stored: str) -> None:
    assert_alike(ELEMENTWISE[name], stored)


VIEWS: dict[str, Callable[[Any, Any], Any]] = {
    "permuted result": lambda t, x: (x * 2).permute(1, 0, 2, 3),
    "window of a result": lambda t, x: (x * 2)[:, 1:],
    "every second": lambda t, x: (x * 2)[..., ::2] + 1,
    "one of an axis": lambda t, x: (x * 2)[:, 1] + 1,
    "diagonal": lambda t, x: (x * 2).diagonal(0, 2, 3),
    "unfold": lambda t, x: (x * 2).unfold(3, 2, 2),
    "flatten": lambda t, x: (x * 2).flatten(2),
    "reshape": lambda t, x: (x * 2).reshape(6, 20),
    "reshape of a window": lambda t, x: (x * 2)[:, :, ::2].reshape(6, 10),
    "contiguous": lambda t, x: (x * 2).contiguous(),
    "channels last": lambda t, x: x.contiguous(memory_format=t.channels_last),
    "to channels last": lambda t, x: x.to(memory_format=t.channels_last),
    "to row-major": lambda t, x: (x * 2).to(memory_format=t.contiguous_format),
    "clone to channels last": lambda t, x: x.clone(memory_format=t.channels_last),
    "empty channels last": lambda t, x: t.empty_like(x, memory_format=t.channels_last).fill_(1),
    "cat": lambda t, x: t.cat([x, x * 2], 1),
    "sum": lambda t, x: x.sum(1),
    "mean keeping axes": lambda t, x: x.mean((2, 3), keepdim=True),
}


@pytest.mark.parametrize("stored", STORED)
@pytest.mark.parametrize("name", VIEWS)
def test_views_and_formats_are_those_of_pytorch(name: str, stored: str) -> None:
    assert_alike(VIEWS[name], stored)


def heads(lib: Any) -> Any:
    return lib.tensor(numbers((2, 5, 3, 4, 8))).permute(0, 2, 3, 1, 4)


PRODUCTS: dict[str, Callable[[Any], Any]] = {
    "attention": lambda t: t.nn.functional.scaled_dot_product_attention(*heads(t).unbind(1)),
    "attention, causal": lambda t: t.nn.functional.scaled_dot_product_attention(
        *heads(t).unbind(1), is_causal=True
    ),
    "ij,kj->ki": lambda t: t.einsum("ij,kj->ki", laid(t, "", (2, 3)), laid(t, "", (4, 3))),
    "ij,jk->ik": lambda t: t.einsum("ij,jk->ik", laid(t, "", (2, 3)), laid(t, "", (3, 4))),
    "bij,bjk->bki": lambda t: t.einsum(
        "bij,bjk->bki", laid(t, "", (2, 3, 4)), laid(t, "", (2, 4, 5))
    ),
    "bhqk,bkhd->bqhd": lambda t: t.einsum(
        "bhqk,bkhd->bqhd", laid(t, "reversed"), laid(t, "", (2, 5, 3, 6))
    ),
    "i,j->ji": lambda t: t.einsum("i,j->ji", laid(t, "", (2,)), laid(t, "", (3,))),
    "linear": lambda t: t.nn.functional.linear(
        laid(t, "", (2, 3, 4)).transpose(1, 2), laid(t, "", (6, 3))
    ),
}


@pytest.mark.parametrize("name", PRODUCTS)
def test_products_have_pytorchs_strides(name: str) -> None:
    ours, theirs = PRODUCTS[name](rl), PRODUCTS[name](torch)
    assert facts(ours) == facts(theirs)
    np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("labels", ["ab,c", "a,bc", "abn,cn", "an,bcn"])
def test_einsum_has_pytorchs_strides_for_every_order_of_its_result(labels: str) -> None:
    sizes = dict(zip("abcnx", (2, 3, 4, 5, 6)))
    first, second = labels.split(",")
    for place, order in enumerate(itertools.permutations(sorted({*first, *second}))):
        # The summed label at another place each time.
        left, right = (s[: place % 3] + "x" + s[place % 3 :] for s in (first, second))
        equation = f"{left},{right}->{''.join(order)}"

        def run(lib: Any, equation: str = equation, parts: tuple = (left, right)) -> Any:
            shapes = [tuple(sizes[label] for label in part) for part in parts]
            return lib.einsum(equation, *[lib.tensor(numbers(shape)) for shape in shapes])

        ours, theirs = run(rl), run(torch)
        assert facts(ours) == facts(theirs), equation
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("stored", STORED)
def test_view_fails_where_the_memory_does_not_allow_it(stored: str) -> None:
    def attempt(lib: Any) -> list[Any]:
        found = []
        for shape in ((6, 20), (2, 60), (2, 3, 20), (24, 5), (120,)):
            try:
                found.append((laid(lib, stored) * 2).view(shape).stride())
            except RuntimeError:
                found.append(None)
        return found

    assert attempt(rl) == attempt(torch)


def test_writes_reach_results_that_are_not_row_major() -> None:
    def run(lib: Any) -> list[Any]:
        x = laid(lib, "channels last") * 2
        view = x[:, 1]
        view.add_(10)
        x.mul_(2)
        flat = x.permute(0, 2, 3, 1).view(-1)
        flat[3:6] = 7
        other = lib.zeros(SHAPE)
        other.copy_(x)
        x.copy_(other + 1)
        return [view, x, flat, other, x.detach(), x.data, view.clone()]

    for ours, theirs in zip(run(rl), run(torch), strict=True):
        assert facts(ours) == facts(theirs)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def test_memory_handed_out_has_the_strides_that_were_claimed() -> None:
    x = laid(rl, "channels last") * 2
    array = x.numpy()
    assert [s // 4 for s in array.strides] == list(x.stride())
    array[0, 1, 2, 3] = -1
    assert x[0, 1, 2, 3].item() == -1
    y = rl.from_dlpack(x)
    assert y.stride() == x.stride() and y.data_ptr() == x.data_ptr()
    assert x.untyped_storage().nbytes() == 4 * 120


def test_writes_that_autograd_follows_reach_memory_that_was_handed_out() -> None:
    def run(lib: Any) -> list[Any]:
        x = laid(lib, "channels last") * 2
        array = x.numpy()
        w = lib.full((1,), 3.0, requires_grad=True)
        x.mul_(w)
        x[:, 1].add_(w)
        shared = (laid(lib, "reversed") * 2).share_memory_()
        shared.mul_(w)
        (x.sum() + shared.sum()).backward()
        return [lib.from_numpy(array), x.detach(), shared.detach(), w.grad]

    for ours, theirs in zip(run(rl), run(torch), strict=True):
        assert facts(ours) == facts(theirs)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-5)


def test_a_failed_write_is_taken_back_in_the_order_it_had() -> None:
    x = laid(rl, "channels last") * 2
    before = x.clone().contiguous().numpy().copy()
    index = rl.tensor([333]) * 3
    x.copy_(x + x.flatten()[index])
    with pytest.raises(IndexError):
        x.sum().item()
    assert x.stride() == (60, 1, 15, 3)
    np.testing.assert_array_equal(x.contiguous().numpy(), before)


def test_random_numbers_fall_in_the_order_of_memory() -> None:
    def run(lib: Any) -> list[Any]:
        lib.manual_seed(3)
        x = laid(lib, "reversed") * 2
        draws = [lib.nn.functional.dropout(x, 0.4), lib.rand_like(x), lib.randn_like(x)]
        y = x.clone()
        return [*draws, y.uniform_(), x.clone().normal_(), x.clone().bernoulli_(0.3)]

    for ours, theirs in zip(run(rl), run(torch), strict=True):
        assert facts(ours) == facts(theirs)
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_gradients_lie_as_their_parameters() -> None:
    def run(lib: Any) -> list[Any]:
        found = []
        for stored in STORED:
            x = laid(lib, stored).requires_grad_()
            for _ in range(3):
                (x * x.flip(3)).sum().backward()
                found.append(x.grad)
            found.append(lib.autograd.grad((x * x).sum(), x)[0])
        return found

    for ours, theirs in zip(run(rl), run(torch), strict=True):
        assert facts(ours) == facts(theirs)
        np.testing.assert_allclose(ours.numpy(), theirs.numpy(), rtol=1e-6)


def network(lib: Any) -> Any:
    nn = lib.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True),
        nn.Conv2d(8, 8, 3, groups=4), nn.GELU(), nn.MaxPool2d(2), nn.Dropout(0.25),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["SGD", "AdamW"])
def test_training_in_channels_last_gives_the_same_numbers_as_row_major(optimizer: str) -> None:
    def train(channels_last: bool) -> tuple[list[float], list[Any]]:
        rl.manual_seed(0)
        model = network(rl)
        model[6] = rl.nn.Identity()  # dropout masks fall in memory's order, which differs here
        x = rl.randn(4, 3, 12, 12)
        if channels_last:
            model = model.to(memory_format=rl.channels_last)
            x = x.to(memory_format=rl.channels_last)
            assert model[0].weight.stride() == (27, 1, 9, 3)
        update = getattr(rl.optim, optimizer)(model.parameters(), 0.05)
        losses = []
        for _ in range(5):
            update.zero_grad()
            loss = rl.nn.functional.cross_entropy(model(x), rl.tensor([0, 1, 2, 3]))
            loss.backward()
            update.step()
            losses.append(loss.item())
        for parameter in model.parameters():
            assert parameter.grad.stride() == parameter.stride()
        return losses, [p.detach().contiguous().numpy() for p in model.parameters()]

    losses, values = train(False)
    other_losses, other_values = train(True)
    assert losses == other_losses
    for x, y in zip(values, other_values, strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_network_in_channels_last_has_pytorchs_strides_throughout() -> None:
    def run(lib: Any) -> list[tuple]:
        lib.manual_seed(0)
        model = network(lib).to(memory_format=lib.channels_last)
        x = lib.randn(4, 3, 12, 12).to(memory_format=lib.channels_last)
        found = []
        for layer in model:
            x = layer(x)
            found.append(facts(x))
        return found

    assert run(rl) == run(torch)


def test_deep_copies_and_saved_models_keep_their_format(tmp_path: Any) -> None:
    model = rl.nn.Conv2d(3, 4, 3).to(memory_format=rl.channels_last)
    other = copy.deepcopy(model)
    rl.save(model.state_dict(), tmp_path / "model.pt")
    state = rl.load(tmp_path / "model.pt")
    assert other.weight.stride() == state["weight"].stride() == model.weight.stride()
    x = rl.randn(2, 3, 6, 6)
    for each in (model, other):
        update = rl.optim.Adam(each.parameters(), 0.1)
        for _ in range(3):
            update.zero_grad()
            each(x).pow(2).sum().backward()
            update.step()
    assert rl.equal(model.weight, other.weight)
    fresh = rl.nn.Conv2d(3, 4, 3)
    fresh.load_state_dict(state)
    assert rl.equal(fresh.weight, state["weight"]) and fresh.weight.is_contiguous()


def test_row_major_programs_record_nothing_more() -> None:
    x = rl.randn(4, 3, 8, 8)
    y = rl.relu(x + 1).reshape(4, -1).t().contiguous()
    assert x._node.step.order is None and y._node.step.order is None


# ---- every elementwise primitive --------------------------------------------------------------

SHAPES: dict[int, tuple] = {
    1: (((3, 4, 5),), ((2, 1, 3),)),
    2: (((3, 4, 5), (3, 4, 5)), ((3, 1, 5), (4, 5)), ((4, 5), (3, 4, 5)), ((3, 4, 5), ())),
    3: (((3, 4, 5), (3, 4, 5), (3, 4, 5)), ((4, 1), (3, 4, 5), (5,))),
}


# In PyTorch the same tensor for real numbers, with whatever strides axes of one element have.
GIVES_VIEWS = ("conj", "real", "imag")


def turned(lib: Any, array: np.ndarray, order: tuple[int, ...]) -> Any:
    axes = [axis for axis in order if axis < array.ndim]
    inverse = [axes.index(axis) for axis in range(array.ndim)]
    return lib.tensor(array.transpose(axes).copy(order="C")).permute(inverse)


# Random words have no counterpart in PyTorch with an order of its own.
ORDERED_ROWS = [row for row in ELEMENTWISE_ROWS if not row.primitive.startswith("philox")]


@pytest.mark.parametrize("row", ORDERED_ROWS, ids=lambda row: row.primitive)
def test_every_elementwise_primitive_follows_its_operands_order(row: Row) -> None:
    primitive = primitive_by_name(row.primitive)
    dtype = "float32" if "float32" in row.dtypes else row.dtypes[0]
    orders = list(itertools.permutations(range(3)))
    for shapes in SHAPES[primitive.arity]:
        params = row.params_for(shapes)[0]
        arrays = row.arrays(shapes, dtype, params)
        for place in range(len(orders)):
            # Each operand in an order of its own.
            chosen = [orders[(place + 2 * k) % len(orders)] for k in range(len(arrays))]
            mine = [turned(rl, a, o) for a, o in zip(arrays, chosen)]
            theirs = [turned(torch, a, o) for a, o in zip(arrays, chosen)]
            result = primitive(*mine, *params)
            expected = row.torch(*theirs, *params)
            found, wanted = result.stride(), expected.stride()
            if row.primitive in GIVES_VIEWS:
                found, wanted = ([s for n, s in zip(result.shape, given) if n > 1]
                                 for given in (found, wanted))  # fmt: skip
            assert found == wanted, (shapes, chosen)
