"""Replayed blocks do what recording one by one does: values, gradients, errors and graphs."""

from __future__ import annotations

import threading
import weakref

import numpy as np
import pytest

import rushlight as rl
import rushlight.nn.functional as F
from rushlight.base.config import config
from rushlight.base.stats import stats
from rushlight.tape.tape import current_tape


@pytest.fixture(autouse=True)
def fresh_tape():
    current_tape().flush("test")


def both_ways(program):
    """What `program` gives with and without blocks; it gets a fresh random state each time."""
    found = []
    for blocks in (False, True):
        config.blocks = blocks
        try:
            rl.manual_seed(3)
            found.append(program())
        finally:
            config.blocks = True
    return found


def assert_same(program) -> None:
    plain, replayed = both_ways(program)
    assert len(plain) == len(replayed)
    for one, other in zip(plain, replayed):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


def small_model():
    return rl.nn.Sequential(rl.nn.Linear(5, 7), rl.nn.Tanh(), rl.nn.Linear(7, 3))


def batches(count: int = 5):
    return [(rl.randn(4, 5), rl.randint(0, 3, (4,))) for _ in range(count)]


def parameters_of(model) -> list:
    return [parameter.detach().numpy().copy() for parameter in model.parameters()]


OPTIMIZERS = [
    lambda p: rl.optim.SGD(p, lr=0.1),
    lambda p: rl.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    lambda p: rl.optim.Adam(p, lr=0.01),
    lambda p: rl.optim.Adam(p, lr=0.01, amsgrad=True, maximize=True),
    lambda p: rl.optim.AdamW(p, lr=0.01),
    lambda p: rl.optim.Adagrad(p),
    lambda p: rl.optim.Adadelta(p),
    lambda p: rl.optim.Adamax(p),
    lambda p: rl.optim.ASGD(p, t0=2),
    lambda p: rl.optim.NAdam(p),
    lambda p: rl.optim.RAdam(p),
    lambda p: rl.optim.RMSprop(p, centered=True, momentum=0.5),
    lambda p: rl.optim.Rprop(p),
]


@pytest.mark.parametrize("make", OPTIMIZERS)
def test_training_gives_the_same_bits(make) -> None:
    def train():
        model = small_model()
        optimizer = make(model.parameters())
        schedule = rl.optim.lr_scheduler.StepLR(optimizer, 3, 0.5)
        losses = []
        for x, y in batches(9):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(loss.item())
        states = [v for s in optimizer.state.values() for v in s.values()]
        return [losses, *parameters_of(model), *[state.numpy() for state in states]]

    assert_same(train)


def test_blocks_are_replayed() -> None:
    model = small_model()
    optimizer = rl.optim.Adam(model.parameters())
    for step, (x, y) in enumerate(batches(6)):
        if step == 4:
            before = stats.blocks_replayed
        optimizer.zero_grad()
        F.cross_entropy(model(x), y).backward()
        optimizer.step()
    # Two more steps: the loss, its backward and the update.
    assert stats.blocks_replayed - before == 6


def test_gradients_accumulate() -> None:
    def train():
        model = small_model()
        optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
        for step, (x, y) in enumerate(batches(9)):
            (F.cross_entropy(model(x), y) / 3).backward()
            if step % 3 == 2:
                optimizer.step()
                optimizer.zero_grad(set_to_none=step % 2 == 0)
        return parameters_of(model)

    assert_same(train)


def test_graph_may_be_kept_and_run_again() -> None:
    def train():
        model = small_model()
        for x, y in batches():
            loss = F.cross_entropy(model(x), y)
            loss.backward(retain_graph=True)
            loss.backward()
            with pytest.raises(RuntimeError, match="second time"):
                loss.backward()
        return [parameter.grad.numpy() for parameter in model.parameters()]

    assert_same(train)


def test_loss_read_before_backward() -> None:
    def train():
        model = small_model()
        optimizer = rl.optim.Adam(model.parameters())
        values = []
        for x, y in batches(6):
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            values.append(loss.item())
            loss.backward()
            optimizer.step()
        return [values, *parameters_of(model)]

    assert_same(train)


def test_frozen_and_thawed_parameters() -> None:
    def train():
        model = small_model()
        optimizer = rl.optim.Adam(model.parameters())
        for step, (x, y) in enumerate(batches(8)):
            model[0].weight.requires_grad_(step % 2 == 0)
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
        return parameters_of(model)

    assert_same(train)


def test_detached_operands_and_no_grad() -> None:
    def train():
        weight = rl.randn(5, 3, requires_grad=True)
        found = []
        for step, (x, y) in enumerate(batches(8)):
            scores = x @ weight
            if step % 4 == 1:
                scores = scores.detach().requires_grad_()
            with rl.set_grad_enabled(step % 4 != 2):
                loss = F.cross_entropy(scores, y)
            found.append(loss.requires_grad)
            if loss.requires_grad:
                loss.backward()
            found.append(loss.item())
        return [found, weight.grad.numpy()]

    assert_same(train)


def test_overwritten_saved_value_is_noticed() -> None:
    def train():
        found = []
        weight = rl.randn(5, 3, requires_grad=True)
        for step, (x, y) in enumerate(batches(6)):
            scores = (x @ weight).exp()
            loss = F.cross_entropy(scores, y)
            if step % 2:
                scores.add_(1)
                with pytest.raises(RuntimeError, match="modified by an inplace"):
                    loss.backward()
            else:
                loss.backward()
            found.append(loss.item())
        return [found, weight.grad.numpy()]

    assert_same(train)


def test_hooks_run_in_every_step() -> None:
    def train():
        weight = rl.randn(5, 3, requires_grad=True)
        seen = []
        for step, (x, y) in enumerate(batches(6)):
            scores = x @ weight
            loss = F.cross_entropy(scores, y)
            if step % 2:
                loss.register_hook(lambda g: g * 2)
                scores.register_hook(lambda g: seen.append(g.sum().item()))
            loss.backward()
        return [seen, weight.grad.numpy()]

    assert_same(train)


def test_graph_can_be_inspected() -> None:
    def train():
        weight = rl.randn(5, 3, requires_grad=True)
        names = []
        for x, y in batches(4):
            loss = F.cross_entropy(x @ weight, y)
            node, depth = loss.grad_fn, 0
            while node is not None and depth < 20:
                names.append(node.name())
                node = node.next_functions[0][0] if node.next_functions else None
                depth += 1
            loss.backward()
        return [np.array(names), weight.grad.numpy()]

    assert_same(train)


def test_second_derivatives() -> None:
    def train():
        weight = rl.randn(5, 3, requires_grad=True)
        found = []
        for x, y in batches(4):
            loss = F.cross_entropy((x @ weight).tanh(), y)
            (gradient,) = rl.autograd.grad(loss, weight, create_graph=True)
            gradient.pow(2).sum().backward()
            found.append(loss.item())
        return [found, weight.grad.numpy()]

    assert_same(train)


def test_read_of_a_result_by_another_thread() -> None:
    def train():
        weight = rl.randn(5, 3, requires_grad=True)
        found: list = []
        for x, y in batches(5):
            loss = F.cross_entropy(x @ weight, y)
            loss.backward()
            reader = threading.Thread(target=lambda: found.append(weight.grad.sum().item()))
            reader.start()
            reader.join()
            found.append(loss.item())
            weight.grad = None
        return [found]

    assert_same(train)


def test_changed_state_is_respected() -> None:
    def train():
        model = small_model()
        optimizer = rl.optim.Adam(model.parameters(), lr=0.01)
        for step, (x, y) in enumerate(batches(10)):
            optimizer.zero_grad()
            F.cross_entropy(model(x), y).backward()
            optimizer.step()
            if step == 3:
                optimizer.param_groups[0]["lr"] = 0.5
            if step == 4:
                optimizer.state[model[0].bias]["exp_avg"].zero_()
            if step == 5:
                for state in optimizer.state.values():
                    state["step"].add_(3)
            if step == 6:
                optimizer.state[model[0].bias]["exp_avg"] = rl.ones(7)
            if step == 7:
                optimizer.load_state_dict(optimizer.state_dict())
            if step == 8:
                optimizer.param_groups[0]["weight_decay"] = 0.1
        return parameters_of(model)

    assert_same(train)


def test_parameter_without_gradient_is_skipped() -> None:
    def train():
        first, second = rl.nn.Parameter(rl.ones(3)), rl.nn.Parameter(rl.ones(3))
        optimizer = rl.optim.Adam([first, second], lr=0.1)
        for step in range(7):
            optimizer.zero_grad()
            loss = (first * 2).sum() if step % 3 == 2 else (first * second).sum()
            loss.backward()
            optimizer.step()
        return [first.detach().numpy(), second.detach().numpy()]

    assert_same(train)


def test_shared_constant_gradient_is_not_shared_memory() -> None:
    """The cotangent 1 of a scalar root must not become one tensor for all steps."""
    x = rl.ones((), requires_grad=True)
    seen = []
    for _ in range(4):
        x.grad = None
        (x + 1).backward()
        seen.append(x.grad)
        x.grad.add_(1)
    assert [gradient.item() for gradient in seen] == [2.0] * 4


def test_failing_update_is_taken_back_and_may_be_repeated() -> None:
    model = small_model()
    optimizer = rl.optim.SGD(model.parameters(), lr=0.1)
    for step, (x, y) in enumerate(batches(6)):
        before = parameters_of(model)
        if step == 4:
            y[0] = 77
            y = y.clone()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        if step == 4:
            with pytest.raises(IndexError):
                optimizer.step()
            for one, other in zip(before, parameters_of(model)):
                np.testing.assert_array_equal(one, other)
        else:
            optimizer.step()
            assert np.isfinite(loss.item())


def attention(x, y):
    return F.scaled_dot_product_attention(x, y, x, is_causal=True)


REPLAYED = {
    "softmax": lambda x, y: F.softmax(x * y, -1),
    "log_softmax": lambda x, y: F.log_softmax(x + y, 0),
    "gelu": lambda x, y: F.gelu(x) * y,
    "gelu_tanh": lambda x, y: F.gelu(x, approximate="tanh") * y,
    "layer_norm": lambda x, y: F.layer_norm(x, (6,), y[0], y[1]),
    "rms_norm": lambda x, y: F.rms_norm(x, (6,), y[0]),
    "group_norm": lambda x, y: F.group_norm(x, 2, y[0, :6], y[1, :6]),
    "attention": attention,
    "attention_with_itself": lambda x, y: F.scaled_dot_product_attention(x, x, x) + y,
    "squared_error": F.mse_loss,
    "squared_error_none": lambda x, y: F.mse_loss(x, y, reduction="none"),
    "bce": lambda x, y: F.binary_cross_entropy(x.sigmoid(), y.sigmoid()),
    "bce_with_logits": lambda x, y: F.binary_cross_entropy_with_logits(x, y.sigmoid()),
    "view_as_operand": lambda x, y: F.softmax(x.t(), -1) @ y,
    "dropped": lambda x, y: F.softmax(x, -1).detach() * y + x,
}


@pytest.mark.parametrize("name", REPLAYED)
@pytest.mark.parametrize("dtype", [rl.float32, rl.float64])
def test_functions_give_the_same_bits_and_derivatives(name, dtype) -> None:
    function = REPLAYED[name]

    def run():
        found = []
        for step in range(5):
            x = rl.randn(6, 6, dtype=dtype, requires_grad=step != 2)
            y = rl.randn(6, 6, dtype=dtype, requires_grad=step != 3)
            out = function(x, y)
            wanted = [leaf for leaf in (x, y) if leaf.requires_grad]
            grads = rl.autograd.grad(
                out.pow(2).sum(), wanted, create_graph=step % 2 == 0, allow_unused=True
            )
            if step % 2 == 0:
                total = sum(g.pow(2).sum() for g in grads if g is not None and g.requires_grad)
                if isinstance(total, rl.Tensor):
                    total.backward()
            out = function(x, y)
            out.sum().backward()
            for value in (out, *grads, x.grad, y.grad):
                found.append(np.zeros(0) if value is None else value.detach().numpy())
        return found

    assert_same(run)


def test_inference_with_gradients_enabled_frees_what_it_saved() -> None:
    """A graph nobody runs backward keeps its saved values only as long as its result lives."""
    x = rl.randn(8, 8, requires_grad=True)
    kept = []
    for _ in range(4):
        out = F.softmax(x, -1)
        kept.append(out)
        assert out.sum().item() == pytest.approx(8.0)
    for out in kept:
        out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.zeros((8, 8)), atol=1e-6)


def test_a_kept_loss_keeps_nothing_else_alive() -> None:
    weight = rl.randn(5, 3, requires_grad=True)
    losses = []
    for x, y in batches(4):
        loss = F.cross_entropy(x @ weight, y)
        loss.backward()
        losses.append(loss)
        watched = weakref.ref(x._node)
        loss.item()
        del x, y
    del loss
    assert watched() is None


def test_warnings_are_given_each_time() -> None:
    for _ in range(3):
        with pytest.warns(UserWarning, match="target size"):
            F.mse_loss(rl.ones(3, 1), rl.ones(3))


# ---- convolutions --------------------------------------------------------------------------------


def trained_on_pictures(shapes):
    """Losses, gradients and operations recorded last, of pictures of these (count, side)."""
    first = rl.nn.Conv2d(2, 4, 3, padding=1)
    second = rl.nn.Conv2d(4, 4, 3, stride=2, groups=2)
    head = rl.nn.Linear(4, 3)
    parameters = [*first.parameters(), *second.parameters(), *head.parameters()]
    optimizer = rl.optim.SGD(parameters, lr=0.1)
    found = []
    missed = 0
    for count, side in shapes:
        before = stats.operations_missed
        optimizer.zero_grad()
        maps = second(F.max_pool2d(F.relu(first(rl.randn(count, 2, side, side))), 2))
        loss = F.cross_entropy(head(maps.mean((2, 3))), rl.randint(0, 3, (count,)))
        loss.backward()
        optimizer.step()
        found += [loss.item(), *[p.grad.tolist() for p in parameters]]
        missed = stats.operations_missed - before
    return [np.asarray(x, np.float32) for x in found], missed


def test_backward_through_convolutions_is_a_block_at_new_batch_sizes():
    shapes = [(n, 12) for n in (3, 5, 8, 4, 7, 11, 9)]
    (plain, recorded), (replayed, missed) = both_ways(lambda: trained_on_pictures(shapes))
    for one, other in zip(plain, replayed):
        np.testing.assert_array_equal(one, other)
    # The forward pass has new sizes; the rest is known.
    assert missed < recorded / 2


def test_pictures_of_other_sizes_have_paddings_of_their_own():
    shapes = [(3, 12), (5, 12), (4, 13), (7, 14), (2, 15), (6, 12), (3, 13)]
    (plain, _), (replayed, _) = both_ways(lambda: trained_on_pictures(shapes))
    for one, other in zip(plain, replayed):
        np.testing.assert_array_equal(one, other)
