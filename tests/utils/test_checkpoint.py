"""Checkpointed stretches: the same gradients, computed twice, in less memory."""

from __future__ import annotations

import pytest

import rushlight
from rushlight import nn
from rushlight.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential

WAYS = pytest.mark.parametrize("use_reentrant", [False, True])


def network():
    rushlight.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 2))


@WAYS
def test_gradients_and_random_numbers_are_those_of_a_plain_pass(use_reentrant):
    found = []
    for checkpointed in (False, True):
        net = network()
        x = rushlight.ones(3, 4, requires_grad=True)
        rushlight.manual_seed(1)
        y = checkpoint(net, x, use_reentrant=use_reentrant) if checkpointed else net(x)
        rushlight.rand(5)
        y.pow(2).sum().backward()
        found.append([x.grad, *(p.grad for p in net.parameters()), rushlight.rand(2)])
    for plain, other in zip(*found, strict=True):
        assert plain.tolist() == other.tolist()


@WAYS
def test_the_function_runs_again_in_backward(use_reentrant):
    calls = []

    def f(x):
        calls.append(1)
        return (x * x).sin()

    x = rushlight.ones(3, requires_grad=True)
    y = checkpoint(f, x, use_reentrant=use_reentrant)
    assert len(calls) == 1
    y.sum().backward()
    assert len(calls) == 2


def test_second_derivatives_and_grad_go_through_the_newer_way():
    x = rushlight.tensor([2.0, 3.0], requires_grad=True)
    y = checkpoint(lambda x, *, power: x**power, x, use_reentrant=False, power=3)
    first = rushlight.autograd.grad(y.sum(), x, create_graph=True)[0]
    assert first.tolist() == [12.0, 27.0]
    assert rushlight.autograd.grad(first.sum(), x)[0].tolist() == [12.0, 18.0]


def test_tensors_from_outside_get_their_gradients():
    w = rushlight.tensor([2.0], requires_grad=True)
    outside = w * 3
    x = rushlight.ones(1, requires_grad=True)
    y = checkpoint(lambda x: x * outside, x, use_reentrant=False)
    (y + outside).sum().backward()
    assert w.grad.tolist() == [6.0] and x.grad.tolist() == [6.0]


def test_another_result_the_second_time_is_an_error():
    sizes = iter((2, 3))
    x = rushlight.ones(1, requires_grad=True)
    y = checkpoint(lambda x: x.expand(next(sizes)).clone(), x, use_reentrant=False)
    with pytest.raises(CheckpointError, match="different metadata"):
        y.sum().backward()


def test_the_way_has_to_be_said_and_keywords_belong_to_one():
    x = rushlight.ones(1, requires_grad=True)
    with pytest.warns(UserWarning, match="use_reentrant"):
        checkpoint(rushlight.sin, x)
    with pytest.raises(ValueError, match="Unexpected keyword"):
        checkpoint(rushlight.sin, x, use_reentrant=True, a=1)


def test_values_inside_are_not_kept_after_the_forward_pass():
    layers = nn.Sequential(*[nn.Sequential(nn.Linear(64, 64), nn.Tanh()) for _ in range(8)])
    x = rushlight.randn(256, 64, requires_grad=True)

    def alive(y) -> int:
        """Bytes that the graph behind y keeps."""
        rushlight.synchronize()
        seen: set[int] = set()
        total = 0
        stack = [y.grad_fn]
        while stack:
            node = stack.pop()
            if node is None or id(node) in seen:
                continue
            seen.add(id(node))
            for kept in getattr(node, "saved", None) or ():
                value = getattr(kept, "value", None)
                if value is not None and id(value) not in seen:
                    seen.add(id(value))
                    total += getattr(value, "nbytes", 0)
            stack.extend(following for following, _ in node.next_functions)
        return total

    plain = alive(layers(x))
    kept = alive(checkpoint_sequential(layers, 4, x, use_reentrant=False))
    assert kept < plain / 2


def test_values_saved_on_the_cpu_are_where_they_were():
    x = rushlight.ones(2, requires_grad=True)
    with rushlight.autograd.graph.save_on_cpu():
        y = (x * x).sum()
    y.backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(RuntimeError, match="accelerator"):
        rushlight.autograd.graph.save_on_cpu(pin_memory=True)
