"""Tensors of a module are read and exchanged by dotted names."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight.nn.utils._named_member_accessor import NamedMemberAccessor, swap_tensor


def _model() -> rl.nn.Module:
    return rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.BatchNorm1d(2))


def test_parameters_and_buffers_are_exchanged_by_name():
    model = _model()
    accessor = NamedMemberAccessor(model)
    mean = accessor.get_tensor("1.running_mean")
    new = rl.ones(2)
    former, absent = accessor.swap_tensors_dict({"1.running_mean": new, "0.bias": None})
    assert former["1.running_mean"] is mean and absent == []
    assert model[1].running_mean is new and "bias" not in dict(model[0].named_parameters())
    accessor.swap_tensors_dict(former, allow_missing=True)
    assert model[1].running_mean is mean


def test_nothing_changes_where_one_name_is_wrong():
    model = _model()
    weight = model[0].weight
    with pytest.raises(RuntimeError, match="nothing"):
        NamedMemberAccessor(model).swap_tensors_dict({"0.weight": rl.ones(2, 2), "0.nothing": None})
    assert model[0].weight is weight


def test_what_is_no_tensor_is_refused():
    with pytest.raises(TypeError, match=r"torch\.Tensor"):
        swap_tensor(_model()[0], "weight", 3)
    with pytest.raises(KeyError, match="dots"):
        swap_tensor(_model(), "0.weight", rl.ones(2))
