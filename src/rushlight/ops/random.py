"""New random tensors: `rand`, `randn`, `randint`, `randperm`, `normal`, `bernoulli`, …

In: sizes and PyTorch's keywords. Out: leaf tensors, drawn when the call is made and in program
order (see `ops/random_fill.py`).  Level 11.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.base.device import META, resolve_device
from rushlight.base.dtypes import DType, get_default_dtype, int64, widen
from rushlight.base.orders import strides_in
from rushlight.base.shapes import broadcast_shapes
from rushlight.ops.beside import beside_input
from rushlight.ops.creation import finish, shape_from, value_of
from rushlight.ops.formats import lying, order_like
from rushlight.ops.generator import Generator, engine_of
from rushlight.ops.random_fill import (
    Draw,
    bernoulli_draw,
    drawn,
    flips_for,
    integer_draw,
    normal_draw,
    scalar_name,
    uniform_draw,
    unsupported,
)
from rushlight.ops.spelling import spelled, write_out
from rushlight.primitives.elementwise import cast
from rushlight.primitives.movement import copy, expand
from rushlight.rng import discrete
from rushlight.rng.multinomial import multinomial as draw_categories
from rushlight.tape.tape import local
from rushlight.tensor.grad_mode import is_grad_enabled
from rushlight.tensor.placing import pinned, placed
from rushlight.tensor.storage import current_edge, write
from rushlight.tensor.tensor import Tensor, meta_tensor, tensor_from_numpy

DrawOf = Callable[[DType], Draw]


def _new(
    operation: str,
    shape: tuple[int, ...],
    draw_of: DrawOf,
    default: DType,
    *,
    out: Tensor | None = None,
    dtype: DType | None = None,
    layout: object = None,
    device: object = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    names: object = None,
) -> Tensor:
    """A drawn tensor of `shape` under PyTorch's keywords for new tensors."""
    place = resolve_device(device)
    on_meta = place is META
    _require_plain(operation, layout, names)
    if on_meta and out is None:
        return finish(meta_tensor(shape, dtype or default), requires_grad)
    if out is None:
        chosen = dtype or default
        draw = draw_of(chosen)
        _require_differentiable(chosen, requires_grad)
        made = placed(drawn(shape, None, chosen, draw), place)
        return finish(pinned(made) if pin_memory else made, requires_grad)
    if dtype is not None and dtype is not out.dtype:
        raise RuntimeError(
            f"{operation}: dtype {scalar_name(dtype)} does not match dtype of out parameter "
            f"({scalar_name(out.dtype)})"
        )
    return write_out(out, drawn(shape, None, out.dtype, draw_of(out.dtype)))


def _require_differentiable(dtype: DType, requires_grad: bool) -> None:
    """Refuse before anything is drawn, so that the stream stays where it was."""
    if requires_grad and not dtype.is_inexact:
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")


def _require_plain(operation: str, layout: object, names: object) -> None:
    if layout is not None and str(layout) != "torch.strided":
        raise NotImplementedError(
            f"{operation}: layout {layout} is not supported; tensors here are strided"
        )
    if names is not None:
        raise NotImplementedError(f"{operation}: named tensors are not supported; leave names out")


def _sizes(operation: str, size: tuple, keywords: dict[str, Any]) -> tuple[int, ...]:
    if "size" in keywords and not size:
        size = (keywords.pop("size"),)
    if not size:
        raise TypeError(f"{operation}() needs sizes: {operation}(2, 3) or {operation}((2, 3))")
    try:
        return shape_from(size)
    except TypeError as error:
        raise TypeError(
            f"{operation}(): argument 'size' (position 1) must be tuple of ints; {error}"
        ) from None


@spelled()
def rand(*size: Any, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """Numbers uniform in [0, 1).

    Keywords: size, out, dtype, layout, device, requires_grad, pin_memory.
    Dtypes: floating or complex; the default dtype unless given.  Source: torch.rand.
    """
    engine = engine_of("rand", generator, keywords.get("device"))
    shape = _sizes("rand", size, keywords)
    default = get_default_dtype()
    return _new("rand", shape, lambda d: uniform_draw(engine, d, 0.0, 1.0), default, **keywords)


@spelled()
def randn(*size: Any, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """Normal numbers of mean 0 and variance 1.

    Keywords: size, out, dtype, layout, device, requires_grad, pin_memory.
    Dtypes: floating or complex; the default dtype unless given.  Source: torch.randn.
    """
    engine = engine_of("randn", generator, keywords.get("device"))
    shape = _sizes("randn", size, keywords)
    default = get_default_dtype()
    return _new("randn", shape, lambda d: normal_draw(engine, d, 0.0, 1.0), default, **keywords)


@spelled()
def randint(*bounds: Any, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """Integers in [low, high): `randint(high, size)` or `randint(low, high, size)`.

    Keywords: low, high, size, out, dtype (int64 unless given), device, requires_grad.
    Raises: RuntimeError if the interval is empty or does not fit the dtype.
    Source: torch.randint.
    """
    engine = engine_of("randint", generator, keywords.get("device"))
    low, high, size = _integer_arguments("randint", bounds, keywords, ("low", "high", "size"))
    shape = shape_from((size,) if isinstance(size, (tuple, list)) else (tuple(size),))
    return _new("randint", shape, lambda d: integer_draw(engine, d, low, high), int64, **keywords)


def _integer_arguments(
    operation: str, given: tuple, keywords: dict[str, Any], names: tuple[str, ...]
) -> list:
    """The arguments `names`, of which the first (low) may be left out and is then 0."""
    named = {name: keywords.pop(name) for name in names if name in keywords}
    open_names = [name for name in names if name not in named]
    if len(given) == len(open_names) - 1 and "low" in open_names:
        named["low"] = 0
        open_names.remove("low")
    if len(given) != len(open_names):
        raise TypeError(
            f"{operation}() takes ({', '.join(names[1:])}) or ({', '.join(names)}), but got "
            f"{len(given)} positional arguments and {sorted(named)}"
        )
    named.update(zip(open_names, given, strict=True))
    return [named[name] if name == "size" else int(named[name]) for name in names]


@spelled()
def randperm(n: int, *, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """A random order of 0 … n-1.

    Keywords: out, dtype (int64 unless given), device, requires_grad.
    Raises: RuntimeError if `n` is negative or the dtype cannot hold n-1.
    Source: torch.randperm.
    """
    engine = engine_of("randperm", generator, keywords.get("device"))
    n = int(n)
    if n < 0:
        raise RuntimeError(f"randperm: Trying to create tensor with negative dimension {n}: [{n}]")

    def order_of(dtype: DType) -> Draw:
        if dtype.is_complex or dtype.name == "bool":
            raise unsupported("randperm", dtype)
        if not dtype.is_inexact and n - 1 > np.iinfo(dtype.numpy).max:
            raise RuntimeError(
                f"randperm: n is {n}, and its numbers up to {n - 1} cannot be converted to type "
                f"{dtype.name} without overflow"
            )

        def draw(count: int, name: str, _: bool) -> np.ndarray:
            if count == n:
                return discrete.permutation(engine, n, name)
            # Under vmap: one for each member.
            orders = [discrete.permutation(engine, n, name) for _ in range(count // max(n, 1))]
            return np.concatenate(orders) if orders else discrete.permutation(engine, 0, name)

        return draw

    return _new("randperm", (n,), order_of, int64, **keywords)


# ---- like another tensor -----------------------------------------------------------------------


def _like(
    operation: str,
    input: Tensor,
    draw_of: DrawOf,
    *,
    dtype: DType | None = None,
    layout: object = None,
    device: object = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: object = None,
) -> Tensor:
    place = resolve_device(input.device if device is None else device)
    on_meta = place is META
    _require_plain(operation, layout, None)
    chosen = dtype or input.dtype
    if on_meta:
        return finish(meta_tensor(input._node.shape, chosen), requires_grad)
    order = order_like(input, memory_format)
    strides = None if order is None else strides_in(input._node.shape, order)
    draw = draw_of(chosen)
    _require_differentiable(chosen, requires_grad)
    made = lying(drawn(input._node.shape, strides, chosen, draw), order)
    made = placed(made, place)
    return finish(pinned(made) if pin_memory else made, requires_grad)


@spelled()
def rand_like(input: Tensor, *, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """Numbers uniform in [0, 1) of `input`'s shape and dtype.

    Keywords: dtype, layout, device, pin_memory, requires_grad, memory_format.
    Source: torch.rand_like.
    """
    engine = engine_of("rand_like", generator, keywords.get("device") or input.device)
    return _like("rand_like", input, lambda d: uniform_draw(engine, d, 0.0, 1.0), **keywords)


@spelled()
def randn_like(input: Tensor, *, generator: Generator | None = None, **keywords: Any) -> Tensor:
    """Standard normal numbers of `input`'s shape and dtype.

    Keywords: dtype, layout, device, pin_memory, requires_grad, memory_format.
    Source: torch.randn_like.
    """
    engine = engine_of("randn_like", generator, keywords.get("device") or input.device)
    return _like("randn_like", input, lambda d: normal_draw(engine, d, 0.0, 1.0), **keywords)


@spelled()
def randint_like(
    input: Tensor, *bounds: Any, generator: Generator | None = None, **keywords: Any
) -> Tensor:
    """Integers in [low, high) of `input`'s shape and dtype: `(input, high)`, `(input, low, high)`.

    Keywords: low, high, dtype, layout, device, pin_memory, requires_grad, memory_format.
    Source: torch.randint_like.
    """
    engine = engine_of("randint_like", generator, keywords.get("device") or input.device)
    low, high = _integer_arguments("randint_like", bounds, keywords, ("low", "high"))
    return _like("randint_like", input, lambda d: integer_draw(engine, d, low, high), **keywords)


# ---- with parameters in tensors ----------------------------------------------------------------


@spelled()
def normal(
    mean: float | Tensor,
    std: float | Tensor = 1.0,
    size: tuple[int, ...] | None = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    **keywords: Any,
) -> Tensor:
    """Normal numbers: of one mean and deviation for a `size`, or of a tensor of either or both.

    Shapes: those of `mean` and `std` broadcast.  Dtypes: `mean`'s if it is a tensor, else `std`'s.
    Raises: RuntimeError if a deviation is negative.  Source: torch.normal.
    """
    engine = engine_of("normal", generator)
    if not isinstance(mean, Tensor) and not isinstance(std, Tensor):
        if not isinstance(size, (tuple, list)):
            raise TypeError("normal() of two numbers needs a size: normal(mean, std, (2, 3))")
        return _new(
            "normal",
            shape_from((size,)),
            lambda d: normal_draw(engine, d, float(mean), float(std)),
            get_default_dtype(),
            out=out,
            **keywords,
        )
    if size is not None or keywords:
        raise TypeError(
            f"normal() with a tensor takes its shape and dtype from there; remove "
            f"{', '.join(sorted(keywords) or ['size'])}"
        )
    made = _normal_of_tensors(engine, mean, std)
    return made if out is None else write_out(out, made)


def _normal_of_tensors(engine: Any, mean: float | Tensor, std: float | Tensor) -> Tensor:
    shapes = [x._node.shape for x in (mean, std) if isinstance(x, Tensor)]
    shape = broadcast_shapes(*shapes) if len(shapes) == 2 else shapes[0]
    dtype = next(x.dtype for x in (mean, std) if isinstance(x, Tensor))
    if isinstance(std, Tensor) and local.tape.transforms is None:
        deviations = widen(value_of(std), std.dtype)
        if deviations.dtype.kind == "c":
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if not np.all(deviations >= 0):
            raise RuntimeError("normal expects all elements of std >= 0.0")
    elif not isinstance(std, Tensor) and not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    # Drawn as standard numbers, then two roundings, as PyTorch does.
    made = drawn(shape, None, dtype, normal_draw(engine, dtype, 0.0, 1.0))
    scale = std.detach() if isinstance(std, Tensor) else std
    shift = mean.detach() if isinstance(mean, Tensor) else mean
    if local.tape.transforms is not None:
        # Parameters may differ by member where numbers do not, and then cannot be written there.
        return _with_zero_gradient(((made * scale).to(dtype) + shift).to(dtype), mean, std)
    made.mul_(scale)
    made.add_(shift)
    return _with_zero_gradient(made, mean, std)


def _with_zero_gradient(made: Tensor, *parameters: float | Tensor) -> Tensor:
    """`made`, following the parameters that require gradients: they get zeros, as in PyTorch."""
    tracked = [x for x in parameters if isinstance(x, Tensor) and current_edge(x) is not None]
    if not tracked or not is_grad_enabled():
        return made
    carrier = tracked[0] if len(tracked) == 1 else tracked[0] + tracked[1]
    # Overwriting in place ends the carrier's gradient there.
    return write(cast(expand(copy(carrier), made._node.shape), made.dtype), made)


@spelled(method=True, out=True)
@beside_input
def bernoulli(
    input: Tensor, p: float | None = None, *, generator: Generator | None = None
) -> Tensor:
    """Ones with the probabilities in `input`, else zeros; or all with one probability `p`.

    Dtypes: `input`'s.  Raises: RuntimeError if a probability is outside [0, 1].
    Source: torch.bernoulli.
    """
    engine = engine_of("bernoulli", generator, input.device)
    if p is None:
        return _with_zero_gradient(flips_for(input, engine), input)
    draw = bernoulli_draw(engine, input.dtype, float(p))
    order = order_like(input)
    strides = None if order is None else strides_in(input._node.shape, order)
    made = lying(drawn(input._node.shape, strides, input.dtype, draw), order)
    return _with_zero_gradient(made, input)


@spelled(method=True)
@beside_input
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices of categories drawn with the weights in each row of `input`.

    Shapes: (n,) -> (num_samples,), (rows, n) -> (rows, num_samples).
    Raises: RuntimeError if weights or number of samples are unfit.  Source: torch.multinomial.
    """
    engine = engine_of("multinomial", generator, input.device)
    if input.dim() not in (1, 2):
        raise RuntimeError(
            f"multinomial: prob_dist must be 1 or 2 dim, got a tensor of {input.dim()} dimensions"
        )
    if not input.dtype.is_floating_point:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: "
            f"{scalar_name(input.dtype)}"
        )
    if out is not None and out.dtype is not int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {scalar_name(out.dtype)}")
    if num_samples <= 0:
        raise RuntimeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    categories = input._node.shape[-1]
    if not replacement and num_samples > categories:
        raise RuntimeError(
            "multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement, "
            f"got {num_samples} samples of {categories} categories"
        )

    def indices_for(input: Tensor) -> Tensor:
        weights = value_of(input)
        rows = weights.reshape(-1, categories) if weights.size else weights.reshape(-1, 1)[:0]
        indices = draw_categories(engine, rows, input.dtype.name, num_samples, replacement)
        shape = (*input._node.shape[:-1], num_samples)
        return tensor_from_numpy(np.ascontiguousarray(indices.reshape(shape)), int64)

    tape = local.tape
    if tape.transforms is None:
        made = indices_for(input)
    else:
        made = tape.transforms.drawn_from(indices_for, input)
    return made if out is None else write_out(out, made)


@spelled()
@beside_input
def poisson(input: Tensor, generator: Generator | None = None) -> Tensor:
    """Poisson numbers with the rates in `input`.

    Dtypes: `input`'s, floating.  Raises: RuntimeError if a rate is negative.
    Source: torch.poisson.
    """
    engine = engine_of("poisson", generator, input.device)
    if not input.dtype.is_floating_point:
        raise unsupported("poisson_cpu", input.dtype)

    def counts(rates: Tensor) -> Tensor:
        flat = widen(value_of(rates), rates.dtype).astype(np.float64).ravel()
        values = discrete.poisson(engine, flat, rates.dtype.name)
        return tensor_from_numpy(values.reshape(rates._node.shape), rates.dtype)

    tape = local.tape
    made = counts(input) if tape.transforms is None else tape.transforms.drawn_from(counts, input)
    return _with_zero_gradient(made, input)
