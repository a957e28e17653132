"""Lazy modules take shapes from their first input and become ordinary modules."""

from __future__ import annotations

import pytest

import rushlight as rl
from rushlight import nn


def test_a_lazy_linear_becomes_a_linear_with_torchs_values() -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = nn.LazyLinear(4), torch.nn.LazyLinear(4)
    assert repr(ours) == repr(theirs)
    assert repr(ours.weight) == "<UninitializedParameter>"
    with pytest.raises(RuntimeError, match=r"Can't access the shape of an uninitialized"):
        _ = ours.weight.shape
    weight = ours.weight
    rl.manual_seed(3)
    torch.manual_seed(3)
    ours(rl.ones(2, 5))
    theirs(torch.ones(2, 5))
    assert type(ours) is nn.Linear and ours.weight is weight and type(weight) is nn.Parameter
    assert ours.weight.tolist() == theirs.weight.tolist()
    assert not ours._forward_pre_hooks and not ours._load_state_dict_pre_hooks


@pytest.mark.parametrize(
    ("lazy", "shape", "kind"),
    [
        (lambda: nn.LazyConv2d(4, 3, bias=False), (1, 2, 5, 5), "Conv2d"),
        (lambda: nn.LazyConvTranspose1d(4, 3, groups=2), (2, 5), "ConvTranspose1d"),
        (lambda: nn.LazyBatchNorm1d(), (4, 3), "BatchNorm1d"),
        (lambda: nn.LazyInstanceNorm2d(affine=True), (2, 3, 4, 4), "InstanceNorm2d"),
    ],
)
def test_a_lazy_module_becomes_its_ordinary_class(lazy, shape, kind) -> None:
    module = lazy()
    assert module.has_uninitialized_params()
    module(rl.ones(*shape))
    assert type(module).__name__ == kind


def test_a_loaded_state_gives_a_lazy_module_its_shape() -> None:
    source = nn.Linear(5, 4)
    lazy = nn.LazyLinear(4)
    lazy.load_state_dict(source.state_dict())
    x = rl.ones(2, 5)
    assert lazy(x).tolist() == source(x).tolist()
    with pytest.raises(RuntimeError, match=r"Can't access the shape of an uninitialized"):
        nn.Linear(5, 4).load_state_dict(nn.LazyLinear(4).state_dict())


def test_lazy_modules_can_be_cast_before_they_have_a_shape() -> None:
    lazy = nn.LazyLinear(4).double()
    lazy(rl.ones(2, 5, dtype=rl.float64))
    assert lazy.weight.dtype == rl.float64
