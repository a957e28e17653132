"""Operations with a backward of the user's own: `Function` and its context.

`apply` runs the user's forward without recording gradients, then hangs the outputs on one graph
node whose backward calls the user's.  The node owns the context, and the context refers to the node
weakly, so a graph is freed without waiting for the garbage collector.  Level: autograd (12).
"""

from __future__ import annotations

import functools
import importlib
import inspect
import warnings
import weakref
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.base.shapes import broadcast_shapes
from rushlight.primitives.elementwise import cast
from rushlight.primitives.movement import expand, reshape
from rushlight.primitives.reduction import reduce_sum
from rushlight.tape.memo import user_line
from rushlight.tape.tape import current_tape
from rushlight.tensor.autodiff import AnomalyMode, CustomNode, saved_tensor, type_name
from rushlight.tensor.grad_mode import no_grad, set_grad_enabled
from rushlight.tensor.graph import AccumulateGrad, OutputOf, target_of
from rushlight.tensor.rebase import adopt_history
from rushlight.tensor.storage import alias_without_grad, check_writable, current_edge
from rushlight.tensor.tensor import Tensor, scalar_tensor

_FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class _Saved:
    """A tensor kept for backward, with the version it had; or what a hook made of it."""

    __slots__ = ("history", "index", "label", "packed", "tensor", "version")

    def __init__(self, tensor: Tensor, index: int | None, label: str) -> None:
        # An output would keep its own node alive in a circle: keep its value without history.
        self.tensor = tensor if index is None else alias_without_grad(tensor)
        self.index = index
        self.version = tensor._version
        self.label = label
        self.packed = self.history = None
        if current_tape().transforms is not None:
            self._pack(tensor)

    def _pack(self, tensor: Tensor) -> None:
        # Transforms are active, so that nothing more is loaded.
        saving = importlib.import_module("rushlight.autograd.saved_tensors")
        level = saving.innermost()
        if level is None:
            return
        self.packed = saving.packed(tensor, level.pack, level.unpack)
        self.history = current_edge(tensor)
        self.tensor = None

    def unpack(self, edge: Any) -> Tensor:
        if self.packed is not None:
            return saved_tensor(self.packed, self.history if self.index is None else edge)
        tensor = self.tensor
        if tensor._version != self.version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an "
                f"inplace operation: [{type_name(tensor.dtype)} {list(tensor.shape)}]"
                f"{self._origin()} is at version {tensor._version}; expected version "
                f"{self.version} instead. Hint: enable anomaly detection to find the operation "
                "that failed to compute its gradient, with "
                "torch.autograd.set_detect_anomaly(True, check_nan=False)."
            )
        if self.index is None:
            return tensor
        fresh = alias_without_grad(tensor)
        fresh._grad_fn = edge
        return fresh

    def _origin(self) -> str:
        if self.index is not None:
            return f", which is output {self.index} of {self.label},"
        edge = current_edge(self.tensor)
        if edge is None or type(edge) is AccumulateGrad:
            return ""
        node, index = target_of(edge)
        return f", which is output {index} of {node.name().partition('Backward')[0]},"


class FunctionCtx:
    """What forward leaves for backward; attributes of the user's own are welcome."""

    def __init__(self) -> None:
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self._to_save: tuple = ()
        self._for_forward: tuple = ()
        self._in_jvp = False
        self._saved: list[_Saved | None] | None = []
        self._dirty: tuple = ()
        self._non_differentiable: tuple = ()
        self._node: Callable[[], Any] = lambda: None
        self._output_count = 0

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) for `saved_tensors`; call it at most once, in forward.

        Raises: TypeError for anything else; such values go into attributes of the context.
        """
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of "
                    f"type {type(tensor).__name__}"
                )
        self._to_save = tensors

    def save_for_forward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (or None) that `jvp` will find in `saved_tensors`.

        Raises: TypeError for anything else.
        """
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_forward can only save tensors, but argument {position} is of type "
                    f"{type(tensor).__name__}"
                )
        self._for_forward = tensors

    def mark_dirty(self, *args: Tensor) -> None:
        """Say which inputs forward changed in place; they must be among its outputs."""
        self._dirty = args

    def mark_non_differentiable(self, *args: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = args

    def set_materialize_grads(self, value: bool) -> None:
        """Whether backward gets zeros (True, the default) or None for outputs nobody used."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple:
        """What `save_for_backward` kept.

        Raises: RuntimeError if the graph was freed, or if a kept tensor was changed in place.
        """
        if self._in_jvp:
            return self._for_forward
        if self._saved is None:
            raise RuntimeError(_FREED)
        node = self._node()
        return tuple(
            None if kept is None else kept.unpack(_edge(node, kept.index, self._output_count))
            for kept in self._saved
        )

    def _keep_saved(self, args: Sequence[Any], outputs: Sequence[Any], label: str) -> None:
        kept_as_is = [*self._non_differentiable, *args]
        self._saved = []
        for tensor in self._to_save:
            if tensor is None:
                self._saved.append(None)
                continue
            index = next((i for i, out in enumerate(outputs) if out is tensor), None)
            if not _contains(self._dirty, tensor) and _contains(kept_as_is, tensor):
                index = None
            self._saved.append(_Saved(tensor, index, label))
        self._to_save = ()


def _edge(node: Any, index: int | None, count: int) -> Any:
    if node is None or index is None:
        return None
    return node if count == 1 else OutputOf(node, index)


class FunctionNode(CustomNode):
    """The graph node of a `Function`; attributes of the context are read through it."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.owner, name)

    def __repr__(self) -> str:
        return f"<torch.autograd.function.{self.label} object at {id(self):#x}>"


class Function:
    """Base class of operations with their own backward.

    A subclass defines the static methods `forward(ctx, *args)` and `backward(ctx, *gradients)`, or
    `forward(*args)`, `setup_context(ctx, inputs, output)` and `backward`.  Use: `Mine.apply(x)`.
    Source: torch.autograd.Function.
    """

    _node_type: type[FunctionNode] = FunctionNode

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls._node_type = type(f"{cls.__name__}Backward", (FunctionNode,), {"__slots__": ()})

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please use "
            f"new-style autograd function with static forward method: {type(self).__name__}.apply"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the outputs; defined by the subclass."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple, output: Any) -> None:
        """Fill the context after a `forward` that does not take it; defined by the subclass."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """From gradients of the outputs to gradients of the inputs; defined by the subclass."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    # PyTorch accepts either name; a subclass defines one.
    vjp = backward

    #: Whether vmap may run `forward` and the derivatives on members, as it runs other functions.
    generate_vmap_rule = False

    @staticmethod
    def vmap(info: Any, in_dims: tuple, *args: Any) -> Any:
        """From batches to (batches, their axes); defined by the subclass.

        info: has `batch_size` and `randomness`.  in_dims: the batch's axis in each argument, or
        None; likewise the second value for each output.
        """
        raise NotImplementedError("vmap is not implemented.")

    @staticmethod
    def jvp(ctx: Any, *grad_inputs: Any) -> Any:
        """From tangents of the inputs (None where there is none) to those of the outputs; defined
        by the subclass.  `ctx.saved_tensors` is what `save_for_forward` kept.
        """
        raise NotImplementedError(
            "You must implement the jvp function for custom autograd.Function to use it with "
            "forward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run forward on `args` and connect its outputs to backward."""
        if kwargs:
            args = _bind(cls, args, kwargs)
        edges = [current_edge(a) if isinstance(a, Tensor) else None for a in args]
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple(edge is not None for edge in edges)
        follows = current_tape().grad_enabled and any(ctx.needs_input_grad)
        output = _run_forward(cls, ctx, args)
        if not isinstance(output, (tuple, Tensor)):
            return output
        outputs = list(output) if isinstance(output, tuple) else [output]
        _check_dirty(ctx, args, edges, outputs, follows)
        node = _connect(cls, ctx, args, edges, outputs) if follows else None
        connected = [_finish_output(ctx, node, args, i, out) for i, out in enumerate(outputs)]
        if current_tape().transforms is not None:
            _push_tangents(cls, ctx, args, connected)
        return tuple(connected) if isinstance(output, tuple) else connected[0]


def _bind(function: type[Function], args: tuple, kwargs: dict) -> tuple:
    """All arguments by position, as forward declares them."""
    leading = () if _has_setup(function) else (None,)
    bound = inspect.signature(function.forward).bind(*leading, *args, **kwargs)
    bound.apply_defaults()
    if bound.kwargs:
        raise TypeError(f"{function.__name__}.apply: forward may not take keyword-only arguments")
    return bound.args[len(leading) :]


def _has_setup(function: type[Function]) -> bool:
    return function.setup_context is not Function.setup_context


def _run_forward(function: type[Function], ctx: FunctionCtx, args: tuple) -> Any:
    """The outputs, without history, and the context filled."""
    tape = current_tape()
    if tape.transforms is not None:
        enabled = tape.grad_enabled
        tape.grad_enabled = False  # only what the program sees: see `transform/interception.py`
        try:
            return _forward_under_transforms(function, ctx, args)
        finally:
            tape.grad_enabled = enabled
    with no_grad():
        if not _has_setup(function):
            return function.forward(ctx, *args)
        output = function.forward(*args)
        function.setup_context(ctx, args, output)
        return output


# ---- under function transforms -------------------------------------------------------------------


def _forward_under_transforms(function: type[Function], ctx: FunctionCtx, args: tuple) -> Any:
    if not _has_setup(function):
        if any(level.is_function for level in current_tape().transforms.levels):
            raise RuntimeError(
                "In order to use an autograd.Function with functorch transforms (vmap, grad, jvp, "
                f"jacrev, jacfwd, ...), {function.__name__} must override the setup_context "
                "staticmethod, and take no ctx in forward"
            )
        return _plain_forward(function, (ctx, *args), args)
    output = _plain_forward(function, args, args)
    function.setup_context(ctx, args, output)
    return output


def _plain_forward(function: type[Function], given: tuple, args: tuple) -> Any:
    """forward, by each level that knows one of the arguments, innermost first."""
    transforms = current_tape().transforms
    level = None
    if transforms is not None:
        level = transforms.knowing(tuple(a for a in args if isinstance(a, Tensor)))
    if level is None:
        return function.forward(*given)
    if level.randomness() is None:
        with level.entered_below(transforms):
            return _plain_forward(function, given, args)
    # Loaded where needed: it brings the tables of all transforms.
    rules = importlib.import_module("rushlight.autograd.function_vmap")
    return rules.mapped_forward(transforms, level, function, args)


def _push_tangents(function: type[Function], ctx: FunctionCtx, args: tuple, outputs: list) -> None:
    """Tangents of the outputs, by the user's jvp, for each level of forward differentiation."""
    transforms = current_tape().transforms
    for level in reversed(transforms.levels[: transforms.limit]):
        if level.randomness() is not None:
            continue
        tangents = [level.tangent_of(a) if isinstance(a, Tensor) else None for a in args]
        if all(tangent is None for tangent in tangents):
            continue
        if ctx.materialize_grads:
            tangents = [
                _cotangent(None, (a._node.shape, a._node.dtype), True)
                if tangent is None and isinstance(a, Tensor) and a._node.dtype.is_inexact
                else tangent
                for a, tangent in zip(args, tangents)
            ]
        with level.entered_below(transforms):
            ctx._in_jvp = True
            try:
                found = function.jvp(ctx, *tangents)
            finally:
                ctx._in_jvp = False
        parts = found if isinstance(found, tuple) else (found,)
        if len(parts) != len(outputs):
            raise RuntimeError(
                f"{function.__name__}.jvp returned {len(parts)} tangents for {len(outputs)} outputs"
            )
        for output, tangent in zip(outputs, parts):
            if isinstance(output, Tensor) and tangent is not None:
                level.set_tangent(transforms, output, tangent)


def _contains(tensors: Sequence[Any], tensor: Any) -> bool:
    return any(tensor is other for other in tensors)


def _check_dirty(ctx: FunctionCtx, args: tuple, edges: list, outputs: list, follows: bool) -> None:
    for tensor in ctx._dirty:
        if not _contains(outputs, tensor):
            raise RuntimeError(
                "Some elements marked as dirty during the forward method were not returned as "
                "output. The inputs that are modified inplace must all be outputs of the Function."
            )
        edge = next((e for a, e in zip(args, edges) if a is tensor), None)
        if type(edge) is AccumulateGrad:
            raise RuntimeError(
                "a leaf Variable that requires grad has been used in an in-place operation."
            )
        if follows:
            check_writable(tensor)


def _connect(
    function: type[Function], ctx: FunctionCtx, args: tuple, edges: list, outputs: list
) -> FunctionNode:
    """The graph node of one application."""
    shapes = [(a._node.shape, a._node.dtype) if isinstance(a, Tensor) else None for a in args]
    results = [
        (out._node.shape, out._node.dtype) if isinstance(out, Tensor) else None for out in outputs
    ]
    label = function._node_type.__name__
    node = function._node_type(
        label,
        tuple(edge for edge, shape in zip(edges, shapes) if shape is not None),
        results,
        functools.partial(_run_backward, function, ctx, shapes, results),
        ctx,
    )
    ctx._node = weakref.ref(node)
    ctx._output_count = len(outputs)
    ctx._keep_saved(args, outputs, function.__name__)
    if AnomalyMode.enabled:
        node.with_extra().line = user_line()
    return node


def _finish_output(
    ctx: FunctionCtx, node: FunctionNode | None, args: tuple, index: int, output: Any
) -> Any:
    """One output as the caller gets it."""
    if not isinstance(output, Tensor):
        return output
    differentiable = not _contains(ctx._non_differentiable, output)
    connects = node is not None and differentiable and output._node.dtype.is_inexact
    edge = _edge(node, index, ctx._output_count)
    if _contains(ctx._dirty, output):
        if connects:
            adopt_history(output, edge)
        return output
    if current_edge(output) is not None or _contains(args, output):
        # Its own history must not be replaced under other holders of the same tensor.
        output = alias_without_grad(output)
    if connects:
        output._grad_fn = edge
        if node is not None and _shows_memory_of(args, output):
            node.views.add(index)
    return output


def _shows_memory_of(tensors: Sequence[Any], output: Tensor) -> bool:
    storage = output._storage
    if storage is None:
        return False
    return any(isinstance(tensor, Tensor) and tensor._storage is storage for tensor in tensors)


# ---- backward ----------------------------------------------------------------------------------


def _run_backward(
    function: type[Function],
    ctx: FunctionCtx,
    shapes: list,
    results: list,
    given: dict[int, Tensor],
    retain_graph: bool,
) -> list:
    """Call the user's backward; one cotangent (or None) for each tensor argument."""
    cotangents = [
        _cotangent(given.get(index), result, ctx.materialize_grads)
        for index, result in enumerate(results)
    ]
    try:
        returned = _user_backward(function)(ctx, *cotangents)
    except Exception:
        if AnomalyMode.enabled:
            _warn_of_forward_line(ctx, function)
        raise
    if not retain_graph:
        ctx._saved = None if ctx._saved else ctx._saved
    return _checked_gradients(f"{function.__name__}Backward", returned, shapes)


def _user_backward(function: type[Function]) -> Callable[..., Any]:
    if function.vjp is not Function.vjp:
        if function.backward is not Function.backward:
            raise RuntimeError(
                "Implementing both 'backward' and 'vjp' for a custom Function is not allowed. You "
                "should only implement one of them."
            )
        return function.vjp
    return function.backward


def _warn_of_forward_line(ctx: FunctionCtx, function: type[Function]) -> None:
    node = ctx._node()
    line = None if node is None or node.extra is None else node.extra.line
    where = f"{line[0]}:{line[1]}" if line else "an unknown line"
    warnings.warn(
        f"Error detected in {function.__name__}Backward. The forward call that caused the error "
        f"was at {where}",
        stacklevel=2,
    )


def _cotangent(given: Tensor | None, result: Any, materialize: bool) -> Tensor | None:
    if given is not None or result is None or not materialize:
        return given
    shape, dtype = result
    zero = scalar_tensor(0, dtype)
    return expand(zero, shape) if shape else zero


def _checked_gradients(label: str, returned: Any, shapes: list) -> list:
    gradients = list(returned) if isinstance(returned, tuple) else [returned]
    extra = gradients[len(shapes) :]
    if len(gradients) < len(shapes) or any(g is not None for g in extra):
        raise RuntimeError(
            f"function {label} returned an incorrect number of gradients (expected "
            f"{len(shapes)}, got {len(gradients)})"
        )
    checked: list[Tensor | None] = []
    for position, (gradient, shape) in enumerate(zip(gradients, shapes)):
        if shape is None:
            if gradient is not None:
                raise RuntimeError(
                    f"function {label} returned a gradient different than None at position "
                    f"{position + 1}, but the corresponding forward input was not a Variable"
                )
            continue
        if gradient is not None and not isinstance(gradient, Tensor):
            raise RuntimeError(f"expected Variable or None (got {type(gradient).__name__})")
        checked.append(None if gradient is None else _fitted(gradient, shape, label, len(checked)))
    return checked


def _fitted(gradient: Tensor, wanted: tuple, label: str, index: int) -> Tensor:
    """The gradient in the input's shape and dtype: broadcast axes are summed."""
    shape, dtype = wanted
    given = tuple(gradient.shape)
    if given != shape:
        if not _expandable(shape, given):
            raise RuntimeError(
                f"Function {label} returned an invalid gradient at index {index} - got "
                f"{list(given)} but expected shape compatible with {list(shape)}"
            )
        leading = len(given) - len(shape)
        axes = [i for i, n in enumerate(given) if i < leading or shape[i - leading] != n]
        gradient = reshape(reduce_sum(gradient, tuple(axes), False), shape)
    return gradient if gradient.dtype is dtype else cast(gradient, dtype)


def _expandable(shape: tuple, target: tuple) -> bool:
    try:
        return tuple(broadcast_shapes(shape, target)) == target
    except (RuntimeError, ValueError):
        return False


class _TwiceNode(CustomNode):
    """Stands behind gradients that were computed by code that cannot be differentiated."""

    __slots__ = ()


def _refuse_twice(given: dict[int, Tensor], retain_graph: bool) -> list:
    raise RuntimeError(
        "trying to differentiate twice a function that was marked with @once_differentiable"
    )


def once_differentiable(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a backward that cannot be differentiated itself; doing so raises a RuntimeError."""

    @functools.wraps(fn)
    def backward(ctx: Any, *args: Any) -> Any:
        follows = current_tape().grad_enabled
        with set_grad_enabled(False):
            outputs = fn(ctx, *args)
        found = [current_edge(a) for a in args if isinstance(a, Tensor)]
        edges = tuple(edge for edge in found if edge is not None)
        if not follows or not edges:
            return outputs
        sequence = outputs if isinstance(outputs, tuple) else (outputs,)
        node = _TwiceNode("torch::autograd::Error", edges, [], _refuse_twice)
        marked = []
        for output in sequence:
            if isinstance(output, Tensor):
                output = alias_without_grad(output)
                output._grad_fn = node
            marked.append(output)
        return tuple(marked) if isinstance(outputs, tuple) else marked[0]

    return backward
