"""How a function of `ops/` becomes a method, an in-place method, or takes `out=`.  Level 11.

    @spelled(method=True, inplace=True, out=True)
    def add(input, other, *, alpha=1): ...

gives `rushlight.add` with `out=`, `Tensor.add` and `Tensor.add_`.  The in-place form computes the
ordinary result and writes it into the tensor, which is all the tape needs: the scheduler makes it a
true in-place update where the old value is dead.
"""

from __future__ import annotations

import functools

from rushlight.base.dtypes import can_cast
from rushlight.base.hot import hot
from rushlight.base.shapes import broadcast_shapes
from rushlight.primitives.elementwise import cast
from rushlight.primitives.movement import copy, expand, reshape
from rushlight.tape.tape import current_tape
from rushlight.tensor.memory import storage_of
from rushlight.tensor.storage import check_writable, current_edge, write
from rushlight.tensor.tensor import Tensor

# Public function names in order of definition: name -> function; `rushlight/__init__` exports them.
PUBLIC: dict[str, object] = {}


def spelled(
    *,
    method: bool | str = False,
    inplace: bool | str = False,
    out: bool = False,
    function: bool = True,
    aliases: tuple[str, ...] = (),
):
    """Decorator; see the module docstring.

    method, inplace: True for the function's own name (with `_`), or another name.
    out: whether the public function takes `out=`.
    function: whether the name is public as a function of the top namespace.
    aliases: further names for the function and the method.
    """

    def attach(spelling):
        name = spelling.__name__
        public = with_out(spelling) if out else spelling
        for known_as in (name, *aliases):
            if function:
                PUBLIC[known_as] = public
            if method:
                method_name = method if isinstance(method, str) else known_as
                setattr(Tensor, method_name, public)
            if inplace:
                inplace_name = inplace if isinstance(inplace, str) else known_as + "_"
                setattr(Tensor, inplace_name, in_place(spelling, inplace_name))
        return public

    return attach


def in_place(spelling, name: str):
    """The in-place method of a spelling."""

    @functools.wraps(spelling)
    @hot
    def method(self, *args, **kwargs):
        check_writable(self)
        return write_result(self, spelling(value_before_write(self, args), *args, **kwargs))

    method.__name__ = method.__qualname__ = name
    return method


@hot
def value_before_write(target: Tensor, args: tuple) -> Tensor:
    """The operand that stands for `target` in an operation whose result replaces it.

    What backward saves of it is not the tensor about to change but the value it had, so the version
    check must not apply (PyTorch keeps a clone): a handle whose node belongs to no storage.
    """
    if not current_tape().grad_enabled:
        return target
    follows = current_edge(target) is not None
    if not follows and not any(
        [isinstance(x, Tensor) and current_edge(x) is not None for x in args]
    ):
        return target
    return _former_value(target)


def _former_value(target: Tensor) -> Tensor:
    tape = current_tape()
    enabled = tape.grad_enabled
    tape.grad_enabled = False  # not by `no_grad`, which is the user's: see `transform/`
    try:
        before = reshape(target, target._node.shape)
    finally:
        tape.grad_enabled = enabled
    before._grad_fn = target._grad_fn
    return before


@hot
def write_result(target: Tensor, result: Tensor, *, uniform: bool = False) -> Tensor:
    """Write an operation's result into `target`.  Raises: RuntimeError as PyTorch.

    uniform: the result has one value everywhere; see `storage.check_writable`.
    """
    source = result._node
    shape = target._node.shape
    dtype = target._node.dtype
    if source.dtype is not dtype:
        if not can_cast(source.dtype, dtype):
            raise RuntimeError(
                f"result type {source.dtype} can't be cast to the desired output type {dtype}"
            )
        result = cast(result, dtype)
    if source.shape != shape:
        if broadcast_shapes(source.shape, shape) != shape:
            raise RuntimeError(
                f"output with shape {list(shape)} doesn't match the broadcast shape "
                f"{list(source.shape)}"
            )
        result = expand(result, shape)
    return write(target, result, uniform=uniform)


def write_out(out: Tensor, result: Tensor) -> Tensor:
    """Store a result in the tensor given as `out=`, resizing it where its shape differs."""
    if not isinstance(out, Tensor):
        raise TypeError(f"out: expected a Tensor, got {type(out).__name__}")
    if current_tape().grad_enabled and (
        current_edge(result) is not None or current_edge(out) is not None
    ):
        raise RuntimeError(
            "out=...: functions with out=... arguments don't support automatic differentiation, "
            "but one of the arguments requires grad."
        )
    dtype = out._node.dtype
    if result._node.dtype is not dtype:
        if not can_cast(result._node.dtype, dtype):
            raise RuntimeError(
                f"result type {result._node.dtype} can't be cast to the desired output type {dtype}"
            )
        result = cast(result, dtype)
    if result._node.shape != out._node.shape:
        return resize_to(out, result)
    return write(out, result)


def resize_to(out: Tensor, result: Tensor) -> Tensor:
    """Give `out` a storage of its own that holds `result`."""
    fresh = copy(result)
    out._storage = None
    out._layout = None
    out._base = None
    out._node = fresh._node
    storage_of(out)
    return out


def with_out(spelling):
    """Add `out=` (a tensor, or a sequence of tensors for several results)."""

    @functools.wraps(spelling)
    @hot
    def public(*args, out=None, **kwargs):
        result = spelling(*args, **kwargs)
        if out is None:
            return result
        if isinstance(result, Tensor):
            return write_out(out, result)
        stored = [write_out(o, r) for o, r in zip(out, result)]
        return type(result)(*stored) if hasattr(result, "_fields") else type(result)(stored)

    return public


def attach_method(name: str):
    """Decorator: attach a function to Tensor under `name` without making it public."""

    def attach(function):
        setattr(Tensor, name, function)
        return function

    return attach
