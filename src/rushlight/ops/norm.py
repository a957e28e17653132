"""Normalisation of `nn.functional`: batch, layer, group, instance, rms, local response.  Level 11.

16-bit inputs are normalised in float32 and rounded once at the end, as PyTorch does.
"""

from __future__ import annotations

from rushlight.base.hot import hot
from rushlight.base.shapes import numel, wrap_axes
from rushlight.ops.arithmetic import add, mul, pow, true_divide
from rushlight.ops.formats import as_picture, row_major
from rushlight.ops.promotion import check_tensor, constant, to_dtype, widened
from rushlight.ops.spelling import spelled
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as mv
from rushlight.primitives.contraction import convolution
from rushlight.primitives.reduction import reduce_sum
from rushlight.tensor.block_call import replayed
from rushlight.tensor.graph import named
from rushlight.tensor.storage import write
from rushlight.tensor.tensor import Tensor


def _standardised(x: Tensor, axes: tuple[int, ...], eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """((x - mean) / sqrt(var + eps), mean, biased var), statistics with kept axes."""
    centered, mean, var = _moments(x, axes)
    return p.mul(centered, p.rsqrt(p.add(var, var._scalar(eps)))), mean, var


def _standardised_rows(x: Tensor, axes: tuple[int, ...], eps: float) -> Tensor:
    """(x - mean) / sqrt(var + eps) over the last axes; NaN, as in PyTorch, where the variance
    overflows, which would give zeros.

    Scaling such a row first would give it its values, at the price of one more maximum and product
    for every element; this takes one operation for each row.
    """
    centered, _, var = _moments(x, axes)
    known = constant(var)
    unknown = p.sub(known, known)  # 0, or NaN for an infinity
    return p.mul(centered, p.add(p.rsqrt(p.add(var, var._scalar(eps))), unknown))


def _moments(x: Tensor, axes: tuple[int, ...]) -> tuple[Tensor, Tensor, Tensor]:
    """(x - mean, mean, biased var), statistics with kept axes."""
    count = x._scalar(_count(x, axes))
    mean = p.div(reduce_sum(x, axes, True), count)
    centered = p.sub(x, mean)
    return centered, mean, p.div(reduce_sum(p.mul(centered, centered), axes, True), count)


def _count(x: Tensor, axes: tuple[int, ...]) -> int:
    count = 1
    for axis in axes:
        count *= x._node.shape[axis]
    return count


def _affine(x: Tensor, weight, bias, shape: tuple[int, ...] | None = None) -> Tensor:
    """x * weight + bias, each reshaped to `shape` so that it broadcasts."""
    if weight is not None:
        weight = to_dtype(weight, x._node.dtype)
        x = p.mul(x, weight if shape is None else mv.reshape(weight, shape))
    if bias is not None:
        bias = to_dtype(bias, x._node.dtype)
        x = p.add(x, bias if shape is None else mv.reshape(bias, shape))
    return x


@hot
def _require_inexact(name: str, x) -> None:
    check_tensor(name, x)
    if not x._node.dtype.is_floating_point:
        raise NotImplementedError(f"\"{name}\" not implemented for '{x._node.dtype.name}'")


# ---- over the last axes --------------------------------------------------------------------------


@hot
def layer_norm(input, normalized_shape, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit variance over the last axes.

    Shapes: input (..., *normalized_shape); weight and bias normalized_shape.
    Raises: RuntimeError if they do not fit.  Source: torch.nn.functional.layer_norm.
    """
    _require_inexact("LayerNormKernelImpl", input)
    shape = input._node.shape
    if (
        normalized_shape
        and normalized_shape.__class__ is tuple
        and normalized_shape == shape[-1:]
        and (weight is None or weight._node.shape == normalized_shape)
        and (bias is None or bias._node.shape == normalized_shape)
    ):
        axes: tuple = (len(shape) - 1,)
    else:
        axes = _last_axes(input, normalized_shape, (("weight", weight), ("bias", bias)))
    return _layer_norm(input, weight, bias, axes, eps)


@replayed
def _layer_norm(input, weight, bias, axes: tuple[int, ...], eps: float) -> Tensor:
    found = _affine(_standardised_rows(widened(input), axes, eps), weight, bias)
    return named(row_major(to_dtype(found, input._node.dtype)), "NativeLayerNormBackward0")


def _last_axes(x: Tensor, normalized_shape, parameters) -> tuple[int, ...]:
    if isinstance(normalized_shape, int):
        normalized_shape = (normalized_shape,)
    wanted = tuple(normalized_shape)
    rank, count = x.ndim, len(wanted)
    if count < 1:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {list(wanted)}"
        )
    for label, value in parameters:
        if value is not None and tuple(value._node.shape) != wanted:
            raise RuntimeError(
                f"Expected {label} to be of same shape as normalized_shape, but got {label} of "
                f"shape {list(value._node.shape)} and normalized_shape = {list(wanted)}"
            )
    if rank < count or tuple(x._node.shape[rank - count :]) != wanted:
        raise RuntimeError(
            f"Given normalized_shape={list(wanted)}, expected input with shape "
            f"[*, {', '.join(map(str, wanted))}], but got input of size{list(x._node.shape)}"
        )
    return tuple(range(rank - count, rank))


def rms_norm(input, normalized_shape, weight=None, eps: float | None = None) -> Tensor:
    """Division by the root mean square over the last axes.

    eps: the dtype's machine epsilon unless given.  Source: torch.nn.functional.rms_norm.
    """
    check_tensor("rms_norm", input)
    axes = _last_axes(input, normalized_shape, (("weight", weight),))
    return _rms_norm(input, weight, axes, eps)


@replayed
def _rms_norm(input, weight, axes: tuple[int, ...], eps: float | None) -> Tensor:
    x = widened(input)
    if eps is None:
        eps = _EPSILONS[x._node.dtype.to_real().name]
    square = p.mul(x, x)
    mean = p.div(reduce_sum(square, axes, True), square._scalar(_count(x, axes)))
    found = p.mul(x, p.rsqrt(p.add(mean, mean._scalar(eps))))
    return row_major(to_dtype(_affine(found, weight, None), input._node.dtype))


_EPSILONS = {"float32": 2.0**-23, "float64": 2.0**-52}


# ---- over batch and space ------------------------------------------------------------------------


def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training: bool = False,
    momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Zero mean and unit variance for each channel (axis 1).

    training: use the batch's statistics, and move the running ones towards them in place.
    Raises: ValueError in training for one value for each channel and for an eps that is not
    positive, RuntimeError for wrong sizes.  Source: torch.nn.functional.batch_norm.
    """
    if training and eps <= 0.0:
        raise ValueError(f"batch_norm eps must be positive during training, but got {eps}")
    return normed_batch(input, running_mean, running_var, weight, bias, training, momentum, eps)


def normed_batch(
    input, running_mean, running_var, weight, bias, training: bool, momentum: float, eps: float
) -> Tensor:
    """`batch_norm` without its check of eps."""
    _require_inexact("batch_norm", input)
    shape = input._node.shape
    if numel(shape) == 0:
        return mv.copy(input)
    if len(shape) < 2:
        raise RuntimeError(f"batch_norm: expected at least 2D input, got shape {list(shape)}")
    channels = shape[1]
    for label, value in (("running_mean", running_mean), ("running_var", running_var),
                         ("weight", weight), ("bias", bias)):  # fmt: skip
        if value is not None and numel(value._node.shape) != channels:
            raise RuntimeError(
                f"{label} should contain {channels} elements not {numel(value._node.shape)}"
            )
    along = (1, channels, *(1,) * (len(shape) - 2))
    x = widened(input)
    if training:
        if numel(shape) == channels:
            raise ValueError(
                "Expected more than 1 value per channel when training, got input size "
                f"torch.Size({list(shape)})"
            )
        found = _batch_statistics(x, running_mean, running_var, momentum, eps)
    else:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when training=False"
            )
        mean = mv.reshape(to_dtype(running_mean, x._node.dtype), along)
        var = mv.reshape(to_dtype(running_var, x._node.dtype), along)
        found = p.mul(p.sub(x, mean), p.rsqrt(p.add(var, var._scalar(eps))))
    found = to_dtype(_affine(found, weight, bias, along), input._node.dtype)
    return named(as_picture(found, input), "NativeBatchNormBackward0")


def _batch_statistics(x: Tensor, running_mean, running_var, momentum: float, eps: float) -> Tensor:
    axes = (0, *range(2, x.ndim))
    found, mean, var = _standardised(x, axes, eps)
    if numel(x._node.shape) == 0:
        return found  # an empty batch has no statistics to learn from
    if running_mean is not None:
        _move_towards(running_mean, mean, momentum, 1.0)
    if running_var is not None:
        count = _count(x, axes)
        _move_towards(running_var, var, momentum, count / (count - 1))
    return found


def _move_towards(running: Tensor, batch: Tensor, momentum: float, factor: float) -> None:
    """running <- (1 - momentum) * running + momentum * factor * batch, in place."""
    batch = to_dtype(constant(mv.reshape(batch, running._node.shape)), running._node.dtype)
    kept = p.mul(constant(running), running._scalar(1 - momentum))
    write(running, p.add(kept, p.mul(batch, batch._scalar(momentum * factor))))


def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Zero mean and unit variance for each channel of each sample.

    Raises: ValueError where one sample has one value for each channel.
    Source: torch.nn.functional.instance_norm.
    """
    _require_inexact("instance_norm", input)
    shape = input._node.shape
    if len(shape) < 2:
        raise RuntimeError(f"instance_norm: expected at least 2D input, got {list(shape)}")
    along = (1, shape[1], *(1,) * (len(shape) - 2))
    if not use_input_stats:
        if running_mean is None or running_var is None:
            raise RuntimeError(
                "Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    axes = tuple(range(2, len(shape)))
    x = widened(input)
    count = _count(x, axes)
    if count == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    found, mean, var = _standardised(x, axes, eps)
    for running, batch, factor in (
        (running_mean, mean, 1.0), (running_var, var, count / max(count - 1, 1)),
    ):  # fmt: skip
        if running is not None:
            samples = p.div(reduce_sum(constant(batch), (0,), True), batch._scalar(shape[0]))
            _move_towards(running, samples, momentum, factor)
    return row_major(to_dtype(_affine(found, weight, bias, along), input._node.dtype))


def group_norm(input, num_groups: int, weight=None, bias=None, eps: float = 1e-5) -> Tensor:
    """Zero mean and unit variance for each group of channels of each sample.

    Raises: RuntimeError if the groups do not divide the channels.
    Source: torch.nn.functional.group_norm.
    """
    _require_inexact("group_norm", input)
    shape = input._node.shape
    if len(shape) < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {len(shape)}"
        )
    channels = shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(shape)} and num_groups={num_groups}"
        )
    for label, value in (("weight", weight), ("bias", bias)):
        if value is not None and value._node.shape != (channels,):
            raise RuntimeError(
                f"Expected {label} to be a vector of size equal to the number of channels in "
                f"input, but got {label} of shape {list(value._node.shape)} and input of shape "
                f"{list(shape)}"
            )
    return _group_norm(input, weight, bias, num_groups, eps)


@replayed
def _group_norm(input, weight, bias, num_groups: int, eps: float) -> Tensor:
    shape = input._node.shape
    batch, channels = shape[:2]
    x = widened(input)
    size = numel(shape[2:]) * (channels // num_groups)
    grouped = mv.reshape(x, (batch, num_groups, size))
    found = mv.reshape(_standardised_rows(grouped, (2,), eps), shape)
    found = _affine(found, weight, bias, (1, channels, *(1,) * (len(shape) - 2)))
    found = as_picture(to_dtype(found, input._node.dtype), input)
    return named(found, "NativeGroupNormBackward0")


# ---- across channels -----------------------------------------------------------------------------


def local_response_norm(
    input, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Tensor:
    """x / (k + alpha * mean of squares over `size` neighbouring channels) ** beta.

    Source: Krizhevsky et al. 2012; torch.nn.functional.local_response_norm.
    """
    check_tensor("local_response_norm", input)
    shape = input._node.shape
    if len(shape) < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input (got "
            f"{len(shape)} dimensions)"
        )
    if numel(shape) == 0:
        return input
    batch, channels, *rest = shape
    lines = mv.reshape(p.mul(input, input), (batch, 1, channels, numel(rest)))
    kernel = mv.expand(input._scalar(1.0), (1, 1, size, 1))
    pads = ((size // 2, (size - 1) // 2), (0, 0))
    sums = convolution(lines, kernel, (1, 1), pads, (1, 1), (1, 1), 1)
    sums = mv.reshape(sums, shape)
    whole = not sums._node.dtype.is_inexact  # integers average in integers
    mean = p.floor_divide(sums, sums._scalar(size)) if whole else p.div(sums, sums._scalar(size))
    return true_divide(input, pow(add(mul(mean, alpha), k), beta))


def normalize(input, p: float = 2.0, dim=1, eps: float = 1e-12, out=None) -> Tensor:  # noqa: A002
    """input / max(p-norm along dim, eps).  Source: torch.nn.functional.normalize."""
    check_tensor("normalize", input)
    wrap_axes(dim, input.ndim)
    size = input.norm(p, dim, keepdim=True).clamp_min(eps)
    found = input / size
    return found if out is None else out.copy_(found)


# ---- with their statistics -----------------------------------------------------------------------


def _statistics_dtype(input, parameter):
    """That of the parameters: float32 beside an input of half precision only if they are."""
    return input._node.dtype if parameter is None else parameter._node.dtype


@spelled()
def native_layer_norm(input, normalized_shape, weight, bias, eps: float):
    """(layer_norm, mean, 1 / deviation), the statistics with axes of size 1."""
    _require_inexact("LayerNormKernelImpl", input)
    axes = _last_axes(input, normalized_shape, (("weight", weight), ("bias", bias)))
    found, mean, var = _standardised(widened(input), axes, eps)
    deviation = p.rsqrt(p.add(var, var._scalar(eps)))
    found = row_major(to_dtype(_affine(found, weight, bias), input._node.dtype))
    kept = _statistics_dtype(input, weight)
    return found, to_dtype(mean, kept), to_dtype(deviation, kept)


@spelled()
def native_group_norm(input, weight, bias, N, C, HxW, group, eps: float):  # noqa: N803
    """(group_norm, mean, 1 / deviation), the statistics of shape (N, group)."""
    _require_inexact("GroupNormKernelImpl", input)
    grouped = mv.reshape(widened(input), (N, group, (C // group) * HxW))
    _, mean, var = _standardised(grouped, (2,), eps)
    deviation = p.rsqrt(p.add(var, var._scalar(eps)))
    shape = (N, group)
    found = group_norm(input, group, weight, bias, eps)
    kept = _statistics_dtype(input, weight)
    mean, deviation = to_dtype(mean, kept), to_dtype(deviation, kept)
    return found, mv.reshape(mean, shape), mv.reshape(deviation, shape)


@spelled()
def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """(batch_norm, mean, 1 / deviation); the statistics are empty outside training."""
    found = normed_batch(input, running_mean, running_var, weight, bias, training, momentum, eps)
    if not training:
        return found, input.new_zeros((0,)), input.new_zeros((0,))
    _, mean, var = _standardised(widened(input), (0, *range(2, input.ndim)), eps)
    channels = (input._node.shape[1],)
    deviation = p.rsqrt(p.add(var, var._scalar(eps)))
    kept = _statistics_dtype(input, weight if running_mean is None else running_mean)
    mean, deviation = to_dtype(mean, kept), to_dtype(deviation, kept)
    return found, mv.reshape(mean, channels), mv.reshape(deviation, channels)
