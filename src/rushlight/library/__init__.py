"""PyTorch's `torch.library`: operators that a program defines, with their gradients.

An operator is a Python function with a schema.  Its kernel is opaque: what it records is not
differentiated, `register_autograd` says how.  Level 12.
"""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rushlight.library.operator import (
    CustomOpDef,
    Operator,
    define_operator,
    operator_named,
    run_fake,
)
from rushlight.library.schema import infer_schema, parse_schema

__all__ = [
    "CustomOpDef",
    "Library",
    "Tag",
    "custom_op",
    "define",
    "fallthrough_kernel",
    "get_ctx",
    "impl",
    "impl_abstract",
    "infer_schema",
    "opcheck",
    "register_autocast",
    "register_autograd",
    "register_fake",
    "register_kernel",
    "register_torch_dispatch",
    "register_vmap",
    "triton_op",
    "wrap_triton",
]

# Kinds of device and dispatch keys whose kernel runs here.
_COMPOSITE = ("CompositeImplicitAutograd", "CompositeExplicitAutograd", "default")


class Tag(enum.Enum):
    """What an operator promises; kept."""

    core = 0
    data_dependent_output = 1
    dynamic_output_shape = 2
    flexible_layout = 3
    generated = 4
    inplace_view = 5
    maybe_aliasing_or_mutating = 6
    needs_exact_strides = 7
    needs_contiguous_strides = 8
    needs_fixed_stride_order = 9
    nondeterministic_bitwise = 10
    nondeterministic_seeded = 11
    out_variant = 12
    pointwise = 13
    pt2_compliant_tag = 14
    reduction = 15
    view_copy = 16


def custom_op(
    name: str,
    fn: Callable[..., Any] | None = None,
    /,
    *,
    mutates_args: Any,
    device_types: Any = None,
    schema: str | None = None,
    tags: Sequence[Any] | None = None,
) -> Any:
    """An operator `namespace::name` from a function; a decorator if called without one.

    mutates_args: names of the parameters that the function writes to, or "unknown".
    device_types: where the function runs; None for everywhere.
    schema: "(Tensor x, int n) -> Tensor"; by default from the function's annotations.
    Raises: ValueError for a name without a namespace, or a function without annotations.
    """

    def attach(function: Callable[..., Any]) -> CustomOpDef:
        text = infer_schema(function, mutates_args=mutates_args) if schema is None else schema
        operator = define_operator(name, parse_schema(text), opaque=True)
        operator.add_kernel(device_types, function)
        return CustomOpDef(operator, function)

    return attach if fn is None else attach(fn)


def triton_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: Any, schema: Any = None
) -> Any:
    """An operator whose function may call Triton's kernels; without a GPU it calls others."""

    def attach(function: Callable[..., Any]) -> CustomOpDef:
        text = infer_schema(function, mutates_args=mutates_args) if schema is None else schema
        operator = define_operator(name, parse_schema(text), opaque=False)
        operator.add_kernel(None, function)
        return CustomOpDef(operator, function)

    return attach if fn is None else attach(fn)


def wrap_triton(triton_kernel: Callable[..., Any], /) -> Any:
    """Raises: RuntimeError; Triton's kernels need a GPU."""
    raise RuntimeError("wrap_triton: Triton's kernels need a GPU; rushlight runs on the CPU")


class Library:
    """A namespace of operators.

    kind: "DEF" for a new one, "FRAGMENT" to add to it, "IMPL" to give operators kernels.
    Raises: ValueError for another kind, or a reserved namespace.
    """

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError(f"Unsupported kind: {kind}")
        if ns in ("prim",) and kind in ("DEF", "FRAGMENT"):
            raise ValueError(f"{ns} is a reserved namespace. Please try creating a library with"
                             " another name.")  # fmt: skip
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self._defined: list[Operator] = []

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Declare `name(Tensor x, ...) -> Tensor`; returns the name."""
        parsed = parse_schema(schema)
        self._defined.append(define_operator(f"{self.ns}::{parsed.name}", parsed, opaque=False))
        return parsed.name

    def impl(
        self,
        op_name: Any,
        fn: Callable[..., Any],
        dispatch_key: str = "",
        *,
        with_keyset: bool = False,
        allow_override: bool = False,
    ) -> None:
        """Give an operator a kernel.  Raises: TypeError unless `fn` can be called."""
        if not callable(fn):
            raise TypeError(
                f"Input function is required to be a callable but found type {type(fn)}"
            )
        name = op_name if isinstance(op_name, str) else op_name.name()
        name = name if "::" in name else f"{self.ns}::{name}"
        _add_kernel(operator_named(name), dispatch_key or self.dispatch_key, fn)

    def fallback(self, fn: Callable[..., Any], dispatch_key: str = "", **options: Any) -> None:
        """A kernel for every operator of a key; only keys that run nothing here have one."""

    def _destroy(self) -> None:
        for operator in self._defined:
            operator.remove()
        self._defined.clear()


def _add_kernel(operator: Operator, key: str, fn: Callable[..., Any]) -> None:
    kind = key.lower()
    if key in _COMPOSITE or kind in ("", "cpu"):
        operator.add_kernel(None if key in _COMPOSITE else ["cpu"], fn)
    elif kind == "meta":
        operator.fake = fn
    elif kind.startswith("autograd"):
        operator.add_kernel(["cpu"], fn)
    else:
        operator.kernels[kind] = fn


def define(qualname: str, schema: str, *, lib: Library | None = None, tags: Any = ()) -> None:
    """Declare an operator `namespace::name` with a schema `(Tensor x) -> Tensor`."""
    name = qualname.rpartition("::")[2]
    operator = define_operator(qualname, parse_schema(f"{name}{schema}"), opaque=False)
    if lib is not None:
        lib._defined.append(operator)


def impl(
    qualname: str, types: Any, func: Callable[..., Any] | None = None, *, lib: Any = None
) -> Any:
    """Give an operator a kernel for kinds of device; a decorator if called without one."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        for kind in [types] if isinstance(types, str) else list(types):
            _add_kernel(operator_named(qualname), kind, function)
        return function

    return attach if func is None else attach(func)


def _named(op: Any) -> Operator:
    if isinstance(op, CustomOpDef):
        return op._operator
    return operator_named(op if isinstance(op, str) else op.name())


def register_kernel(op: Any, device_types: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Give an operator a kernel for kinds of device, or all for None."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        _named(op).add_kernel(device_types, function)
        return function

    return attach if func is None else attach(func)


def register_fake(
    op: Any,
    func: Any = None,
    /,
    *,
    lib: Any = None,
    _stacklevel: int = 1,
    allow_override: bool = False,
) -> Any:
    """Say what shape and dtype an operator's results have; used for tensors without memory."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        operator_or_none = _named_or_none(op)
        if operator_or_none is not None:
            operator_or_none.fake = function
        return function

    return attach if func is None else attach(func)


def _named_or_none(op: Any) -> Operator | None:
    """An operator of a C++ library that is not here has no fake to be given."""
    try:
        return _named(op)
    except RuntimeError:
        return None


impl_abstract = register_fake


def register_autograd(
    op: Any,
    backward: Callable[..., Any],
    /,
    *,
    setup_context: Callable[..., Any] | None = None,
    lib: Any = None,
) -> None:
    """Give an operator a derivative; see `CustomOpDef.register_autograd`."""
    operator = _named(op)
    operator.backward, operator.setup_context = backward, setup_context


def register_vmap(op: Any, func: Any = None, /, *, lib: Any = None) -> Any:
    """Give an operator a rule for `vmap`: func(info, in_dims, *args) -> (result, out_dims)."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        _named(op).vmap_rule = function
        return function

    return attach if func is None else attach(func)


def register_autocast(op: Any, device_type: str, cast_inputs: Any, /, *, lib: Any = None) -> None:
    """Let autocast call an operator with operands of a dtype."""
    _named(op).autocast[device_type] = cast_inputs


def register_torch_dispatch(
    op: Any, torch_dispatch_class: Any, func: Any = None, /, *, lib: Any = None
) -> Any:
    """A rule for classes with `__torch_dispatch__`; kept."""

    def attach(function: Callable[..., Any]) -> Callable[..., Any]:
        _named(op).dispatch_rules[torch_dispatch_class] = function
        return function

    return attach if func is None else attach(func)


def fallthrough_kernel() -> None:
    """The kernel that passes a call on.  Raises: NotImplementedError when called."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


class _FakeContext:
    """What a fake function may ask for."""

    def new_dynamic_size(self, *, min: int = 0, max: int | None = None) -> int:  # noqa: A002
        """A size that depends on values: the smallest that it may be."""
        return min

    create_unbacked_symint = new_dynamic_size


def get_ctx() -> _FakeContext:
    """The context of a fake function."""
    return _FakeContext()


def opcheck(
    op: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any] | None = None,
    *,
    test_utils: Any = ("test_schema", "test_autograd_registration", "test_faketensor"),
    raise_exception: bool = True,
    atol: float | None = None,
    rtol: float | None = None,
) -> dict[str, str]:
    """Check an operator on examples: its schema's promise about writes, and its fake's shapes.

    Returns test to "SUCCESS" or what went wrong.  Raises: the first error if `raise_exception`.
    """
    operator = _named(op)
    tests = [test_utils] if isinstance(test_utils, str) else list(test_utils)
    found: dict[str, str] = {}
    for test in tests:
        try:
            run_fake(operator, args, kwargs or {}, test)
            found[test] = "SUCCESS"
        except Exception as error:
            if raise_exception:
                raise
            found[test] = f"{type(error).__name__}: {error}"
    return found


@contextlib.contextmanager
def _scoped_library(ns: str, kind: str, dispatch_key: str = "") -> Iterator[Library]:
    library = Library(ns, kind, dispatch_key)
    try:
        yield library
    finally:
        library._destroy()
