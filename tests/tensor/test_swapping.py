"""`utils.swap_tensors`: whoever holds one tensor has what the other was."""

from __future__ import annotations

import weakref

import pytest

import rushlight as rl
from rushlight.utils import swap_tensors


def test_values_classes_and_attributes_change_places():
    first, second = rl.nn.Parameter(rl.ones(2)), rl.zeros(3)
    second.note = "mine"
    swap_tensors(first, second)
    assert type(first) is rl.Tensor and isinstance(second, rl.nn.Parameter)
    assert first.tolist() == [0, 0, 0] and second.tolist() == [1, 1]
    assert first.note == "mine" and not hasattr(second, "note")
    assert second.requires_grad and not first.requires_grad


def test_gradients_reach_the_object_that_is_the_leaf_now():
    first, second = rl.ones(2, requires_grad=True), rl.full((2,), 3.0, requires_grad=True)
    swap_tensors(first, second)
    (first * 5).sum().backward()
    assert first.grad.tolist() == [5, 5] and second.grad is None and first.tolist() == [3, 3]


def test_a_module_keeps_the_object_that_was_swapped():
    layer = rl.nn.Linear(2, 1)
    held = layer.weight
    swap_tensors(layer.weight, rl.nn.Parameter(rl.zeros(1, 2)))
    assert layer.weight is held and layer(rl.ones(2)).item() == layer.bias.item()


def test_a_tensor_that_others_refer_to_weakly_is_refused():
    first, second = rl.ones(2), rl.zeros(2)
    reference = weakref.ref(first)
    with pytest.raises(RuntimeError, match="weakref"):
        swap_tensors(first, second)
    assert reference() is first and first.tolist() == [1, 1]
