"""Convolution and transposed convolution in one, two and three dimensions.  Level 11.

Both are the primitive `convolution`; the transposed one spreads its input with zeros and flips the
kernel.  Shapes: input (N, C, *spatial) or unbatched (C, *spatial).
"""

from __future__ import annotations

from rushlight.base.dtypes import HALVES, float32
from rushlight.base.formats import channels_last
from rushlight.ops.formats import as_picture, row_major, suggested_format
from rushlight.ops.promotion import check_tensor
from rushlight.ops.spelling import spelled
from rushlight.primitives.contraction import convolution as convolution_primitive
from rushlight.primitives.contraction import unrounded_convolution
from rushlight.primitives.elementwise import add, cast
from rushlight.primitives.movement import permute, reshape
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor
from rushlight.vjp.contraction import flip_spatial, swap_channels

_TYPE = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "int64": "long int", "int32": "int", "int16": "short int", "int8": "signed char",
    "uint8": "unsigned char", "bool": "bool", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip


def per_axis(name: str, value, rank: int) -> tuple[int, ...]:
    """One number for each spatial axis.  Raises: RuntimeError for a wrong count."""
    if isinstance(value, (tuple, list)):
        if len(value) == 1:
            return (int(value[0]),) * rank
        if len(value) != rank:
            raise RuntimeError(
                f"expected {name} to be a single integer value or a list of {rank} values to match "
                f"the convolution dimensions, but got {name}={list(value)}"
            )
        return tuple([int(v) for v in value])
    return (int(value),) * rank


def _check_operands(name: str, input, weight, bias, rank: int, *, transposed: bool) -> None:
    check_tensor(name, input)
    check_tensor(name, weight, "weight")
    shape = input._node.shape
    if len(shape) not in (rank + 1, rank + 2):
        raise RuntimeError(
            f"Expected {rank + 1}D (unbatched) or {rank + 2}D (batched) input to {name}, but got "
            f"input of size: {list(shape)}"
        )
    if len(weight._node.shape) != rank + 2:
        raise RuntimeError(
            f"weight should have {rank + 2} dimensions for {name}, but got weight of size: "
            f"{list(weight._node.shape)}"
        )
    if input._node.dtype is not weight._node.dtype:
        raise RuntimeError(
            f"Input type ({_TYPE[input._node.dtype.name]}) and weight type "
            f"({_TYPE[weight._node.dtype.name]}) should be the same; convert one with .to(dtype)"
        )
    if bias is not None:
        if bias._node.dtype is not input._node.dtype:
            raise RuntimeError(
                f"Input type ({_TYPE[input._node.dtype.name]}) and bias type "
                f"({_TYPE[bias._node.dtype.name]}) should be the same"
            )


def _check_numbers(stride, dilation, groups: int) -> None:
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if any(s <= 0 for s in stride):
        raise RuntimeError("non-positive stride is not supported")
    if any(d <= 0 for d in dilation):
        raise RuntimeError("dilation should be greater than zero")


def _check_channels(x, w, groups: int) -> None:
    outputs, inner, *kernel = w
    if any(k == 0 for k in kernel):
        raise RuntimeError(f"kernel size should be greater than zero, but got shape: {kernel}")
    if outputs < groups or outputs % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0 and "
            f"divisible by it, but got weight of size {list(w)} instead"
        )
    if x[1] != inner * groups:
        raise RuntimeError(
            f"Given groups={groups}, weight of size {list(w)}, expected input{list(x)} to have "
            f"{inner * groups} channels, but got {x[1]} channels instead"
        )


def _check_bias(bias, outputs: int, w) -> None:
    if bias is not None and bias._node.shape != (outputs,):
        raise RuntimeError(
            f"Given weight of size {list(w)}, expected bias to be 1-dimensional with {outputs} "
            f"elements, but got bias of size {list(bias._node.shape)} instead"
        )


def _same_padding(kernel, stride, dilation) -> tuple[tuple[int, int], ...]:
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    found = []
    for k, d in zip(kernel, dilation):
        total = d * (k - 1)
        found.append((total // 2, total - total // 2))
    return tuple(found)


def _padding(padding, kernel, stride, dilation, rank: int):
    if isinstance(padding, str):
        if padding == "same":
            return _same_padding(kernel, stride, dilation)
        if padding == "valid":
            return ((0, 0),) * rank
        raise RuntimeError(f"Invalid padding string: {padding!r}; it must be 'same' or 'valid'")
    amounts = per_axis("padding", padding, rank)
    if any(a < 0 for a in amounts):
        raise RuntimeError("negative padding is not supported")
    return tuple([(a, a) for a in amounts])


def _check_fits(sizes, kernel, padding, dilation) -> None:
    spread = [n + low + high for n, (low, high) in zip(sizes, padding)]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
    if any(n < r for n, r in zip(spread, reach)):
        given, needed = " x ".join(map(str, spread)), " x ".join(map(str, reach))
        raise RuntimeError(
            f"Calculated padded input size per channel: ({given}). Kernel size: ({needed}). "
            "Kernel size can't be greater than actual input size"
        )


def _finish(found: Tensor, bias, batched: bool, rank: int, dtype=None) -> Tensor:
    """Adds the bias; dtype: what the sum is rounded to, if `found` is not rounded yet."""
    if bias is not None:
        found = add(found, reshape(bias, (1, bias._node.shape[0]) + (1,) * rank))
        found = found if dtype is None else cast(found, dtype)
        named(found, "ConvolutionBackward0")
    if batched:
        return found
    return named(reshape(found, found._node.shape[1:]), "SqueezeBackward1")


def _convolve(name, rank, input, weight, bias, stride, padding, dilation, groups) -> Tensor:
    _check_operands(name, input, weight, bias, rank, transposed=False)
    batched = len(input._node.shape) == rank + 2
    x = input if batched else reshape(input, (1, *input._node.shape))
    kernel = weight._node.shape[2:]
    stride = per_axis("stride", stride, rank)
    dilation = per_axis("dilation", dilation, rank)
    _check_numbers(stride, dilation, groups)
    pads = _padding(padding, kernel, stride, dilation, rank)
    _check_channels(x._node.shape, weight._node.shape, groups)
    _check_bias(bias, weight._node.shape[0], weight._node.shape)
    _check_fits(x._node.shape[2:], kernel, pads, dilation)
    params = (stride, pads, (1,) * rank, dilation, groups)
    dtype = x._node.dtype
    # Sums are float32; with a bias 16-bit floats are rounded only after it.
    if bias is None or dtype not in HALVES:
        return _finish(convolution_primitive(x, weight, *params), bias, batched, rank)
    sums = unrounded_convolution(x, weight, *params)
    return _finish(sums, cast(bias, float32), batched, rank, dtype)


def _transposed(
    name, rank, input, weight, bias, stride, padding, output_padding, groups, dilation
) -> Tensor:
    _check_operands(name, input, weight, bias, rank, transposed=True)
    batched = len(input._node.shape) == rank + 2
    x = input if batched else reshape(input, (1, *input._node.shape))
    inputs, per_group, *kernel = weight._node.shape
    stride = per_axis("stride", stride, rank)
    dilation = per_axis("dilation", dilation, rank)
    padding = per_axis("padding", padding, rank)
    extra = per_axis("output_padding", output_padding, rank)
    _check_numbers(stride, dilation, groups)
    if any(a < 0 for a in padding):
        raise RuntimeError("negative padding is not supported")
    if inputs % groups or x._node.shape[1] != inputs:
        raise RuntimeError(
            f"Given transposed=1, weight of size {list(weight._node.shape)}, expected input"
            f"{list(x._node.shape)} to have {inputs} channels, but got {x._node.shape[1]} channels "
            "instead"
        )
    _check_bias(bias, per_group * groups, weight._node.shape)
    for e, s, d in zip(extra, stride, dilation):
        if e < 0 or (e >= s and e >= d):
            raise RuntimeError(
                "output padding must be smaller than either stride or dilation, but got "
                f"output_padding: {list(extra)} stride: {list(stride)} dilation: {list(dilation)}"
            )
    pads = []
    for n, k, s, d, a, e in zip(x._node.shape[2:], kernel, stride, dilation, padding, extra):
        reach = d * (k - 1)
        pads.append((reach - a, reach - a + e))
        size = (n - 1) * s - 2 * a + reach + e + 1
        if size <= 0:
            raise RuntimeError(
                f"Given input size per channel: {list(x._node.shape[2:])}. Calculated output size "
                f"per channel has {size}. Output size is too small"
            )
    flipped = swap_channels(flip_spatial(weight), groups)
    found = convolution_primitive(x, flipped, (1,) * rank, tuple(pads), stride, dilation, groups)
    if rank == 2 and suggested_format(weight) is channels_last:
        found = as_picture(found, weight)
    else:
        found = as_picture(found, x) if rank == 2 else row_major(found)
    return _finish(found, bias, batched, rank)


def _define_conv(rank: int):
    name = f"conv{rank}d"

    def conv(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1) -> Tensor:
        return _convolve(name, rank, input, weight, bias, stride, padding, dilation, groups)

    conv.__name__ = conv.__qualname__ = name
    conv.__doc__ = (
        f"Cross-correlation over {rank} spatial axes.  Shapes: weight (O, C / groups, *kernel).\n\n"
        f"    padding: amounts, 'valid' or 'same'.  Raises: RuntimeError.  Source: torch.{name}.\n"
    )
    return spelled()(conv)


def _define_transposed(rank: int):
    name = f"conv_transpose{rank}d"

    def conv_transpose(
        input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
    ) -> Tensor:
        return _transposed(
            name, rank, input, weight, bias, stride, padding, output_padding, groups, dilation
        )

    conv_transpose.__name__ = conv_transpose.__qualname__ = name
    conv_transpose.__doc__ = (
        f"The adjoint of conv{rank}d.  Shapes: weight (C, O / groups, *kernel).  Raises: "
        f"RuntimeError.  Source: torch.{name}."
    )
    return spelled()(conv_transpose)


conv1d = _define_conv(1)
conv2d = _define_conv(2)
conv3d = _define_conv(3)
conv_transpose1d = _define_transposed(1)
conv_transpose2d = _define_transposed(2)
conv_transpose3d = _define_transposed(3)


@spelled()
def convolution(
    input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
) -> Tensor:
    """Any convolution, the rank given by the weight.  Source: torch.convolution."""
    check_tensor("convolution", weight, "weight")
    rank = len(weight._node.shape) - 2
    if not 1 <= rank <= 3:
        raise RuntimeError(f"convolution: weight should have 3 to 5 dimensions, got {rank + 2}")
    if transposed:
        return _transposed(
            "convolution", rank, input, weight, bias, stride, padding, output_padding, groups,
            dilation,
        )  # fmt: skip
    return _convolve(
        "convolution", rank, input, weight, bias, stride, tuple(padding), dilation, groups
    )


@spelled()
def conv_tbc(input, weight, bias, pad=0) -> Tensor:
    """1-d convolution of (time, batch, channels).  Shapes: weight (kernel, C, O).

    Source: torch.conv_tbc.
    """
    check_tensor("conv_tbc", input)
    found = conv1d(permute(input, (1, 2, 0)), permute(weight, (2, 1, 0)), bias, 1, pad)
    return permute(found, (2, 0, 1))
