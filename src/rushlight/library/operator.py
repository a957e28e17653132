"""An operator: kernels by kind of device, a derivative, a fake, and how a call finds them.

Level 12.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from rushlight.autograd.function import Function
from rushlight.library.schema import Schema
from rushlight.ops.registry import REGISTERED, OperatorPacket
from rushlight.tensor.grad_mode import is_grad_enabled, no_grad
from rushlight.tensor.tensor import Tensor
from rushlight.tensor.torch_function import state

ANYWHERE = ""


class Operator:
    """One registered operator.

    kernels: kind of device to function; ANYWHERE for all.
    opaque: whether what a kernel records is hidden from autograd.
    """

    def __init__(self, name: str, schema: Schema, opaque: bool) -> None:
        self.name, self.schema, self.opaque = name, schema, opaque
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.disabled: set[str] = set()
        self.fake: Callable[..., Any] | None = None
        self.backward: Callable[..., Any] | None = None
        self.setup_context: Callable[..., Any] | None = None
        self.vmap_rule: Callable[..., Any] | None = None
        self.autocast: dict[str, Any] = {}
        self.dispatch_rules: dict[Any, Callable[..., Any]] = {}

    def add_kernel(self, device_types: Any, function: Callable[..., Any]) -> None:
        """Add a kernel for kinds of device, or for all if None."""
        if device_types is None:
            self.kernels[ANYWHERE] = function
            return
        for kind in [device_types] if isinstance(device_types, str) else device_types:
            self.kernels[kind.lower()] = function

    def remove(self) -> None:
        """Forget the operator."""
        namespace, _, name = self.name.partition("::")
        REGISTERED.get(namespace, {}).pop(name, None)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        args, kwargs = self.schema.bind(args, kwargs)
        tensors = list(_tensors((*args, *kwargs.values())))
        if any(x.device.type == "meta" for x in tensors):
            return self.run_fake(args, kwargs)
        kind = tensors[0].device.type if tensors else "cpu"
        if state.autocast is not None and kind in state.autocast.dtypes and kind in self.autocast:
            dtype = self.autocast[kind]
            args = tuple(
                x.to(dtype) if isinstance(x, Tensor) and x.dtype.is_floating_point else x  # type: ignore[attr-defined]
                for x in args
            )
        kernel = self._kernel()
        follows = is_grad_enabled() and any(x.requires_grad for x in tensors)  # type: ignore[attr-defined]
        if self.backward is not None and follows:
            return _with_gradient(self, kernel, args, kwargs)
        if not self.opaque:
            return kernel(*args, **kwargs)
        with no_grad():
            result = kernel(*args, **kwargs)
        return _without_gradient(self, result, tensors) if follows else result

    def _kernel(self) -> Callable[..., Any]:
        for kind in ("cpu", ANYWHERE):
            if kind in self.kernels and kind not in self.disabled:
                return self.kernels[kind]
        if ANYWHERE in self.kernels:
            return self.kernels[ANYWHERE]
        raise NotImplementedError(
            f"Could not run '{self.name}' with arguments from the 'CPU' backend: it has kernels for"
            f" {sorted(self.kernels) or 'nothing'}; register one with library.register_kernel"
        )

    def run_fake(self, args: tuple, kwargs: dict[str, Any]) -> Any:
        """Results without memory.  Raises: NotImplementedError if the operator has no fake."""
        if self.fake is None:
            if not self.opaque:
                return self._kernel()(*args, **kwargs)
            raise NotImplementedError(
                f"{self.name}: no fake implementation for tensors without memory; register one with"
                " register_fake"
            )
        return self.fake(*args, **kwargs)


def _tensors(values: Any) -> Iterator[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (list, tuple)):
            yield from _tensors(value)


def define_operator(name: str, schema: Schema, *, opaque: bool) -> Operator:
    """Register an operator.  Raises: ValueError for a name without a namespace."""
    namespace, separator, short = name.partition("::")
    if not separator or not namespace or not short:
        raise ValueError(
            f"Expected `name` to be of the form `namespace::name`, but got {name!r} instead"
        )
    short = short.partition(".")[0]
    if not schema.name:
        text = schema.text.strip()
        schema = schema._replace(name=short, text=f"{namespace}::{short}{text}")
    operator = Operator(f"{namespace}::{short}", schema, opaque)
    packet = OperatorPacket(operator.name, operator, operator)
    REGISTERED.setdefault(namespace, {})[short] = packet
    return operator


def operator_named(name: str) -> Operator:
    """A registered operator.  Raises: RuntimeError if there is none of this name."""
    namespace, _, short = name.partition("::")
    packet = REGISTERED.get(namespace, {}).get(short.partition(".")[0])
    if packet is None or not isinstance(packet.definition, Operator):
        raise RuntimeError(f"operator {name} does not exist; define it first with library.define")
    return packet.definition


class _Call(Function):
    """One call of an operator with a derivative: leaves of the arguments as operands."""

    @staticmethod
    def forward(ctx: Any, operator: Operator, kernel: Any, shape: Any, *leaves: Any) -> Any:
        args, kwargs = shape(leaves)
        result = kernel(*args, **kwargs)
        ctx.operator = operator
        if operator.setup_context is not None:
            given: Any = (ctx, args, result)
            names = inspect.signature(operator.setup_context).parameters
            if "keyword_only_inputs" in names:
                operator.setup_context(
                    ctx=ctx, inputs=args, keyword_only_inputs=kwargs, output=result
                )
            else:
                operator.setup_context(*given)
        ctx.places = [isinstance(value, (list, tuple)) for value in args]
        ctx.lengths = [len(v) if isinstance(v, (list, tuple)) else 1 for v in args]
        ctx.extra = len(leaves) - sum(ctx.lengths)
        return tuple(result) if isinstance(result, list) else result

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        operator = ctx.operator
        found = operator.backward(ctx, *gradients)
        found = found if isinstance(found, tuple) else (found,)
        flat: list[Any] = []
        for listed, length, value in zip(ctx.places, ctx.lengths, found):
            flat.extend((value or [None] * length) if listed else [value])
        return (None, None, None, *flat, *[None] * ctx.extra)


def _with_gradient(operator: Operator, kernel: Any, args: tuple, kwargs: dict) -> Any:
    names = list(kwargs)
    lengths = [len(v) if isinstance(v, (list, tuple)) else None for v in args]
    leaves: list[Any] = []
    for value, length in zip(args, lengths):
        leaves.extend(value if length is not None else [value])
    leaves.extend(kwargs.values())

    def shape(given: tuple) -> tuple[tuple, dict[str, Any]]:
        rest = list(given)
        built: list[Any] = []
        for length in lengths:
            if length is None:
                built.append(rest.pop(0))
            else:
                built.append(rest[:length])
                del rest[:length]
        return tuple(built), dict(zip(names, rest))

    result = _Call.apply(operator, kernel, shape, *leaves)
    return list(result) if operator.schema.returns.endswith("[]") else result


class _Refused(Function):
    """The result of an operator without a derivative."""

    @staticmethod
    def forward(ctx: Any, name: str, result: Any, *operands: Any) -> Any:
        ctx.name = name
        return result.view_as(result)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> Any:
        raise RuntimeError(
            f"Trying to backward through {ctx.name} but no autograd formula was registered; use"
            " register_autograd"
        )


def _without_gradient(operator: Operator, result: Any, operands: list[Any]) -> Any:
    """A result that requires a gradient and refuses to give one."""
    if isinstance(result, Tensor):
        if result.dtype.is_inexact and not any(result is x for x in operands):
            return _Refused.apply(operator.name, result, *operands)
        return result
    if isinstance(result, (list, tuple)):
        return type(result)(_without_gradient(operator, one, operands) for one in result)
    return result


def run_fake(operator: Operator, args: tuple, kwargs: dict[str, Any], test: str) -> None:
    """One of `opcheck`'s tests.  Raises: AssertionError where a promise is broken."""
    args, kwargs = operator.schema.bind(args, kwargs)
    before = [x.detach().clone() for x in _tensors((*args, *kwargs.values()))]  # type: ignore[attr-defined]
    result = operator(*args, **kwargs)
    if test == "test_schema":
        promised = [p for p in operator.schema.parameters if p.mutated]
        after = list(_tensors((*args, *kwargs.values())))
        if not promised:
            for old, new in zip(before, after):
                if not bool((old == new).all()):  # type: ignore[attr-defined]
                    raise AssertionError(
                        f"{operator.name} writes to an operand; name it in mutates_args"
                    )
    if test == "test_faketensor" and operator.fake is not None:
        fake = operator.fake(*args, **kwargs)
        for real, made in zip(_tensors([result]), _tensors([fake])):
            if (real.shape, real.dtype) != (made.shape, made.dtype):
                raise AssertionError(
                    f"{operator.name}: the fake gives {made.dtype} of shape"
                    f" {tuple(made.shape)}, the kernel {real.dtype} of shape {tuple(real.shape)}"
                )


class CustomOpDef:
    """What `custom_op` returns: the operator, with methods that complete it."""

    def __init__(self, operator: Operator, function: Callable[..., Any]) -> None:
        self._operator = operator
        self._init_fn = function
        self._name = operator.name.rpartition("::")[2]
        self._qualname = operator.name
        self.__name__ = self._name
        self.__doc__ = function.__doc__

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._operator(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"

    def name(self) -> str:
        """The name with its namespace."""
        return self._qualname

    def register_kernel(self, device_types: Any, fn: Any = None, /) -> Any:
        """Add a kernel for kinds of device, or for all if None."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            self._operator.add_kernel(device_types, function)
            return function

        return attach if fn is None else attach(fn)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Say what shape and dtype the results have."""
        self._operator.fake = fn
        return fn

    def register_autograd(
        self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None
    ) -> None:
        """The derivative: backward(ctx, *gradients) gives one for each argument, or None.

        setup_context(ctx, inputs, output) keeps what it needs.
        """
        self._operator.backward, self._operator.setup_context = backward, setup_context

    def register_vmap(self, func: Any = None) -> Any:
        """A rule for `vmap`: func(info, in_dims, *args) gives results and their batch axes."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            self._operator.vmap_rule = function
            return function

        return attach if func is None else attach(func)

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Any = None, /) -> Any:
        """A rule for classes with `__torch_dispatch__`; kept."""

        def attach(function: Callable[..., Any]) -> Callable[..., Any]:
            self._operator.dispatch_rules[torch_dispatch_class] = function
            return function

        return attach if fn is None else attach(fn)

    def register_autocast(self, device_type: str, cast_inputs: Any) -> None:
        """Let autocast call the operator with operands of a dtype."""
        self._operator.autocast[device_type] = cast_inputs

    @contextlib.contextmanager
    def set_kernel_enabled(self, device_type: str, enabled: bool = True) -> Iterator[None]:
        """Context that switches a kernel off or on."""
        disabled = self._operator.disabled
        before = set(disabled)
        disabled.discard(device_type) if enabled else disabled.add(device_type)
        try:
            yield
        finally:
            disabled.clear()
            disabled.update(before)
