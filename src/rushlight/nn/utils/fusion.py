"""Folding a batch normalization, in evaluation, into the layer before it.  Level 12."""

from __future__ import annotations

import copy
from typing import Any

from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.tensor.tensor import Tensor


def _folded(
    weight: Tensor, bias: Tensor | None, mean: Tensor, var: Tensor, eps: float,
    scale: Tensor | None, shift: Tensor | None, out_axis: int,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of the layer that also normalizes: y = (x - mean) / √(var + eps) · s + b."""
    factor = (var + eps).rsqrt()
    if scale is not None:
        factor = factor * scale
    shape = [1] * weight.dim()
    shape[out_axis] = -1
    start = mean.neg() if bias is None else bias - mean
    new_bias = start * factor
    if shift is not None:
        new_bias = new_bias + shift
    new_weight = weight * factor.reshape(shape)
    return (
        Parameter(new_weight.detach().to(weight.dtype), weight.requires_grad),
        Parameter(new_bias.detach().to(weight.dtype), weight.requires_grad),
    )


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a convolution (transposed or not) with its batch normalization in it."""
    return _folded(conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 1 if transpose else 0)


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float,
    bn_w: Tensor | None, bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """Weight and bias of a linear layer with its batch normalization in it."""
    return _folded(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b, 0)


def _fused(layer: Module, norm: Module, out_axis: int) -> Any:
    if layer.training or norm.training:
        raise AssertionError("Fusion only for eval!")
    if norm.running_mean is None or norm.running_var is None:
        raise AssertionError("Only support fusing batch norms that have computed running stats")
    fused = copy.deepcopy(layer)
    fused.weight, fused.bias = _folded(
        fused.weight,
        fused.bias,
        norm.running_mean,
        norm.running_var,
        norm.eps,
        norm.weight,
        norm.bias,
        out_axis,
    )
    return fused


def fuse_conv_bn_eval(conv: Module, bn: Module, transpose: bool = False) -> Module:
    """A convolution equal to `conv` followed by `bn`, both in evaluation."""
    return _fused(conv, bn, 1 if transpose else 0)


def fuse_linear_bn_eval(linear: Module, bn: Module) -> Module:
    """A linear layer equal to `linear` followed by `bn`, both in evaluation.

    Raises: AssertionError in training, without running statistics, or if sizes do not fit.
    """
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1"
        )
    return _fused(linear, bn, 0)
