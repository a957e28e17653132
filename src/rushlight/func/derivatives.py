"""grad, grad_and_value, vjp and linearize.

Each runs the function on fresh handles of its arguments that require gradients, and walks back from
the results.  What comes out keeps a graph only if it leads to something of the caller's: arguments
or captured tensors that require gradients themselves, as under an outer transform.  Level: func.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.autograd.differentiation import grad as gradients_of
from rushlight.primitives.movement import expand, reshape
from rushlight.tape.tape import current_tape
from rushlight.tensor.autodiff import target_of
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.graph import AccumulateGrad, InputGrad
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, scalar_tensor
from rushlight.transform.interception import active_levels, differentiate_by, frozen, release_graphs
from rushlight.transform.trees import Structure, flatten, tree_map, unflatten

Argnums = int | tuple[int, ...]


# ---- arguments and results -----------------------------------------------------------------------


def chosen_arguments(args: tuple, argnums: Argnums) -> Any:
    """The arguments to differentiate by: one, or a tuple.  Raises: RuntimeError as PyTorch."""
    if isinstance(argnums, int):
        return args[_checked_argnum(argnums, len(args))]
    if not isinstance(argnums, tuple):
        raise RuntimeError(f"argnum must be int or Tuple[int, ...], got: {type(argnums)}")
    if not argnums:
        raise RuntimeError("argnums must be non-empty")
    places = [_checked_argnum(n, len(args)) for n in argnums]
    if len(set(places)) != len(places):
        raise RuntimeError(f"argnums elements must be unique, got {argnums}")
    return tuple(args[place] for place in places)


def _checked_argnum(argnum: int, count: int) -> int:
    if not -count <= argnum < count:
        raise RuntimeError(f"Got argnum={argnum}, but only {count} positional inputs")
    return argnum % count


def with_arguments(args: tuple, argnums: Argnums, values: Any) -> tuple:
    """The arguments with those that were chosen replaced."""
    if isinstance(argnums, int):
        argnums, values = (argnums,), (values,)
    found = list(args)
    for argnum, value in zip(argnums, values):
        found[argnum % len(args)] = value
    return tuple(found)


def require_tensors(leaves: Sequence[Any]) -> None:
    """Raise PyTorch's error for an argument to differentiate by that is no tensor."""
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise ValueError(f"Thing passed to transform API must be Tensor, got {type(leaf)}")


class Differentiation:
    """The handles that one derivative is taken by.

    outer: whether the caller's mode records graphs.
    """

    def __init__(self) -> None:
        tape = current_tape()
        self.outer = tape.grad_enabled
        self._own: set[int] = set()
        self._kept: list[Any] = []

    def fresh(self, x: Tensor) -> Tensor:
        """A handle with x's value, connected to its graph, that requires gradients."""
        if self.outer and current_edge(x) is not None:
            return reshape(x, x._node.shape)
        made = frozen(x)
        differentiate_by(made)
        self._own.add(id(made._grad_fn))
        self._kept.append(made._grad_fn)  # so that no other gets its id
        return made

    def leads_outside(self, tensors: Sequence[Tensor]) -> bool:
        """Whether a graph that belongs to the caller begins at one of the tensors."""
        if not self.outer:
            return False
        stack = [target_of(e)[0] for e in map(current_edge, tensors) if e is not None]
        seen = {id(node) for node in stack}
        while stack:
            node = stack.pop()
            if type(node) in (AccumulateGrad, InputGrad) and id(node) not in self._own:
                return True
            for edge in node.edges:
                if edge is not None:
                    target = target_of(edge)[0]
                    if id(target) not in seen:
                        seen.add(id(target))
                        stack.append(target)
        return False

    @property
    def _intercepted(self) -> bool:
        return bool(active_levels())

    def released(self, tree: Any) -> Any:
        """Results without the graphs that end at this derivative's own handles."""

        def release(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            if current_edge(leaf) is None and not self._intercepted:
                return leaf
            made = frozen(leaf)
            release_graphs(made, self._is_callers)
            return leaf if made._grad_fn is leaf._grad_fn else made

        return tree_map(release, tree)

    def _is_callers(self, tensor: Tensor) -> bool:
        return self.leads_outside([tensor])

    def gradients(
        self, outputs: list, inputs: list, cotangents: list, retain: bool, create: bool
    ) -> list:
        """Gradients by `inputs`, zeros where an input does not matter."""
        kept = [(o, c) for o, c in zip(outputs, cotangents) if current_edge(o) is not None]
        found: Sequence[Any] = [None] * len(inputs)
        if kept:
            found = gradients_of(
                [o for o, _ in kept],
                inputs,
                [c for _, c in kept],
                retain_graph=retain,
                create_graph=create,
                allow_unused=True,
            )
        return [zeros_like(x) if g is None else g for g, x in zip(found, inputs)]


def zeros_like(x: Tensor) -> Tensor:
    """Zeros of x's shape and dtype, without memory of their own."""
    zero = scalar_tensor(0, x._node.dtype)
    return expand(zero, x._node.shape) if x._node.shape else zero


# ---- grad ----------------------------------------------------------------------------------------


def grad_and_value(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives (gradient, value) of `func`, whose value is one number.

    argnums: position of the argument (any tree of tensors) to differentiate by, or several.
    has_aux: `func` returns (value, aux), and the result is (gradient, (value, aux)).
    Raises: RuntimeError if the value is no tensor of one element without axes.
    Source: torch.func.grad_and_value.
    """

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        work = Differentiation()
        chosen = chosen_arguments(args, argnums)
        leaves, structure = flatten(chosen)
        require_tensors(leaves)
        with enable_grad():
            fresh = [work.fresh(x) for x in leaves]
            given = with_arguments(args, argnums, unflatten(fresh, structure))
            value, aux = _value_and_aux(func(*given, **kwargs), has_aux)
            follows = work.leads_outside([value])
            one = scalar_tensor(1, value._node.dtype)
            found = work.gradients([value], fresh, [one], follows, follows)
        gradient = work.released(unflatten(found, structure))
        value = work.released(value)
        return gradient, (value, work.released(aux)) if has_aux else value

    return wrapped


def _value_and_aux(output: Any, has_aux: bool) -> tuple[Tensor, Any]:
    where = "grad_and_value(f)(*args)"
    aux = None
    if has_aux:
        if not (isinstance(output, tuple) and len(output) == 2):
            raise RuntimeError(
                f"{where}: output of function f should be a tuple: (output, aux) if has_aux is True"
            )
        output, aux = output
    if not isinstance(output, Tensor):
        raise RuntimeError(f"{where}: Expected f(*args) to return a Tensor, got {type(output)}")
    rank = len(output._node.shape)
    if rank:
        raise RuntimeError(
            f"{where}: Expected f(*args) to return a scalar Tensor, got tensor with {rank} dims. "
            "Maybe you wanted to use the vjp or jacrev APIs instead?"
        )
    return output, aux


def grad(
    func: Callable[..., Any], argnums: Argnums = 0, has_aux: bool = False
) -> Callable[..., Any]:
    """A function that gives the gradient of `func`; see `grad_and_value`.

    has_aux: `func` returns (value, aux), and the result is (gradient, aux).
    Source: torch.func.grad.
    """
    both = grad_and_value(func, argnums, has_aux)

    @functools.wraps(func)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        gradient, value = both(*args, **kwargs)
        return (gradient, value[1]) if has_aux else gradient

    return wrapped


# ---- vjp -----------------------------------------------------------------------------------------


def _tensor_outputs(where: str, outputs: Any) -> tuple[list, Structure]:
    leaves, structure = flatten(outputs)
    if not leaves:
        raise RuntimeError(
            f"{where}: Expected f to be a function that has non-empty output (got output = "
            f"{outputs})"
        )
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise RuntimeError(
                f"{where}: expected f(*primals) to return only tensors, got unsupported type "
                f"{type(leaf)}"
            )
    return leaves, structure


def split_aux(where: str, outputs: Any, has_aux: bool) -> tuple[Any, Any]:
    """(outputs, aux).  Raises: RuntimeError if there is no pair."""
    if not has_aux:
        return outputs, None
    if not (isinstance(outputs, tuple) and len(outputs) == 2):
        raise RuntimeError(
            f"{where}: output of function f should be a tuple: (output, aux) if has_aux is True"
        )
    return outputs


def vjp(func: Callable[..., Any], *primals: Any, has_aux: bool = False) -> Any:
    """(func(*primals), function from cotangents to those of the primals).

    The function takes cotangents like the outputs and gives a tuple with one tree for each primal;
    it may be called any number of times.  has_aux: `func` returns (outputs, aux), and aux comes
    third.  Source: torch.func.vjp.
    """
    work = Differentiation()
    leaves, structure = flatten(primals)
    require_tensors(leaves)
    where = "vjp(f, *primals)"
    with enable_grad():
        fresh = [work.fresh(x) for x in leaves]
        outputs, aux = split_aux(where, func(*unflatten(fresh, structure)), has_aux)
        results, result_structure = _tensor_outputs(where, outputs)
        results = [frozen(result) for result in results]
        follows = work.leads_outside(results)

    def pullback(
        cotangents: Any, retain_graph: bool = True, create_graph: bool | None = None
    ) -> tuple:
        given, given_structure = flatten(cotangents)
        if not _same_shape(given_structure, result_structure):
            raise RuntimeError(
                "Expected pytree structure of cotangents to be the same as pytree structure of "
                f"outputs to the function. cotangents: {len(given)} tensors, primal output: "
                f"{len(results)}"
            )
        mode = current_tape().grad_enabled
        through = mode and any(current_edge(c) is not None for c in given)
        create = (mode and follows) or through if create_graph is None else create_graph
        with enable_grad():
            found = work.gradients(results, fresh, given, retain_graph, create)
        return unflatten(found if create else work.released(found), structure)

    shown = work.released(unflatten(results, result_structure))
    if has_aux:
        return shown, pullback, work.released(aux)
    return shown, pullback


def _same_shape(first: Structure, second: Structure) -> bool:
    if first.kind is None or second.kind is None:
        return first.kind is second.kind
    return len(first.children) == len(second.children) and all(
        _same_shape(a, b) for a, b in zip(first.children, second.children)
    )


# ---- linearize -----------------------------------------------------------------------------------


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(func(*primals), function from tangents of the primals to those of the outputs).

    `func` runs once; the function is the transpose of the VJP, which is linear in its cotangent.
    Source: torch.func.linearize.
    """
    leaves, structure = flatten(primals)
    outputs, pullback = vjp(func, *primals)
    results, result_structure = flatten(outputs)
    probes = []
    with enable_grad():
        for result in results:
            probe = zeros_like(result)
            if probe._node.dtype.is_inexact:
                differentiate_by(probe)
            probes.append(probe)
        pulled, _ = flatten(pullback(unflatten(probes, result_structure), create_graph=True))

    def push(*tangents: Any) -> Any:
        given, given_structure = flatten(tangents)
        if not _same_shape(given_structure, structure):
            raise RuntimeError(
                "linearize: expected tangents with the structure of the primals, got "
                f"{len(given)} tensors for {len(leaves)}"
            )
        for tangent, primal in zip(given, leaves):
            if tangent.shape != primal.shape or tangent.dtype is not primal.dtype:
                raise RuntimeError(
                    f"linearize: expected a tangent of shape {list(primal.shape)} and dtype "
                    f"{primal.dtype}, got {list(tangent.shape)} and {tangent.dtype}"
                )
        pairs = [(v, t) for v, t in zip(pulled, given) if current_edge(v) is not None]
        found: Sequence[Any] = [None] * len(probes)
        wanted = [p for p in probes if current_edge(p) is not None]
        if pairs and wanted:
            parts = iter(
                gradients_of(
                    [v for v, _ in pairs],
                    wanted,
                    [t for _, t in pairs],
                    retain_graph=True,
                    allow_unused=True,
                )
            )
            found = [next(parts) if current_edge(p) is not None else None for p in probes]
        shown = [zeros_like(p) if f is None else f for f, p in zip(found, probes)]
        return unflatten(shown, result_structure)

    return outputs, push
