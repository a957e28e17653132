"""Calls with borrowed parameters, layers folded together, and wrappers of one device."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils.stateless import functional_call


def test_a_call_borrows_parameters_and_gives_them_back() -> None:
    layer = nn.Linear(2, 1)
    own = layer.weight
    weight = rl.ones(1, 2, requires_grad=True)
    out = functional_call(layer, {"weight": weight, "bias": rl.zeros(1)}, rl.ones(1, 2))
    assert out.tolist() == [[2.0]] and layer.weight is own
    out.sum().backward()
    assert weight.grad.tolist() == [[1.0, 1.0]] and own.grad is None
    with pytest.raises(KeyError, match=r"no parameter or buffer 'other'"):
        functional_call(layer, {"weight": weight, "other": weight}, rl.ones(1, 2))
    assert layer.weight is own
    with pytest.raises(RuntimeError, match=r"Missing key\(s\): bias"):
        functional_call(layer, {"weight": weight}, rl.ones(1, 2), strict=True)


def test_one_name_stands_for_all_names_of_a_tied_parameter() -> None:
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    doubled = rl.eye(2) * 2
    out = functional_call(net, {"0.weight": doubled}, rl.ones(1, 2))
    assert out.tolist() == [[4.0, 4.0]]
    with pytest.raises(ValueError, match=r"which are tied"):
        functional_call(net, {"0.weight": doubled, "1.weight": rl.eye(2)}, rl.ones(1, 2))


def normalized(norm: nn.Module) -> nn.Module:
    """A batch normalization whose statistics and parameters are not the first ones."""
    with rl.no_grad():
        for i, value in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
            value.copy_(rl.rand(value.shape) + i)
    return norm.eval()


def test_a_folded_normalization_computes_the_same() -> None:
    rl.manual_seed(0)
    conv, norm = nn.Conv2d(2, 3, 2).eval(), normalized(nn.BatchNorm2d(3))
    x = rl.rand(1, 2, 4, 4)
    fused = nn.utils.fuse_conv_bn_eval(conv, norm)
    np.testing.assert_allclose(fused(x).tolist(), norm(conv(x)).tolist(), rtol=1e-5, atol=1e-6)
    linear, norm = nn.Linear(2, 3, bias=False).eval(), normalized(nn.BatchNorm1d(3))
    x = rl.rand(4, 2)
    fused = nn.utils.fuse_linear_bn_eval(linear, norm)
    np.testing.assert_allclose(fused(x).tolist(), norm(linear(x)).tolist(), rtol=1e-5, atol=1e-6)
    with pytest.raises(AssertionError, match=r"Fusion only for eval"):
        nn.utils.fuse_linear_bn_eval(linear.train(), norm)


def test_data_parallel_without_devices_calls_its_module() -> None:
    wrapped = nn.DataParallel(nn.Linear(2, 1))
    x = rl.ones(1, 2)
    assert wrapped(x).tolist() == wrapped.module(x).tolist()
    assert list(wrapped.state_dict()) == ["module.weight", "module.bias"]
    with pytest.raises(RuntimeError, match=r"asks for GPUs"):
        nn.DataParallel(nn.Linear(2, 1), device_ids=[0, 1])


def test_batch_norms_convert_to_synchronized_ones() -> None:
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    weight = net[1].weight
    converted = nn.SyncBatchNorm.convert_sync_batchnorm(net)
    assert isinstance(converted[1], nn.SyncBatchNorm) and converted[1].weight is weight
    assert list(converted.state_dict()) == list(
        nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)).state_dict()
    )
    assert converted(rl.rand(4, 2)).shape == (4, 3)
