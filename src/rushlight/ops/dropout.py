"""The dropout family: random zeros by element or by channel, plain or for SELU networks.

In: a tensor, a probability, whether this is training. Out: the masked, rescaled tensor. The mask is
drawn at the call from the default generator, in the input's order of axes, as PyTorch draws it (on
a device, recorded: `ops/device_draws.py`); without training, or with p of 0 or 1, nothing is drawn.
The functions with `training` and `inplace` are `nn.functional`'s; those with `train` are PyTorch's
top-level ones.  Level 11.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable

import numpy as np

from rushlight.base.device import device
from rushlight.base.dtypes import DType, bool_, float32, float64, int64, widen
from rushlight.ops import device_draws
from rushlight.ops.generator import engine_of
from rushlight.ops.random_fill import drawn, preserved_strides, scalar_name
from rushlight.ops.spelling import PUBLIC
from rushlight.primitives.elementwise import cast, where
from rushlight.primitives.indexing import take
from rushlight.rng import discrete
from rushlight.rng.philox import Philox
from rushlight.rng.rounding import from_bfloat16_bits, round_to
from rushlight.tape.tape import local
from rushlight.tensor.placing import placed
from rushlight.tensor.tensor import Tensor, strides_of, tensor_from_numpy

#: scale * alpha of SELU: the value that a dropped activation takes.  Source: Klambauer et al. 2017.
_SELU_SATURATION = 1.7580993408473766


# ---- masks -------------------------------------------------------------------------------------


def _flipped(
    engine: Philox,
    input: Tensor,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    p: float,
) -> Tensor:
    """One where an element is kept, else zero; by a device's coins, as `bernoulli_`."""
    coins = device_draws.coins(engine, input.dtype, 1.0 - p)
    return placed(drawn(shape, strides, input.dtype, coins), input.device)


def _dropped_by_device(engine: Philox, input: Tensor, p: float) -> Tensor:
    """Dropout with the mask that PyTorch's kernel for CUDA makes.  Source: at::native_dropout.

    Elements are shared out in vectors where memory is dense and whole vectors fit, by the order of
    memory; otherwise one by one, in the order of indices.
    """
    dtype = input.dtype
    shape: tuple[int, ...] = input._node.shape
    run = _elements_of_a_vector(input)
    strides = preserved_strides(input) if run > 1 else None
    compute = float64 if dtype is float64 else float32
    kept = device_draws.kept(engine, 1.0 - p, run, compute is float64)
    mask = placed(drawn(shape, strides, bool_, kept), input.device)
    # One rounding, of the product in the type of arithmetic.
    scale = compute.numpy.type(1.0 / (1.0 - p))
    wide = input if dtype is compute else cast(input, compute)
    made = wide.mul(cast(mask, compute).mul(float(scale)))
    return made if dtype is compute else cast(made, dtype)


def _elements_of_a_vector(input: Tensor) -> int:
    """How many elements a thread of PyTorch's kernel takes at once: 16 bytes, if they fit."""
    shape: tuple[int, ...] = input._node.shape
    count = math.prod(shape)
    places = sum((size - 1) * step for size, step in zip(shape, strides_of(input)))
    if places != count - 1:
        return 1
    return _run_of(count, input.dtype, input.storage_offset())


def _run_of(count: int, dtype: DType, offset: int = 0) -> int:
    run = 16 // dtype.itemsize
    while run > 1 and (count % run or offset % run):
        run //= 2
    return run


def kept_elements(shape: tuple[int, ...], p: float, place: device) -> Tensor:
    """Which elements dropout keeps, as bool: `dropout_mask` where it is no 0."""
    engine = engine_of("dropout", None, place)
    if isinstance(engine, Philox):
        run = _run_of(math.prod(shape), float32)
        kept = device_draws.kept(engine, 1.0 - p, run, False)
        return placed(drawn(shape, None, bool_, kept), place)
    return drawn(shape, None, bool_, lambda *_: _flips(shape, p, place).view(np.bool_))


def _flips(shape: tuple[int, ...], p: float, place: device) -> np.ndarray:
    """1 where an element is kept, as indices, in drawing order."""
    kept = discrete.dropout_mask(engine_of("dropout", None, place), math.prod(shape), 1.0 - p)
    return kept.view(np.uint8)


def _selected(
    dropped_and_kept: np.ndarray,
    flips: Callable[[], np.ndarray],
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    dtype: DType,
) -> Tensor:
    return drawn(shape, strides, dtype, lambda *_: dropped_and_kept.take(flips()))


def _kept(shape: tuple[int, ...], p: float, place: device) -> Tensor:
    """`_flips` as a tensor, which under vmap may differ by member."""

    def draw(count: int, *_: object) -> np.ndarray:
        return _flips((count,), p, place).astype(np.int64)

    return drawn(shape, None, int64, draw)


def _chosen(dropped_and_kept: np.ndarray, kept: Tensor, dtype: DType) -> Tensor:
    return take(tensor_from_numpy(np.ascontiguousarray(dropped_and_kept), dtype), kept, 0)


def _scaled(dtype: DType, p: float) -> np.ndarray:
    """[0, 1 / (1 - p)] in the dtype, divided as PyTorch divides (halves by way of float32)."""
    if not dtype.is_floating_point:
        raise RuntimeError(
            f"dropout: result type Float can't be cast to the desired output type "
            f"{scalar_name(dtype)}; convert the input to a floating dtype"
        )
    compute = dtype.compute.type
    return round_to(np.asarray([0.0, compute(1.0) / compute(1.0 - p)]), dtype.name)


def _selu_scale_and_shift(dtype: DType, p: float) -> tuple[np.ndarray, np.ndarray]:
    """(factor, addend), each for a dropped and a kept element, rounded after every step."""
    a = 1.0 / math.sqrt((_SELU_SATURATION * _SELU_SATURATION * p + 1.0) * (1.0 - p))
    compute = dtype.compute.type
    shift = np.asarray([-1.0, 0.0], compute)
    shift = _stored(shift * compute(_SELU_SATURATION * a), dtype)
    shift = shift + compute(_SELU_SATURATION * a * p)
    factor = np.asarray([0.0, 1.0], compute) * compute(a)
    return round_to(factor, dtype.name), round_to(shift, dtype.name)


def _selu_numbers(kept: Tensor, dtype: DType, p: float) -> list[Tensor]:
    """`_selu_scale_and_shift` by a tensor of zeros and ones."""
    is_kept = cast(kept, bool_)
    made = []
    for values in _selu_scale_and_shift(dtype, p):
        dropped, own = widen(values, dtype).tolist()
        made.append(where(is_kept, kept._scalar(own), kept._scalar(dropped)))
    return made


def _stored(values: np.ndarray, dtype: DType) -> np.ndarray:
    """Values as they are after being stored in `dtype`, in the type arithmetic uses."""
    bits = round_to(values, dtype.name)
    return from_bfloat16_bits(bits) if dtype.name == "bfloat16" else bits.astype(dtype.compute)


def _channel_shape(input: Tensor, batched: bool) -> tuple[int, ...]:
    """The input's shape with 1 for all axes behind the channels."""
    leading = 2 if batched else 1
    if input.dim() < leading:
        raise RuntimeError(
            "Feature dropout requires at least 2 dimensions in the input, "
            f"got a tensor of {input.dim()}"
        )
    return (*input._node.shape[:leading], *([1] * (input.dim() - leading)))


def _drop(
    input: Tensor,
    p: float,
    training: bool,
    inplace: bool,
    *,
    channels: bool = False,
    alpha: bool = False,
    batched: bool = True,
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p}")
    if p == 0.0 or not training or 0 in input._node.shape:
        return input
    if p == 1.0:
        return input.mul_(0) if inplace else input.mul(0)
    dtype = input.dtype
    scaled = _scaled(dtype, p)
    shape: tuple[int, ...] = input._node.shape
    strides: tuple[int, ...] | None = preserved_strides(input)
    if channels:
        shape, strides = _channel_shape(input, batched), None
    engine = engine_of("dropout", None, input.device)
    if isinstance(engine, Philox):
        if not (channels or alpha or inplace):
            return _dropped_by_device(engine, input, p)
        coins = _flipped(engine, input, shape, strides, p)
        if not alpha:
            noise = coins.mul(float(widen(scaled, dtype)[1]))
            return input.mul_(noise) if inplace else input.mul(noise)
        slopes, terms = _selu_numbers(coins, dtype, p)
        return (input.mul_(slopes) if inplace else input.mul(slopes)).add_(terms)
    if local.tape.transforms is not None:
        kept = _kept(shape, p, input.device)
        if not alpha:
            noise = _chosen(scaled, kept, dtype)
            return input.mul_(noise) if inplace else input.mul(noise)
        factor, shift = (_chosen(v, kept, dtype) for v in _selu_scale_and_shift(dtype, p))
        result = input.mul_(factor) if inplace else input.mul(factor)
        return result.add_(shift)
    flips = functools.partial(_flips, shape, p, input.device)
    if not alpha:
        noise = _selected(scaled, flips, shape, strides, dtype)
        return input.mul_(noise) if inplace else input.mul(noise)
    factors, shifts = _selu_scale_and_shift(dtype, p)
    drawn_once: list[np.ndarray] = []

    def first() -> np.ndarray:
        drawn_once[:] = [flips()]
        return drawn_once[0]

    factor = _selected(factors, first, shape, strides, dtype)
    result = input.mul_(factor) if inplace else input.mul(factor)
    return result.add_(_selected(shifts, lambda: drawn_once[0], shape, strides, dtype))


# ---- nn.functional -----------------------------------------------------------------------------


def _require_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """Zero each element with probability `p` and scale the rest by 1 / (1 - p).

    Raises: ValueError if `p` is no probability.  Source: torch.nn.functional.dropout.
    """
    _require_probability(p)
    return _drop(input, p, training, inplace)


def alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Dropout that keeps mean and variance of activations after SELU.

    Raises: ValueError if `p` is no probability.  Source: torch.nn.functional.alpha_dropout.
    """
    _require_probability(p)
    return _drop(input, p, training, inplace, alpha=True)


def feature_alpha_dropout(
    input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Tensor:
    """Alpha dropout of whole channels (axis 1).

    Raises: ValueError if `p` is no probability.
    Source: torch.nn.functional.feature_alpha_dropout.
    """
    _require_probability(p)
    return _drop(input, p, training, inplace, channels=True, alpha=True)


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels.  Shapes: (N, C, L) or (C, L).

    Raises: ValueError, RuntimeError for other ranks.  Source: torch.nn.functional.dropout1d.
    """
    _require_probability(p)
    rank = input.dim()
    if rank not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {rank}D input. It zeroes "
            "channels of one spatial dimension; add or remove axes, or use dropout"
        )
    return _drop(input, p, training, inplace, channels=True, batched=rank == 3)


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels (axis 1).  Shapes: (N, C, H, W); (N, C, L) and others with a warning.

    Raises: ValueError if `p` is no probability.  Source: torch.nn.functional.dropout2d.
    """
    _require_probability(p)
    rank = input.dim()
    if rank not in (3, 4):
        _warn_rank("dropout2d", rank, "(N, C, H, W)")
    if rank == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D "
            "dropout behavior is desired, for shape (N, C, L); use dropout1d to say so",
            stacklevel=2,
        )
    return _drop(input, p, training, inplace, channels=True)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zero whole channels.  Shapes: (N, C, D, H, W) or (C, D, H, W); others with a warning.

    Raises: ValueError if `p` is no probability.  Source: torch.nn.functional.dropout3d.
    """
    _require_probability(p)
    rank = input.dim()
    if rank not in (4, 5):
        _warn_rank("dropout3d", rank, "(N, C, D, H, W) or (C, D, H, W)")
    return _drop(input, p, training, inplace, channels=True, batched=rank == 5)


def _warn_rank(operation: str, rank: int, expected: str) -> None:
    warnings.warn(
        f"{operation}: Received a {rank}-D input to {operation}, which is deprecated and will "
        f"result in an error in a future release. It expects {expected}; use dropout instead",
        stacklevel=3,
    )


# ---- the top level -----------------------------------------------------------------------------


def _make_public(name: str, channels: bool, alpha: bool) -> None:
    def drop(input: Tensor, p: float, train: bool) -> Tensor:
        return _drop(input, p, train, False, channels=channels, alpha=alpha)

    def drop_in_place(input: Tensor, p: float, train: bool) -> Tensor:
        return _drop(input, p, train, True, channels=channels, alpha=alpha)

    for function, known_as in ((drop, name), (drop_in_place, name + "_")):
        function.__name__ = function.__qualname__ = known_as
        function.__doc__ = f"As nn.functional's; draws if `train`.  Source: torch.{known_as}."
        PUBLIC[known_as] = function


_make_public("dropout", channels=False, alpha=False)
_make_public("feature_dropout", channels=True, alpha=False)
_make_public("alpha_dropout", channels=False, alpha=True)
_make_public("feature_alpha_dropout", channels=True, alpha=True)
