"""Filling tensors in place with random numbers: `Tensor.normal_` and its kin.

In: a tensor, a distribution's numbers, a generator. Out: the tensor, written at once. The numbers
are drawn when the operation is recorded, in program order, so that the stream does not depend on
what is read later; the tape sees a leaf.  Of a device's stream a part is reserved then, and the
tape sees operations that make the numbers (`ops/device_draws.py`).  Invariant: a destination that
is not row-major is filled in memory order, as PyTorch does.  Level 11.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import META
from rushlight.base.dtypes import DType, bfloat16, float16, float32, float64, widen
from rushlight.base.shapes import contiguous_strides
from rushlight.ops import device_draws
from rushlight.ops.creation import value_of
from rushlight.ops.device_draws import Recorded
from rushlight.ops.generator import Generator, engine_of
from rushlight.ops.spelling import attach_method
from rushlight.rng import continuous, discrete
from rushlight.rng.layout import arrange, fill_axes, is_contiguous
from rushlight.rng.mt19937 import MersenneTwister
from rushlight.rng.normal import normal
from rushlight.rng.philox import Philox
from rushlight.tape.tape import local
from rushlight.tensor.placing import placed
from rushlight.tensor.storage import check_writable, write
from rushlight.tensor.tensor import Tensor, strides_of, tensor_from_numpy

#: A draw on the host: (count, dtype name, whether the destination is row-major) -> flat values.
HostDraw = Callable[[int, str, bool], np.ndarray]
#: What fills a tensor: numbers of the host now, or of a device when they are read.
Draw = HostDraw | Recorded

#: PyTorch's names of element types in messages: the scalar type, and the C++ type.
SCALAR_NAMES = {
    "bool": ("Bool", "bool"),
    "uint8": ("Byte", "unsigned char"),
    "int8": ("Char", "signed char"),
    "int16": ("Short", "short"),
    "int32": ("Int", "int"),
    "int64": ("Long", "long int"),
    "float16": ("Half", "c10::Half"),
    "bfloat16": ("BFloat16", "c10::BFloat16"),
    "float32": ("Float", "float"),
    "float64": ("Double", "double"),
    "uint16": ("UInt16", "unsigned short"),
    "uint32": ("UInt32", "unsigned int"),
    "uint64": ("UInt64", "unsigned long"),
    "complex32": ("ComplexHalf", "c10::complex<c10::Half>"),
    "complex64": ("ComplexFloat", "c10::complex<float>"),
    "complex128": ("ComplexDouble", "c10::complex<double>"),
}

_LARGEST = {
    float16: 65504.0,
    bfloat16: float(np.float32(3.3895313892515355e38)),
    float32: float(np.finfo(np.float32).max),
    float64: float(np.finfo(np.float64).max),
}

#: Bits of the significand: up to 2**digits every integer is exact.
_DIGITS = {bfloat16: 8, float16: 11, float32: 24, float64: 53}

_INT64_MIN, _INT64_MAX = -(2**63), 2**63 - 1


# ---- drawing for a layout --------------------------------------------------------------------


def drawn(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: DType, draw: Draw
) -> Tensor:
    """A new tensor of values drawn in the order of `strides` (None: row-major).

    Complex values are pairs of real ones, the real part first.
    """
    tape = local.tape
    if tape.transforms is not None:
        # Under vmap: one draw for all members, or for each, with the batch's axis in front.
        return tape.transforms.drawn(_drawn, shape, strides, dtype, draw)
    return _drawn(shape, strides, dtype, draw)


def _drawn(
    shape: tuple[int, ...], strides: tuple[int, ...] | None, dtype: DType, draw: Draw
) -> Tensor:
    if isinstance(draw, Recorded):
        return draw.tensor(shape, strides, dtype)
    host: HostDraw = draw
    element = dtype.to_real()
    if strides is None:
        strides = contiguous_strides(shape)
    if dtype.is_complex:
        shape = (*shape, 2)
        strides = (*(2 * stride for stride in strides), 1)

    def values() -> np.ndarray:
        flat = host(math.prod(shape), element.name, is_contiguous(shape, strides))
        found = np.asarray(arrange(flat, shape, strides), order="C")
        return found.view(dtype.numpy).reshape(shape[:-1]) if dtype.is_complex else found

    made = tensor_from_numpy(values(), dtype)
    recorder = local.tape.recorder
    if recorder is not None:
        recorder.drawn(made._node, values)
    return made


def _fill(tensor: Tensor, draw: Draw) -> Tensor:
    check_writable(tensor)
    if tensor.device is META:
        return tensor
    return write(tensor, drawn(tensor._node.shape, strides_of(tensor), tensor.dtype, draw))


def preserved_strides(input: Tensor) -> tuple[int, ...]:
    """Strides of a new dense tensor that keeps `input`'s order of axes, as `empty_like` does."""
    shape = input._node.shape
    strides = [0] * len(shape)
    step = 1
    for axis in reversed(fill_axes(shape, strides_of(input))):
        strides[axis] = step
        step *= max(shape[axis], 1)
    return tuple(strides)


def scalar_name(dtype: DType) -> str:
    """PyTorch's name of an element type in messages, such as Long."""
    return SCALAR_NAMES[dtype.name][0]


def unsupported(kernel: str, dtype: DType) -> NotImplementedError:
    """PyTorch's error for a distribution that an element type does not have."""
    return NotImplementedError(f'"{kernel}" not implemented for {scalar_name(dtype)!r}')


# ---- continuous distributions ------------------------------------------------------------------


def uniform_draw(engine: MersenneTwister, dtype: DType, low: float, high: float) -> Draw:
    """Checked draw of uniform numbers.  Raises: NotImplementedError, RuntimeError."""
    if not dtype.is_inexact:
        raise unsupported("check_uniform_bounds", dtype)
    largest = _LARGEST[dtype.to_real()]
    scalar, c_type = SCALAR_NAMES[dtype.to_real().name]
    for name, bound in (("from", low), ("to", high)):
        if not -largest <= bound <= largest:
            raise RuntimeError(f"{name} is out of bounds for {c_type}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{scalar}>::max(), but found "
            f"to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )
    if isinstance(engine, Philox):
        return device_draws.uniform(engine, dtype, low, high)
    return lambda count, name, _: continuous.uniform(engine, count, name, low, high)


def normal_draw(engine: MersenneTwister, dtype: DType, mean: float, std: float) -> Draw:
    """Checked draw of normal numbers.  Raises: NotImplementedError, RuntimeError."""
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if not dtype.is_inexact:
        raise unsupported("normal_kernel_cpu", dtype)
    if dtype.is_complex:
        std = std / math.sqrt(2.0)  # the variance is shared by the two parts
    if isinstance(engine, Philox):
        return device_draws.normal(engine, dtype, mean, std)
    return lambda count, name, row_major: normal(engine, count, name, mean, std, row_major)


@attach_method("uniform_")
def uniform_(
    self: Tensor,
    low: float = 0.0,
    to: float = 1.0,
    *,
    generator: Generator | None = None,
    **named: float,
) -> Tensor:
    """Fill with numbers uniform in [low, to); `low` is called `from` when passed by name.

    Source: torch.Tensor.uniform_.
    """
    engine = engine_of("uniform_", generator, self.device)
    low = named.pop("from", low)  # a reserved word cannot be a parameter
    if named:
        raise TypeError(f"uniform_() got unexpected keyword arguments {sorted(named)}")
    return _fill(self, uniform_draw(engine, self.dtype, float(low), float(to)))


@attach_method("normal_")
def normal_(
    self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with normal numbers.  Source: torch.Tensor.normal_."""
    engine = engine_of("normal_", generator, self.device)
    return _fill(self, normal_draw(engine, self.dtype, float(mean), float(std)))


@attach_method("exponential_")
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Generator | None = None) -> Tensor:
    """Fill with exponential numbers of rate `lambd`.  Source: torch.Tensor.exponential_."""
    engine = engine_of("exponential_", generator, self.device)
    _require_floating("Exponential", self.dtype)
    if not lambd > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    if isinstance(engine, Philox):
        return _fill(self, device_draws.exponential(engine, self.dtype, float(lambd)))
    return _fill(self, lambda n, name, _: continuous.exponential(engine, n, name, float(lambd)))


@attach_method("cauchy_")
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with Cauchy numbers.  Source: torch.Tensor.cauchy_."""
    engine = engine_of("cauchy_", generator, self.device)
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    _require_floating("Cauchy", self.dtype)
    if isinstance(engine, Philox):
        return _fill(self, device_draws.cauchy(engine, self.dtype, float(median), float(sigma)))
    return _fill(
        self,
        lambda n, name, _: continuous.cauchy(engine, n, name, float(median), float(sigma)),
    )


@attach_method("log_normal_")
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Generator | None = None
) -> Tensor:
    """Fill with exp of normal numbers of `mean` and `std`.  Source: torch.Tensor.log_normal_."""
    engine = engine_of("log_normal_", generator, self.device)
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    if not self.dtype.is_floating_point:
        raise unsupported("log_normal_cpu", self.dtype)
    if isinstance(engine, Philox):
        return _fill(self, device_draws.log_normal(engine, self.dtype, float(mean), float(std)))
    return _fill(
        self,
        lambda n, name, _: continuous.log_normal(engine, n, name, float(mean), float(std)),
    )


def _require_floating(distribution: str, dtype: DType) -> None:
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"{distribution} distribution is a continuous probability distribution. dtype must be "
            f"a floating point but you specified {scalar_name(dtype)}"
        )


def leak_slopes(input: Tensor, lower: float, upper: float, generator: Generator | None) -> Tensor:
    """1 where `input` is positive, else a slope uniform in [lower, upper); in float32 or float64.

    Only the elements that need a slope take numbers from the stream.
    Source: torch.nn.functional.rrelu in training.
    """
    engine = engine_of("rrelu", generator, input.device)
    dtype = float64 if input.dtype is float64 else float32
    low, high = (float(dtype.numpy.type(bound)) for bound in (lower, upper))

    def draw(values: Tensor) -> Tensor:
        leaking = widen(value_of(values), values.dtype) <= 0
        slopes = np.ones(leaking.shape, dtype.numpy)
        # Two roundings, unlike `uniform_`: this kernel of PyTorch's contains no fused operations.
        slopes[leaking] = engine.doubles(int(leaking.sum())) * (high - low) + low
        return tensor_from_numpy(slopes, dtype)

    transforms = local.tape.transforms
    return draw(input) if transforms is None else transforms.drawn_from(draw, input)


# ---- discrete distributions --------------------------------------------------------------------


@attach_method("geometric_")
def geometric_(self: Tensor, p: float, *, generator: Generator | None = None) -> Tensor:
    """Fill with numbers of trials up to the first success.  Source: torch.Tensor.geometric_."""
    engine = engine_of("geometric_", generator, self.device)
    if not 0.0 < p < 1.0:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    if self.dtype.is_complex or self.dtype.name == "bool":
        raise unsupported("geometric_cpu", self.dtype)
    if isinstance(engine, Philox):
        return _fill(self, device_draws.geometric(engine, self.dtype, float(p)))
    return _fill(self, lambda n, name, _: discrete.geometric(engine, n, name, float(p)))


@attach_method("bernoulli_")
def bernoulli_(
    self: Tensor, p: float | Tensor = 0.5, *, generator: Generator | None = None
) -> Tensor:
    """Fill with ones of probability `p` (one number, or a tensor of them), else zeros.

    Source: torch.Tensor.bernoulli_.
    """
    engine = engine_of("bernoulli_", generator, self.device)
    if isinstance(p, Tensor) and p.dim() > 0:
        if isinstance(engine, Philox):
            return _fill_by_device(engine, self, p)
        return _fill(self, _flips_for_each(engine, self._node.shape, strides_of(self), p))
    chance = float(p)
    return _fill(self, bernoulli_draw(engine, self.dtype, chance))


def _fill_by_device(engine: Philox, self: Tensor, chances: Tensor) -> Tensor:
    check_writable(self)
    shape, strides = self._node.shape, strides_of(self)
    _check_chances(chances, shape)
    chances = placed(chances.detach(), self.device)
    return write(self, device_draws.coin_for_each(engine, chances, shape, strides, self.dtype))


def bernoulli_draw(engine: MersenneTwister, dtype: DType, chance: float) -> Draw:
    """Checked draw of coin flips.  Raises: NotImplementedError, RuntimeError."""
    if not 0.0 <= chance <= 1.0:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={chance:g}")
    if dtype.is_complex:
        raise unsupported("bernoulli_scalar_cpu_", dtype)
    if isinstance(engine, Philox):
        return device_draws.coins(engine, dtype, chance)
    return lambda count, name, _: discrete.bernoulli(engine, count, name, chance)


def _flips_for_each(
    engine: MersenneTwister, shape: tuple[int, ...], strides: tuple[int, ...], chances: Tensor
) -> Draw:
    _check_chances(chances, shape)
    values = value_of(chances)
    wide = widen(values, chances.dtype)
    if not np.all((wide >= 0) & (wide <= 1)):
        raise RuntimeError(
            "bernoulli: Expected p_in >= 0 && p_in <= 1 to be true, but got a probability "
            f"outside, in a tensor from {wide.min():g} to {wide.max():g}"
        )
    expanded = np.broadcast_to(values, shape)
    ordered = expanded.transpose(fill_axes(shape, strides)).ravel()
    return lambda _, name, __: discrete.bernoulli_each(engine, name, ordered, chances.dtype.name)


def _check_chances(chances: Tensor, shape: tuple[int, ...]) -> None:
    """Refuse what are no probabilities of a tensor's elements."""
    if not chances.dtype.is_floating_point:
        raise unsupported("bernoulli_tensor_cpu_p_", chances.dtype)
    own: tuple[int, ...] = chances._node.shape
    if len(own) > len(shape):
        raise RuntimeError(
            f"bernoulli_: the probabilities have {len(own)} dimensions, more than the "
            f"tensor's {len(shape)}; their shape must be expandable to {list(shape)}"
        )
    if any(size not in (1, wanted) for size, wanted in zip(own[::-1], shape[::-1])):
        raise RuntimeError(
            f"bernoulli_: The expanded size of the tensor must match the existing size. Target "
            f"sizes: {list(shape)}.  Tensor sizes: {list(own)}"
        )


def flips_for(input: Tensor, engine: MersenneTwister) -> Tensor:
    """A flip for each probability in `input`, in its dtype and order of axes."""
    if local.tape.transforms is not None:
        return local.tape.transforms.drawn_from(lambda x: _flips_for(x, engine), input)
    return _flips_for(input, engine)


def _flips_for(input: Tensor, engine: MersenneTwister) -> Tensor:
    if not input.dtype.is_floating_point:
        kernel = "self_" if input.dtype.is_complex else "p_"
        raise unsupported("bernoulli_tensor_cpu_" + kernel, input.dtype)
    strides = preserved_strides(input)
    if isinstance(engine, Philox):
        chances = input.detach()
        return device_draws.coin_for_each(engine, chances, input._node.shape, strides, input.dtype)
    draw = _flips_for_each(engine, input._node.shape, strides, input)
    return _drawn(input._node.shape, strides, input.dtype, draw)


@attach_method("random_")
def random_(self: Tensor, *bounds: Any, generator: Generator | None = None, **named: Any) -> Tensor:
    """Fill with integers: `random_()` over all that the dtype holds exactly, `random_(to)` from 0,
    `random_(from, to)`; the upper end is excluded.  Source: torch.Tensor.random_.
    """
    engine = engine_of("random_", generator, self.device)
    low, high = _random_bounds(bounds, named)
    dtype = self.dtype
    if dtype.is_complex:
        raise unsupported("random_kernel_cpu", dtype)
    if low is None and isinstance(engine, Philox):
        span, wide = discrete.full_range(dtype.name)
        return _fill(self, device_draws.integers(engine, 0, span, wide))
    if low is None:
        return _fill(self, lambda n, name, _: discrete.full_range_integers(engine, n, name))
    if high is None:
        largest = 1 << _DIGITS[dtype] if dtype in _DIGITS else _integer_limits(dtype)[1]
        if low == _INT64_MIN and dtype.name == "int64":
            high = _INT64_MAX + 1
        else:
            high = min(largest, _INT64_MAX) + 1
    return _fill(self, integer_draw(engine, dtype, low, high))


def _random_bounds(bounds: tuple, named: dict[str, Any]) -> tuple[int | None, int | None]:
    unknown = set(named) - {"from", "to"}
    if unknown or len(bounds) + len(named) > 2:
        raise TypeError(
            f"random_() takes (), (to) or (from, to), but got {len(bounds)} positional arguments "
            f"and {sorted(named)}"
        )
    given = [*bounds]
    if not given and not named:
        return None, None
    if "from" in named:
        low = named["from"]
    elif len(given) == 2 or (given and "to" in named):
        low = given.pop(0)
    else:
        low = 0
    high = named["to"] if "to" in named else next(iter(given), None)
    return int(low), None if high is None else int(high)


def _integer_limits(dtype: DType) -> tuple[int, int]:
    if dtype.name == "bool":
        return 0, 1
    limits = np.iinfo(dtype.numpy)
    return int(limits.min), int(limits.max)


def integer_draw(engine: MersenneTwister, dtype: DType, low: int, high: int) -> Draw:
    """Checked draw of integers in [low, high).  Raises: RuntimeError, NotImplementedError."""
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    if dtype.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    c_type = SCALAR_NAMES[dtype.name][1]
    for name, bound in (("from", low), ("to - 1", high - 1)):
        if dtype in _DIGITS:
            if abs(bound) > _LARGEST[dtype]:
                raise RuntimeError(f"{name} is out of bounds for {c_type}")
            _warn_beyond_digits(name, bound, _DIGITS[dtype], c_type)
            continue
        smallest, largest = _integer_limits(dtype)
        if not smallest <= bound <= largest:
            raise RuntimeError(f"{name} is out of bounds for {c_type}")
    if isinstance(engine, Philox):
        low, high = discrete.whole_bounds(dtype.name, low, high)
        return device_draws.integers(engine, low, high - low)
    return lambda count, name, _: discrete.integers(engine, count, name, low, high)


def _warn_beyond_digits(name: str, bound: int, digits: int, c_type: str) -> None:
    if abs(bound) > 1 << digits:
        warnings.warn(
            f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision limitations "
            f"{c_type} can support discrete uniform distribution only within this range.",
            UserWarning,
            stacklevel=4,
        )
