"""Hooks run in PyTorch's order with PyTorch's arguments, and what they return counts."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.modules import module as module_hooks


class Double(nn.Module):
    def forward(self, x: Any, *, shift: float = 0.0) -> Any:
        return x * 2 + shift


def test_forward_hooks_replace_arguments_and_result() -> None:
    module = Double()
    module.register_forward_pre_hook(lambda m, args: args[0] + 1)
    module.register_forward_hook(lambda m, args, result: result * 10)
    assert module(rl.ones(1)).item() == 40.0


def test_hooks_run_in_order_and_prepended_ones_first() -> None:
    module = Double()
    order: list[str] = []
    module.register_forward_hook(lambda *a: order.append("second"))
    module.register_forward_hook(lambda *a: order.append("third"))
    handle = module.register_forward_hook(lambda *a: order.append("first"), prepend=True)
    module(rl.ones(1))
    assert order == ["first", "second", "third"]
    handle.remove()
    handle.remove()
    module(rl.ones(1))
    assert order[3:] == ["second", "third"]


def test_hooks_see_keyword_arguments_on_request() -> None:
    module = Double()
    module.register_forward_pre_hook(
        lambda m, args, kwargs: (args, {"shift": kwargs["shift"] + 1}), with_kwargs=True
    )
    seen: list[dict] = []
    module.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
    assert module(rl.ones(1), shift=3.0).item() == 6.0
    assert seen == [{"shift": 4.0}]
    module.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"forward pre-hook must return None or a tuple"):
        module(rl.ones(1), shift=3.0)


def test_hooks_always_called_run_after_an_error() -> None:
    class Broken(nn.Module):
        def forward(self, x: Any) -> Any:
            raise KeyError("broken")

    module = Broken()
    calls: list[Any] = []
    module.register_forward_hook(lambda m, args, out: calls.append(out), always_call=True)
    module.register_forward_hook(lambda m, args, out: calls.append("never"))
    with pytest.raises(KeyError, match=r"broken"):
        module(1)
    assert calls == [None]


def test_global_hooks_run_for_every_module_until_removed() -> None:
    names: list[str] = []
    with module_hooks.register_module_forward_hook(lambda m, a, o: names.append(type(m).__name__)):
        nn.Sequential(Double(), nn.Identity())(rl.ones(1))
    nn.Identity()(1)
    assert names == ["Double", "Identity", "Sequential"]


def test_registration_hooks_see_new_members() -> None:
    seen: list[str] = []
    with module_hooks.register_module_parameter_registration_hook(
        lambda m, name, p: seen.append(name)
    ):
        nn.Linear(1, 1)
    assert seen == ["weight", "bias"]


def run_backward(library: Any, tensors: Any, hooks: Any) -> list[Any]:
    """Gradients that full backward hooks saw, as nested lists, in either library."""
    torch_like = library.Linear(2, 2)
    with tensors.no_grad():
        torch_like.weight.copy_(tensors.tensor([[1.0, 2.0], [3.0, 4.0]]))
        torch_like.bias.zero_()
    seen: list[Any] = []

    def listed(grads: Any) -> list[Any]:
        return [None if grad is None else grad.tolist() for grad in grads]

    hooks(torch_like, lambda *groups: seen.append([listed(group) for group in groups]))
    x = tensors.tensor([[1.0, -1.0]], requires_grad=True)
    (torch_like(x) ** 2).sum().backward()
    seen.append(x.grad.tolist())
    return seen


def observing(layer: Any, note: Any) -> None:
    layer.register_full_backward_pre_hook(lambda m, grad_output: note(grad_output))
    layer.register_full_backward_hook(
        lambda m, grad_input, grad_output: note(grad_input, grad_output)
    )


def replacing(layer: Any, note: Any) -> None:
    layer.register_full_backward_pre_hook(lambda m, grad_output: (grad_output[0] * 3,))
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: (grad_input[0] + 1,))
    layer.register_full_backward_hook(lambda m, grad_input, grad_output: note(grad_input))


@pytest.mark.parametrize("hooks", [observing, replacing])
def test_full_backward_hooks_see_and_replace_gradients_as_in_torch(hooks: Any) -> None:
    torch = pytest.importorskip("torch")
    assert run_backward(nn, rl, hooks) == run_backward(torch.nn, torch, hooks)


def test_backward_hooks_run_without_input_gradients() -> None:
    layer = nn.Linear(2, 1)
    seen: list[Any] = []
    layer.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].tolist())))
    with pytest.warns(UserWarning, match=r"no inputs require gradients"):
        layer(rl.ones(1, 2)).sum().backward()
    assert seen == [((None,), [[1.0]])]
    assert layer.weight.grad.tolist() == [[1.0, 1.0]]


def test_both_kinds_of_backward_hooks_do_not_mix() -> None:
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda *a: None)
    with pytest.raises(RuntimeError, match=r"Cannot use both regular backward hooks and full"):
        layer.register_backward_hook(lambda *a: None)


def test_hooks_are_copied_with_the_module() -> None:
    import copy

    module = Double()
    module.register_forward_hook(add_hundred)
    assert copy.deepcopy(module)(rl.ones(1)).item() == 102.0


def add_hundred(module: Any, args: Any, result: Any) -> Any:
    """A hook that deepcopy can copy."""
    return result + 100
