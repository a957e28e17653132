"""Steps of PyTorch's library that programs call as `torch.ops.aten.<name>`.  Level 11.

In and out: as the operators of those names.  They are no public functions; each says in public ones
what it is.  Source: torch.ops.aten.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.ops.activation import log_softmax, softmax
from rushlight.ops.conv import (
    conv1d,
    conv2d,
    conv3d,
    conv_transpose1d,
    conv_transpose2d,
    conv_transpose3d,
)
from rushlight.ops.norm import layer_norm
from rushlight.tensor.tensor import Tensor


def index(input: Tensor, indices: Sequence[Tensor | None]) -> Tensor:
    """Elements at indices; None leaves an axis as it is."""
    return input[tuple(slice(None) if one is None else one for one in indices)]


def slice_along(
    input: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """`input[start:end:step]` along an axis."""
    where: list[Any] = [slice(None)] * input.dim()
    where[dim] = slice(start, end, step)
    return input[tuple(where)]


def same(input: Tensor) -> Tensor:
    """A view of all of it."""
    return input.view(input.shape)


def reshaped(input: Tensor, size: Sequence[int], stride: Sequence[int] | None = None) -> Tensor:
    """The elements in another shape."""
    return input.reshape(tuple(size))


def to_copy(
    input: Tensor, *, dtype: Any = None, device: Any = None, memory_format: Any = None, **rest: Any
) -> Tensor:
    """A copy, in another dtype if asked."""
    options = {} if memory_format is None else {"memory_format": memory_format}
    return input.to(device=device, dtype=dtype, copy=True, **options)


def softmax_step(input: Tensor, dim: int, half_to_float: bool = False) -> Tensor:
    """Softmax along an axis."""
    return softmax(input, dim)


def log_softmax_step(input: Tensor, dim: int, half_to_float: bool = False) -> Tensor:
    """Logarithm of softmax along an axis."""
    return log_softmax(input, dim)


def softmax_backward(
    grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any = None
) -> Tensor:
    """The gradient of softmax, from its output."""
    product = grad_output * output
    made = product - output * product.sum(dim, keepdim=True)
    return made if input_dtype is None else made.to(input_dtype)


def reversed_sub(input: Tensor, other: Any, alpha: Any = 1) -> Tensor:
    """`other - alpha * input`."""
    return other - (input if alpha == 1 else input * alpha)


def layer_norm_step(
    input: Any, normalized_shape: Sequence[int], weight: Any, bias: Any, eps: float
) -> tuple[Any, Any, Any]:
    """Layer norm with the mean and the reciprocal of the deviation, axes kept."""
    axes = tuple(range(input.dim() - len(normalized_shape), input.dim()))
    mean = input.mean(axes, keepdim=True)
    scale = (input.var(axes, correction=0, keepdim=True) + eps).rsqrt()
    return layer_norm(input, list(normalized_shape), weight, bias, eps), mean, scale


def convolution_step(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Tensor:  # fmt: skip
    """Convolution over one to three axes, transposed if so said."""
    axes = len(stride)
    if transposed:
        turned = (conv_transpose1d, conv_transpose2d, conv_transpose3d)[axes - 1]
        return turned(input, weight, bias, stride, padding, output_padding, groups, dilation)
    plain = (conv1d, conv2d, conv3d)[axes - 1]
    return plain(input, weight, bias, stride, padding, dilation, groups)


def size_of(input: Tensor, dim: int | None = None) -> Any:
    """Its shape, or the length of an axis."""
    return input.shape if dim is None else input.shape[dim]


def stride_of(input: Tensor, dim: int | None = None) -> Any:
    """Its strides, or that of an axis."""
    return input.stride() if dim is None else input.stride(dim)


def copied(name: str) -> Callable[..., Any]:
    """The operator whose result is what a view would show, in memory of its own."""

    def copy(*args: Any, **kwargs: Any) -> Any:
        made = getattr(Tensor, name)(*args, **kwargs)
        return made.clone() if isinstance(made, Tensor) else tuple(one.clone() for one in made)

    return copy


STEPS: dict[str, Callable[..., Any]] = {
    "index": index,
    "slice": slice_along,
    "alias": same,
    "lift_fresh": same,
    "_unsafe_view": reshaped,
    "_reshape_alias": reshaped,
    "_to_copy": to_copy,
    "_softmax": softmax_step,
    "_log_softmax": log_softmax_step,
    "_softmax_backward_data": softmax_backward,
    "_local_scalar_dense": Tensor.item,
    "rsub": reversed_sub,
    "convolution": convolution_step,
    "native_layer_norm": layer_norm_step,
    "sym_size": size_of,
    "sym_stride": stride_of,
    "sym_numel": Tensor.numel,
} | {
    f"{name}_copy": copied(name)
    for name in ("view", "unsqueeze", "squeeze", "transpose", "permute", "expand", "select", "t")
}
