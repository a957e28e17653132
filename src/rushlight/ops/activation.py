"""Activations of `nn.functional`, written in primitives.  Level 11.

`inplace=True` writes the result into the input, as PyTorch does.
"""

from __future__ import annotations

import functools
import math

from rushlight.base.dtypes import bool_
from rushlight.base.hot import hot
from rushlight.base.shapes import wrap_axis
from rushlight.ops.arithmetic import add, true_divide
from rushlight.ops.formats import row_major
from rushlight.ops.pointwise import abs as absolute
from rushlight.ops.pointwise import neg
from rushlight.ops.promotion import check_tensor, constant, to_dtype, widened
from rushlight.ops.random_fill import leak_slopes
from rushlight.ops.shaping import narrow
from rushlight.ops.spelling import PUBLIC, in_place, spelled
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as mv
from rushlight.primitives.indexing import scatter
from rushlight.primitives.reduction import argmax, reduce_max, reduce_sum
from rushlight.tensor.apply import apply1
from rushlight.tensor.block_call import replayed
from rushlight.tensor.graph import named
from rushlight.tensor.tensor import Tensor


def activation(*, inexact: bool = True, top: bool = False):
    """Decorator: check the operand and add `inplace=`.

    inexact: whether integers are refused, as PyTorch refuses them.
    top: whether the function also exists as `rushlight.name`, with `name_`.
    """

    def attach(function):
        name = function.__name__
        positional = function.__code__.co_argcount - 1

        @functools.wraps(function)
        def compute(input, *args, inplace=False, **kwargs):
            check_tensor(name, input)
            if len(args) > positional:  # PyTorch's `inplace` is the last positional argument
                *args, inplace = args
            if inexact and not input._node.dtype.is_inexact:
                raise NotImplementedError(
                    f"\"{name}\" not implemented for '{input._node.dtype.name}': the input must be "
                    "floating"
                )
            if inplace:
                return write_in_place(input, *args, **kwargs)
            return function(input, *args, **kwargs)

        write_in_place = in_place(function, f"{name}_")
        compute.in_place = write_in_place
        if top:
            PUBLIC[name] = compute
            PUBLIC[f"{name}_"] = write_in_place
        return compute

    return attach


def _zero(x: Tensor) -> Tensor:
    return x._scalar(0.0)


def _times(x: Tensor, factor) -> Tensor:
    return p.mul(x, x._scalar(factor))


# ---- rectifiers ----------------------------------------------------------------------------------


@hot
def relu(input, inplace: bool = False) -> Tensor:
    """max(input, 0), keeping NaN.  Source: torch.nn.functional.relu."""
    if inplace:
        return input.relu_()
    if input._node.dtype is bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    return apply1(p.relu, input)


@activation(inexact=False)
def relu6(input) -> Tensor:
    """min(max(input, 0), 6).  Source: torch.nn.functional.relu6."""
    return named(_clamped(input, 0, 6), "HardtanhBackward0")


def _clamped(x: Tensor, low, high) -> Tensor:
    """clamp whose gradient at the bounds is 0, as hardtanh's."""
    low, high = x._scalar(low), x._scalar(high)
    return p.where(p.le(x, low), low, p.where(p.ge(x, high), high, x))


@activation(inexact=False)
def hardtanh(input, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """input clamped to [min_val, max_val].  Source: torch.nn.functional.hardtanh."""
    dtype = input._node.dtype
    if dtype is bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if not dtype.is_signed and (min_val < 0 or max_val < 0):
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    if not dtype.is_inexact:
        min_val, max_val = int(min_val), int(max_val)
    return named(_clamped(input, min_val, max_val), "HardtanhBackward0")


@activation()
def leaky_relu(input, negative_slope: float = 0.01) -> Tensor:
    """input where positive, else negative_slope * input.

    Source: torch.nn.functional.leaky_relu.
    """
    x = widened(input)
    found = p.where(p.gt(x, _zero(x)), x, _times(x, negative_slope))
    return named(to_dtype(found, input._node.dtype), "LeakyReluBackward0")


def prelu(input, weight) -> Tensor:
    """leaky_relu with a learned slope: one, or one for each channel (axis 1).

    Raises: RuntimeError if the number of slopes fits neither.  Source: torch.prelu.
    """
    check_tensor("prelu", input)
    count = weight._node.shape[0] if weight._node.shape else 1
    rank = input.ndim
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    if input._node.dtype is not weight._node.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input._node.dtype} and {weight._node.dtype}"
        )
    if count != 1:
        if rank == 0:
            raise RuntimeError("prelu: Not allow zero-dim input tensor.")
        channels = input._node.shape[1] if rank > 1 else 1
        if channels != count:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{count} and channel size = {channels}."
            )
        weight = mv.reshape(weight, (1, count) + (1,) * (rank - 2))
    elif weight._node.shape:
        weight = mv.reshape(weight, ())
    found = p.where(p.gt(input, _zero(input)), input, p.mul(weight, input))
    return named(found, "PreluKernelBackward0")


spelled(method=True)(prelu)


@activation(top=True)
def rrelu(input, lower: float = 1 / 8, upper: float = 1 / 3, training: bool = False,
          *, generator=None) -> Tensor:  # fmt: skip
    """leaky_relu with a slope drawn for each element in training, else the mean slope.

    Source: torch.nn.functional.rrelu.
    """
    if lower > upper:
        raise RuntimeError(f"lower bound should be less than upper bound: {lower} > {upper}")
    if not training:
        found = p.where(p.gt(input, _zero(input)), input, _times(input, (lower + upper) / 2))
        return named(found, "LeakyReluBackward0")
    slopes = leak_slopes(input, lower, upper, generator)
    found = to_dtype(p.mul(to_dtype(input, slopes._node.dtype), slopes), input._node.dtype)
    return named(found, "RreluWithNoiseBackward0")


@activation()
def elu(input, alpha: float = 1.0) -> Tensor:
    """input where positive, else alpha * (exp(input) - 1).  Source: torch.nn.functional.elu."""
    return _exponential_tail(input, alpha, 1.0, 1.0)


def _exponential_tail(input, alpha: float, scale: float, input_scale: float) -> Tensor:
    """scale * x above 0, scale * alpha * (exp(input_scale * x) - 1) below."""
    x = widened(input)
    zero = _zero(x)
    tail = p.le(x, zero)
    # The positive side must not reach exp: its infinite derivative times 0 would be NaN.
    below = p.where(tail, x, zero)
    if input_scale != 1.0:
        below = _times(below, input_scale)
    above = x if scale == 1.0 else _times(x, scale)
    found = p.where(tail, _times(p.expm1(below), alpha * scale), above)
    return named(to_dtype(found, input._node.dtype), "EluBackward0")


_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@activation(top=True)
def selu(input) -> Tensor:
    """The self-normalising elu.  Source: Klambauer et al. 2017; torch.nn.functional.selu."""
    return _exponential_tail(input, _SELU_ALPHA, _SELU_SCALE, 1.0)


@activation(top=True)
def celu(input, alpha: float = 1.0) -> Tensor:
    """input where positive, else alpha * (exp(input / alpha) - 1).  Source: torch.celu."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return named(_exponential_tail(input, alpha, 1.0, 1 / alpha), "CeluBackward0")


@activation(inexact=False)
def threshold(input, threshold: float, value: float) -> Tensor:
    """input where above `threshold`, else `value`.  Source: torch.nn.functional.threshold."""
    if input._node.dtype is bool_:
        raise NotImplementedError("\"threshold_cpu\" not implemented for 'Bool'")
    found = p.where(p.le(input, input._scalar(threshold)), input._scalar(value), input)
    return named(found, "ThresholdBackward0")


PUBLIC["threshold"] = threshold
PUBLIC["threshold_"] = threshold.in_place


# ---- smooth ones ---------------------------------------------------------------------------------


@hot
def gelu(input, approximate: str = "none") -> Tensor:
    """x times the normal distribution function of x, or its tanh approximation.

    Raises: RuntimeError for another `approximate`.  Source: torch.nn.functional.gelu.
    """
    check_tensor("gelu", input)
    if not input._node.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"GeluKernelImpl\" not implemented for '{input._node.dtype.name}'"
        )
    if approximate not in ("none", "tanh"):
        raise RuntimeError(
            f"approximate argument must be either none or tanh, got {approximate!r}."
        )
    return _gelu(input, approximate)


@replayed
def _gelu(input, approximate: str) -> Tensor:
    x = widened(input)
    half = _times(x, 0.5)
    if approximate == "none":
        found = p.mul(half, _one_plus(p.erf(_times(x, math.sqrt(0.5)))))
    else:
        cube = p.mul(p.mul(x, x), x)
        inner = _times(p.add(x, _times(cube, 0.044715)), math.sqrt(2 / math.pi))
        found = p.mul(half, _one_plus(p.tanh(inner)))
    return named(to_dtype(found, input._node.dtype), "GeluBackward0")


def _one_plus(x: Tensor) -> Tensor:
    return p.add(x, x._scalar(1.0))


@activation()
def silu(input) -> Tensor:
    """x * sigmoid(x).  Source: torch.nn.functional.silu."""
    x = widened(input)
    return named(to_dtype(p.mul(x, p.sigmoid(x)), input._node.dtype), "SiluBackward0")


@activation()
def mish(input) -> Tensor:
    """x * tanh(softplus(x)).  Source: torch.nn.functional.mish."""
    x = widened(input)
    found = p.mul(x, p.tanh(p.neg(logsigmoid(p.neg(x)))))
    return named(to_dtype(found, input._node.dtype), "MishBackward0")


def softplus(input, beta: float = 1, threshold: float = 20) -> Tensor:
    """log(1 + exp(beta * x)) / beta, and x itself above the threshold.

    Source: torch.nn.functional.softplus.
    """
    check_tensor("softplus", input)
    _refuse_integers("softplus", input)
    x = widened(input)  # exp overflows float16 below the threshold
    scaled = x if beta == 1 else _times(x, beta)
    beyond = p.gt(scaled, scaled._scalar(threshold))
    # log1p(exp(t)), with t cut where the result is not used, so that its derivative is finite.
    inner = p.where(beyond, _zero(scaled), scaled)
    found = p.log1p(p.exp(inner))
    if beta != 1:
        found = p.div(found, found._scalar(beta))
    found = to_dtype(p.where(beyond, x, found), input._node.dtype)
    return named(found, "SoftplusBackward0")


def _refuse_integers(name: str, x: Tensor) -> None:
    if not x._node.dtype.is_inexact:
        raise NotImplementedError(f"\"{name}\" not implemented for '{x._node.dtype.name}'")


def logsigmoid(input) -> Tensor:
    """log(sigmoid(input)) without overflow.  Source: torch.nn.functional.logsigmoid."""
    check_tensor("logsigmoid", input)
    _refuse_integers("log_sigmoid", input)
    x = widened(input)
    zero = _zero(x)
    negative = p.lt(x, zero)
    # min(x, 0) - log1p(exp(-|x|)), its derivative at 0 being 1/2 as that of log(sigmoid).
    magnitude = p.where(negative, x, p.neg(x))
    found = p.sub(p.where(negative, x, zero), p.log1p(p.exp(magnitude)))
    return named(to_dtype(found, input._node.dtype), "LogSigmoidBackward0")


def softsign(input) -> Tensor:
    """x / (1 + |x|).  Source: torch.nn.functional.softsign."""
    check_tensor("softsign", input)
    return true_divide(input, add(absolute(input), 1))


def tanhshrink(input) -> Tensor:
    """x - tanh(x).  Source: torch.nn.functional.tanhshrink."""
    check_tensor("tanhshrink", input)
    return input - input.tanh()


def softshrink(input, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd.  Source: torch.nn.functional.softshrink."""
    check_tensor("softshrink", input)
    _refuse_integers("softshrink_cpu", input)
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    bound = input._scalar(lambd)
    inner = p.where(p.lt(input, input._scalar(-lambd)), p.add(input, bound), _keep_nan(input))
    return named(p.where(p.gt(input, bound), p.sub(input, bound), inner), "SoftshrinkBackward0")


def _keep_nan(x: Tensor) -> Tensor:
    """0, or NaN where x is NaN."""
    return p.where(p.ne(x, x), x, _zero(x))


@spelled(method=True)
def hardshrink(input, lambd: float = 0.5) -> Tensor:
    """x outside [-lambd, lambd], else 0.  Source: torch.nn.functional.hardshrink."""
    check_tensor("hardshrink", input)
    _refuse_integers("hardshrink_cpu", input)
    inside = p.bitwise_and(p.ge(input, input._scalar(-lambd)), p.le(input, input._scalar(lambd)))
    return named(p.where(inside, _zero(input), input), "HardshrinkBackward0")


@activation()
def hardswish(input) -> Tensor:
    """x * relu6(x + 3) / 6.  Source: Howard et al. 2019; torch.nn.functional.hardswish."""
    x = widened(input)
    gate = _clamped(p.add(x, x._scalar(3.0)), 0.0, 6.0)
    found = _times(p.mul(x, gate), 1 / 6)
    return named(to_dtype(found, input._node.dtype), "HardswishBackward0")


@activation()
def hardsigmoid(input) -> Tensor:
    """relu6(x + 3) / 6.  Source: torch.nn.functional.hardsigmoid."""
    x = widened(input)
    found = _times(_clamped(p.add(x, x._scalar(3.0)), 0.0, 6.0), 1 / 6)
    return named(to_dtype(found, input._node.dtype), "HardsigmoidBackward0")


def tanh(input) -> Tensor:
    """Hyperbolic tangent.  Source: torch.nn.functional.tanh."""
    return input.tanh()


def sigmoid(input) -> Tensor:
    """1 / (1 + exp(-input)).  Source: torch.nn.functional.sigmoid."""
    return input.sigmoid()


def glu(input, dim: int = -1) -> Tensor:
    """The first half times sigmoid of the second half along `dim`.

    Raises: RuntimeError if the axis has an odd size.  Source: torch.nn.functional.glu.
    """
    check_tensor("glu", input)
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    axis = wrap_axis(dim, input.ndim)
    size = input._node.shape[axis]
    if size % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {size}")
    half = size // 2
    x, gate = (widened(narrow(input, axis, start, half)) for start in (0, half))
    return named(to_dtype(p.mul(x, p.sigmoid(gate)), input._node.dtype), "GluBackward0")


# ---- softmax -------------------------------------------------------------------------------------


def _softmax_axis(name: str, input: Tensor, dim) -> int:
    if dim is None:
        # PyTorch's implicit choice, kept for old code.
        return 0 if input.ndim in (0, 1, 3) else 1
    return wrap_axis(dim, input.ndim)


def _softmax_input(name: str, input, dtype) -> Tensor:
    check_tensor(name, input)
    if dtype is not None:
        return to_dtype(input, dtype)
    if not input._node.dtype.is_floating_point:
        raise NotImplementedError(
            f"\"{name}_lastdim_kernel_impl\" not implemented for '{input._node.dtype.name}': give "
            "dtype= to convert the input"
        )
    return input


def _shifted(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """x minus its maximum along the axis; the maximum does not change the result, nor the slope."""
    return p.sub(x, reduce_max(constant(x), axes, True))


def softmax(input, dim=None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`.  Raises: RuntimeError for integers without dtype=.

    Source: torch.nn.functional.softmax.

    >>> import rushlight as rl
    >>> rl.special.softmax(rl.tensor([0.5, 1.0, 2.0]), 0)
    tensor([0.1402, 0.2312, 0.6285])
    """
    x = _softmax_input("softmax", input, dtype)
    axis = _softmax_axis("softmax", x, dim)
    return mv.copy(x) if 0 in x._node.shape else _softmax(x, axis)


@replayed
def _softmax(x, axis: int) -> Tensor:
    axes = (axis,) if x._node.shape else ()
    wide = widened(x)
    weights = p.exp(_shifted(wide, axes))
    # A division for each row instead of for each element, here and in backward.
    found = p.mul(weights, p.reciprocal(reduce_sum(weights, axes, True)))
    return named(row_major(to_dtype(found, x._node.dtype)), "SoftmaxBackward0")


def log_softmax(input, dim=None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """log(softmax(x)) along `dim`, computed without overflow.

    Source: torch.nn.functional.log_softmax.

    >>> import rushlight as rl
    >>> rl.special.log_softmax(rl.tensor([0.5, 1.0, 2.0]), 0)
    tensor([-1.9644, -1.4644, -0.4644])
    """
    x = _softmax_input("log_softmax", input, dtype)
    axis = _softmax_axis("log_softmax", x, dim)
    return mv.copy(x) if 0 in x._node.shape else _log_softmax(x, axis)


@replayed
def _log_softmax(x, axis: int) -> Tensor:
    axes = (axis,) if x._node.shape else ()
    shifted = _shifted(widened(x), axes)
    found = p.sub(shifted, p.log(reduce_sum(p.exp(shifted), axes, True)))
    return named(row_major(to_dtype(found, x._node.dtype)), "LogSoftmaxBackward0")


def softmin(input, dim=None, _stacklevel: int = 3, dtype=None) -> Tensor:
    """softmax(-x).  Source: torch.nn.functional.softmin."""
    check_tensor("softmin", input)
    return softmax(neg(input), dim, dtype=dtype)


def softmax_of_top(input, dim, dtype=None) -> Tensor:
    """`torch.softmax` and `Tensor.softmax`: `dim` is required."""
    return softmax(input, dim, dtype=dtype)


def log_softmax_of_top(input, dim, dtype=None) -> Tensor:
    """`torch.log_softmax` and `Tensor.log_softmax`: `dim` is required."""
    return log_softmax(input, dim, dtype=dtype)


for _function, _name in ((softmax_of_top, "softmax"), (log_softmax_of_top, "log_softmax")):
    _function.__name__ = _function.__qualname__ = _name
    spelled(method=True, out=True)(_function)


def gumbel_softmax(logits, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1
                   ) -> Tensor:  # fmt: skip
    """A sample from the Gumbel-softmax distribution; hard: one-hot, with the soft gradient.

    Source: Jang et al. 2016; torch.nn.functional.gumbel_softmax.
    """
    exponential = logits.new_empty(tuple(logits._node.shape)).exponential_()
    noise = p.neg(p.log(exponential))
    soft = softmax(p.div(p.add(logits, noise), logits._scalar(tau)), dim)
    if not hard:
        return soft
    axis = wrap_axis(dim, soft.ndim)
    index = argmax(constant(soft), axis, True)
    zeros = mv.expand(_zero(soft), tuple(soft._node.shape))
    ones = mv.expand(soft._scalar(1.0), tuple(index._node.shape))
    one_hot = scatter(zeros, index, ones, axis, "set")
    return p.add(p.sub(one_hot, constant(soft)), soft)


# In-place spellings of nn.functional.
relu_ = in_place(relu, "relu_")
hardtanh_ = hardtanh.in_place
leaky_relu_ = leaky_relu.in_place
rrelu_ = rrelu.in_place
elu_ = elu.in_place
selu_ = selu.in_place
celu_ = celu.in_place
threshold_ = threshold.in_place
