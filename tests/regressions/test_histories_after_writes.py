"""Gradients and hooks of tensors that are written in place after something was asked of them."""

from __future__ import annotations

import pytest

import rushlight

reference = pytest.importorskip("torch")


def values(tensor):
    return None if tensor is None else tensor.tolist()


def retained(torch, change):
    """h.grad, x.grad of a tensor that retains its gradient and is changed before it is used."""
    x = torch.ones(3, requires_grad=True)
    h = x * 2
    h.retain_grad()
    change(torch, h)
    (h * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    return values(h.grad), values(x.grad), h.retains_grad


def assign_part(torch, h):
    h[0] = 5.0


def write_twice(torch, h):
    h.mul_(2)
    h.retain_grad()
    h[1:].mul_(h[:2].detach().clone())


def hook_between(torch, h):
    h.register_hook(lambda g: g * 10)
    h.mul_(2)
    h.register_hook(lambda g: g * 7)


CHANGES = {
    "multiplied": lambda torch, h: h.mul_(3),
    "filled": lambda torch, h: h.fill_(3.0),
    "multiplied through a view": lambda torch, h: h[0].mul_(3),
    "assigned in part": assign_part,
    "copied into": lambda torch, h: h[1:].copy_(torch.ones(2)),
    "written twice": write_twice,
    "hooked and written": hook_between,
    "written under no_grad": lambda torch, h: torch.no_grad()(h.mul_)(3),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_retained_gradient_is_that_of_what_the_tensor_became(change):
    assert retained(rushlight, change) == retained(reference, change)


@pytest.mark.parametrize("written", ["base", "view"])
def test_a_view_keeps_retaining_when_its_memory_is_written(written):
    def run(torch):
        x = torch.ones(3, requires_grad=True)
        h = x * 2
        v = h[:2]
        v.retain_grad()
        (h if written == "base" else v).mul_(3)
        (v * torch.tensor([1.0, 2.0])).sum().backward()
        return values(v.grad), values(x.grad)

    assert run(rushlight) == run(reference)


def test_autograd_grad_fills_a_retained_gradient_after_a_write():
    def run(torch):
        x = torch.ones(3, requires_grad=True)
        h = x * 2
        h.retain_grad()
        h.mul_(3)
        found = torch.autograd.grad(h.sum(), h)
        return values(found[0]), values(h.grad)

    assert run(rushlight) == run(reference)


def doubling(torch):
    class Doubled(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            x.mul_(2)
            ctx.mark_dirty(x)
            ctx.save_for_backward(x)
            return x

        @staticmethod
        def backward(ctx, g):
            (result,) = ctx.saved_tensors
            return g * 2 + 0 * result

    return Doubled


def adding(torch):
    class Added(torch.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            a.add_(b * 3)
            ctx.mark_dirty(a)
            return a

        @staticmethod
        def backward(ctx, g):
            return g, g * 3

    return Added


@pytest.mark.parametrize("read", ["overlapping view", "base", "result", "new view"])
def test_a_function_that_writes_a_view_is_in_the_history_of_all_its_memory(read):
    def run(torch):
        x = torch.ones(3, requires_grad=True)
        h = x * 1
        v, w = h[1:], h[:2]
        result = doubling(torch).apply(v)
        seen = {"overlapping view": w, "base": h, "result": result, "new view": h[1:2]}[read]
        weight = torch.tensor([1.0, 10.0, 100.0])[: len(seen)]
        (seen * weight).sum().backward()
        return result is v, values(h), values(w), values(x.grad)

    assert run(rushlight) == run(reference)


def test_a_function_that_writes_a_view_of_constants_connects_the_base():
    def run(torch):
        b = torch.ones(2, requires_grad=True)
        h = torch.zeros(4)
        w = h[:2]
        adding(torch).apply(h[1:3], b)
        (h * torch.arange(4.0)).sum().backward(retain_graph=True)
        first = values(b.grad)
        (w * torch.tensor([5.0, 7.0])).sum().backward()
        return h.requires_grad, w.requires_grad, values(w), first, values(b.grad)

    assert run(rushlight) == run(reference)


def test_a_function_that_writes_memory_shared_with_numpy_shows_there():
    b = rushlight.ones(2, requires_grad=True)
    h = rushlight.zeros(4)
    array = h.numpy()
    adding(rushlight).apply(h[1:3], b)
    assert array.tolist() == [0, 3, 3, 0]
    (h * rushlight.arange(4.0)).sum().backward()
    assert b.grad.tolist() == [3, 6]


def test_a_function_that_writes_a_view_of_a_leaf_is_refused():
    v = rushlight.ones(3, requires_grad=True)[1:]
    with pytest.raises(RuntimeError, match="a view of a leaf Variable that requires grad"):
        doubling(rushlight).apply(v)


def test_what_a_function_hands_on_of_its_input_cannot_be_written():
    class Same(rushlight.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.view_as(x)

        @staticmethod
        def backward(ctx, g):
            return g

    x = rushlight.ones(3, requires_grad=True) * 1
    for out in (Same.apply(x), Same.apply(x)[:2]):
        with pytest.raises(RuntimeError, match="Output 0 of Same is a view and is being modified"):
            out.mul_(2)
    with rushlight.no_grad():
        Same.apply(x).mul_(2)
    Same.apply(rushlight.ones(3)).mul_(2)


# ---- modules -------------------------------------------------------------------------------------


def log_of(torch, module, *inputs):
    log = []

    def hook(module, grads_in, grads_out):
        log.append(([values(g) for g in grads_in], [values(g) for g in grads_out]))

    module.register_full_backward_hook(hook)
    out = module(*inputs)
    (out if torch.is_tensor(out) else out[0]).sum().backward()
    return log, [values(x.grad) for x in inputs]


@pytest.mark.parametrize("order", ["xyx", "xx", "xxy", "cxc"])
def test_hooks_see_a_gradient_for_each_use_of_one_tensor(order):
    def run(torch):
        class Product(torch.nn.Module):
            def forward(self, a, b, c=None):
                return a * b if c is None else a * b * c

        tensors = {n: torch.tensor([v], requires_grad=n != "c") for n, v in (
            ("x", 2.0), ("y", 3.0), ("c", 4.0))}  # fmt: skip
        return log_of(torch, Product(), *[tensors[name] for name in order])

    assert run(rushlight) == run(reference)


def test_hooks_see_zeros_for_inputs_without_gradient_and_none_for_unused_outputs():
    def run(torch):
        class Several(torch.nn.Module):
            def forward(self, a, index):
                return a * 2, a * 3, index + 1

        return log_of(torch, Several(), torch.tensor([2.0], requires_grad=True), torch.tensor([1]))

    assert run(rushlight) == run(reference)


@pytest.mark.parametrize("kind", ["hook", "pre_hook"])
def test_a_result_of_a_module_with_backward_hooks_cannot_be_written(kind):
    layer = rushlight.nn.Linear(2, 2)
    if kind == "hook":
        layer.register_full_backward_hook(lambda *args: None)
    else:
        layer.register_full_backward_pre_hook(lambda *args: None)
    for given in (rushlight.ones(1, 2), rushlight.ones(1, 2, requires_grad=True)):
        for write in (lambda y: y.mul_(2), lambda y: y[0].mul_(2), lambda y: y.relu_()):
            with pytest.raises(RuntimeError, match="BackwardHookFunction is a view and is being"):
                write(layer(given))
    layer(rushlight.ones(1, 2)).detach().mul_(2)
