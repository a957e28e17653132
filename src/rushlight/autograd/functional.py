"""Derivatives of functions: vjp, jvp, jacobian, hessian, vhp, hvp.

Each runs the function on fresh views of the inputs, so gradients of the caller's graph are not
touched, and gives results without a graph unless `create_graph` asks for one.  Products with a
vector on the right (jvp, hvp) use the trick of differentiating a vjp by its cotangent.
Level: autograd (12).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.autograd.differentiation import grad
from rushlight.base.shapes import numel
from rushlight.primitives.movement import concatenate, expand, reshape
from rushlight.tensor.autodiff import require_gradient
from rushlight.tensor.grad_mode import enable_grad
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor, scalar_tensor

Tensors = tuple[Tensor, ...]


# ---- arguments -----------------------------------------------------------------------------------


def _as_tensors(value: Any, what: str, where: str) -> tuple[bool, Tensors]:
    """(whether it was a tuple, the tensors).  Raises: TypeError naming what is not a tensor."""
    several = isinstance(value, (tuple, list))
    found = tuple(value) if several else (value,)
    for position, item in enumerate(found):
        if not isinstance(item, Tensor):
            if several:
                raise TypeError(
                    f"The {what} given to {where} must be either a Tensor or a tuple of Tensors "
                    f"but the value at index {position} has type {type(item)}."
                )
            raise TypeError(
                f"The {what} given to {where} must be either a Tensor or a tuple of Tensors but "
                f"the given {what} has type {type(item)}."
            )
    return several, found


def _outputs_of(func: Callable[..., Any], inputs: Tensors, where: str) -> tuple[bool, Tensors]:
    return _as_tensors(func(*inputs), "outputs of the user-provided function", where)


def _fresh_inputs(inputs: Tensors, create_graph: bool) -> Tensors:
    """Handles to differentiate by: connected to the caller's graph only under create_graph."""
    fresh = []
    for x in inputs:
        if create_graph and current_edge(x) is not None:
            fresh.append(reshape(x, tuple(x.shape)))
        else:
            handle = alias_without_grad(x)
            require_gradient(handle, True)
            fresh.append(handle)
    return tuple(fresh)


def _one(shape: tuple, dtype: Any) -> Tensor:
    one = scalar_tensor(1, dtype)
    return expand(one, shape) if shape else one


def _zero(like: Tensor) -> Tensor:
    zero = scalar_tensor(0, like.dtype)
    shape = tuple(like.shape)
    return expand(zero, shape) if shape else zero


def _vector(v: Any, targets: Tensors, several: bool, what: str, where: str) -> Tensors:
    """`v` checked against the tensors it multiplies; ones for a single one-element target."""
    if v is None:
        if len(targets) != 1 or numel(tuple(targets[0].shape)) != 1:
            raise RuntimeError(
                f"{where}: the vector v can only be None if the {what} is a single Tensor with a "
                "single element"
            )
        return (_one(tuple(targets[0].shape), targets[0].dtype),)
    _, vectors = _as_tensors(v, "v", where)
    if len(vectors) != len(targets):
        raise RuntimeError(
            f"v is a tuple of invalid length: should be {len(targets)} but got {len(vectors)}."
        )
    for position, (vector, target) in enumerate(zip(vectors, targets)):
        if vector.shape != target.shape:
            prefix = f"Entry {position} in " if several else ""
            raise RuntimeError(
                f"{prefix}v has invalid size: should be {target.shape} but got {vector.shape}."
            )
    return tuple(alias_without_grad(vector) for vector in vectors)


def _check_connected(outputs: Tensors, strict: bool, where: str) -> None:
    if not strict:
        return
    for position, output in enumerate(outputs):
        if current_edge(output) is None:
            raise RuntimeError(
                f"Output {position} of the user-provided function does not require gradients. The "
                f"outputs must be computed in a differentiable manner from the input when running "
                f"in strict mode ({where})."
            )


def _gradients(
    outputs: Sequence[Tensor],
    inputs: Tensors,
    cotangents: Sequence[Tensor],
    create_graph: bool,
    strict: bool = False,
    where: str = "",
) -> Tensors:
    """Gradients with zeros (an error if strict) where an input does not matter."""
    kept = [(o, c) for o, c in zip(outputs, cotangents) if current_edge(o) is not None]
    if not kept:
        return tuple(_zero(x) for x in inputs)
    found = grad(
        [o for o, _ in kept],
        inputs,
        [c for _, c in kept],
        retain_graph=True,
        create_graph=create_graph,
        allow_unused=True,
    )
    if strict:
        for position, gradient in enumerate(found):
            if gradient is None:
                raise RuntimeError(
                    f"{where}: the outputs of the user-provided function are independent of input "
                    f"{position}. This is not allowed in strict mode."
                )
    return tuple(_zero(x) if g is None else g for g, x in zip(found, inputs))


def _without_graph(tensors: Sequence[Tensor], create_graph: bool) -> Tensors:
    if create_graph:
        return tuple(tensors)
    return tuple(alias_without_grad(tensor) for tensor in tensors)


def _like_given(tensors: Sequence[Tensor], several: bool) -> Any:
    return tuple(tensors) if several else tensors[0]


# ---- products ------------------------------------------------------------------------------------


def vjp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(outputs, v times the Jacobian of `func` at `inputs`).

    v: of the outputs' shapes; may be left out for one output of one element.
    Source: torch.autograd.functional.vjp.
    """
    with enable_grad():
        several_in, given = _as_tensors(inputs, "inputs", "vjp")
        fresh = _fresh_inputs(given, create_graph)
        several_out, outputs = _outputs_of(func, fresh, "vjp")
        _check_connected(outputs, strict, "vjp")
        vectors = _vector(v, outputs, several_out, "output", "vjp")
        found = _gradients(outputs, fresh, vectors, create_graph, strict, "vjp")
    return (
        _like_given(_without_graph(outputs, create_graph), several_out),
        _like_given(_without_graph(found, create_graph), several_in),
    )


def jvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(outputs, the Jacobian of `func` at `inputs` times v).

    v: of the inputs' shapes; may be left out for one input of one element.
    Source: torch.autograd.functional.jvp.
    """
    with enable_grad():
        several_in, given = _as_tensors(inputs, "inputs", "jvp")
        vectors = _vector(v, given, several_in, "input", "jvp")
        fresh = _fresh_inputs(given, create_graph)
        several_out, outputs = _outputs_of(func, fresh, "jvp")
        _check_connected(outputs, strict, "jvp")
        found = _pushed_forward(outputs, fresh, vectors, create_graph, strict, "jvp")
    return (
        _like_given(_without_graph(outputs, create_graph), several_out),
        _like_given(_without_graph(found, create_graph), several_out),
    )


def _pushed_forward(
    outputs: Tensors,
    inputs: Tensors,
    vectors: Tensors,
    create_graph: bool,
    strict: bool,
    where: str,
) -> Tensors:
    """Jacobian times vectors: u -> u^T J is linear, and its derivative by u, at v, is J v."""
    cotangents = []
    for output in outputs:
        cotangent = alias_without_grad(_copied_zero(output))
        require_gradient(cotangent, True)
        cotangents.append(cotangent)
    pulled = _gradients(outputs, inputs, cotangents, True, strict, where)
    return _gradients(pulled, tuple(cotangents), vectors, create_graph)


def _copied_zero(like: Tensor) -> Tensor:
    return _zero(like) if like.shape else scalar_tensor(0, like.dtype)


def _scalar_output(func: Callable[..., Any], inputs: Tensors, where: str) -> Tensor:
    several, outputs = _outputs_of(func, inputs, where)
    if several or len(outputs) != 1:
        raise RuntimeError(
            f"The function given to {where} should return a single Tensor, not a tuple"
        )
    if numel(tuple(outputs[0].shape)) != 1:
        raise RuntimeError(
            f"The Tensor returned by the function given to {where} should contain a single element"
        )
    return outputs[0]


def vhp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(output, v times the Hessian of the scalar function `func` at `inputs`).

    Source: torch.autograd.functional.vhp.
    """
    with enable_grad():
        several, given = _as_tensors(inputs, "inputs", "vhp")
        vectors = _vector(v, given, several, "input", "vhp")
        fresh = _fresh_inputs(given, create_graph)
        output = _scalar_output(func, fresh, "vhp")
        _check_connected((output,), strict, "vhp")
        one = _one(tuple(output.shape), output.dtype)
        slopes = _gradients([output], fresh, [one], True, strict, "vhp")
        _check_connected(slopes, strict, "vhp")
        found = _gradients(slopes, fresh, vectors, create_graph)
    return (
        _without_graph([output], create_graph)[0],
        _like_given(_without_graph(found, create_graph), several),
    )


def hvp(
    func: Callable[..., Any],
    inputs: Any,
    v: Any = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """(output, the Hessian of the scalar function `func` at `inputs` times v).

    For twice differentiable functions this equals `vhp`, which is cheaper.
    Source: torch.autograd.functional.hvp.
    """
    with enable_grad():
        several, given = _as_tensors(inputs, "inputs", "hvp")
        vectors = _vector(v, given, several, "input", "hvp")
        fresh = _fresh_inputs(given, create_graph)
        output = _scalar_output(func, fresh, "hvp")
        _check_connected((output,), strict, "hvp")
        one = _one(tuple(output.shape), output.dtype)
        slopes = _gradients([output], fresh, [one], True, strict, "hvp")
        _check_connected(slopes, strict, "hvp")
        found = _pushed_forward(slopes, fresh, vectors, create_graph, False, "hvp")
    return (
        _without_graph([output], create_graph)[0],
        _like_given(_without_graph(found, create_graph), several),
    )


# ---- whole matrices ------------------------------------------------------------------------------


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian of `func` at `inputs`: shape of output then shape of input.

    A tuple for several inputs; for several outputs, a tuple of those.

    vectorize: all rows in one walk (`vmap`) instead of one after the other.
    strategy: "forward-mode" computes columns instead of rows; it needs `vectorize`.
    Raises: NotImplementedError or RuntimeError for combinations that PyTorch does not have either.
    Source: torch.autograd.functional.jacobian.
    """
    if strategy not in ("reverse-mode", "forward-mode"):
        raise AssertionError(
            'Expected strategy to be either "forward-mode" or "reverse-mode". Hint: If your '
            'function has more outputs than inputs, "forward-mode" tends to be more performant. '
            'Otherwise, prefer to use "reverse-mode".'
        )
    if strategy == "forward-mode":
        return _forward_jacobian(func, inputs, create_graph, strict, vectorize)
    if vectorize and strict:
        raise RuntimeError(
            "torch.autograd.functional.jacobian: `strict=True` and `vectorized=True` are not "
            "supported together. Please either set `strict=False` or `vectorize=False`."
        )
    with enable_grad():
        several_in, given = _as_tensors(inputs, "inputs", "jacobian")
        fresh = _fresh_inputs(given, create_graph)
        several_out, outputs = _outputs_of(func, fresh, "jacobian")
        _check_connected(outputs, strict, "jacobian")
        if vectorize:
            found = _vectorized_rows(outputs, fresh, create_graph)
        else:
            found = [_jacobian_rows(output, fresh, create_graph, strict) for output in outputs]
        blocks = [_like_given(block, several_in) for block in found]
    return _like_given(blocks, several_out)


def _vectorized_rows(outputs: Tensors, inputs: Tensors, create_graph: bool) -> list[Tensors]:
    def gradients(cotangents: list) -> list:
        kept = [(o, c) for o, c in zip(outputs, cotangents) if current_edge(o) is not None]
        size = cotangents[0].shape[0]
        found: Sequence[Any] = [None] * len(inputs)
        if kept:
            found = grad(
                [o for o, _ in kept],
                inputs,
                [c for _, c in kept],
                retain_graph=True,
                create_graph=create_graph,
                allow_unused=True,
                is_grads_batched=True,
            )
        return [
            expand(scalar_tensor(0, x.dtype), (size, *x.shape)) if g is None else g
            for g, x in zip(found, inputs)
        ]

    blocks = _vectorized().reverse_blocks(outputs, inputs, gradients)
    return [_without_graph(row, create_graph) for row in blocks]


def _vectorized() -> Any:
    # Loaded where needed: it brings the tables of all transforms.
    return importlib.import_module("rushlight.autograd.vectorized")


def _forward_jacobian(
    func: Callable[..., Any], inputs: Any, create_graph: bool, strict: bool, vectorize: bool
) -> Any:
    where = "torch.autograd.functional.jacobian"
    if strict:
        raise RuntimeError(
            f'{where}: `strict=True` and `strategy="forward-mode"` are not supported together '
            '(yet). Please either set `strict=False` or `strategy="reverse-mode"`.'
        )
    if create_graph:
        raise NotImplementedError(
            f'{where}: `create_graph=True` and `strategy="forward-mode"` are not supported '
            'together (yet). Please either set `create_graph=False` or `strategy="reverse-mode"`.'
        )
    if not vectorize:
        raise NotImplementedError(
            "Computing Jacobian using forward-AD or forward-over-reverse Hessian is only "
            "implemented for `vectorize=True`."
        )
    several_in, given = _as_tensors(inputs, "inputs", "jacobian")
    several_out = False

    def outputs_of(*values: Tensor) -> Tensors:
        nonlocal several_out
        several_out, outputs = _outputs_of(func, values, "jacobian")
        return outputs

    found = _vectorized().forward_blocks(outputs_of, given)
    blocks = [_like_given(_without_graph(row, False), several_in) for row in found]
    return _like_given(blocks, several_out)


def _jacobian_rows(output: Tensor, inputs: Tensors, create_graph: bool, strict: bool) -> Tensors:
    """The blocks of one output: (output shape, input shape) for each input."""
    shape = tuple(output.shape)
    flat = reshape(output, (numel(shape),))
    one = _one((), output.dtype)
    rows = [
        _gradients([flat.select(0, i)], inputs, [one], create_graph, strict, "jacobian")
        for i in range(numel(shape))
    ]
    blocks = []
    for position, x in enumerate(inputs):
        whole = (*shape, *x.shape)
        if not rows:
            blocks.append(reshape(_one((0,), output.dtype), whole))
            continue
        parts = [reshape(row[position], (1, *x.shape)) for row in rows]
        blocks.append(reshape(concatenate(parts, 0), whole))
    return _without_graph(blocks, create_graph)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of the scalar function `func` at `inputs`; a tuple of tuples for several inputs.

    Source: torch.autograd.functional.hessian.
    """
    several, given = _as_tensors(inputs, "inputs", "hessian")

    def slopes(*xs: Tensor) -> Any:
        if outer_jacobian_strategy == "forward-mode":
            xs = _vectorized().leaves(xs)
        output = _scalar_output(func, xs, "hessian")
        _check_connected((output,), strict, "hessian")
        one = _one(tuple(output.shape), output.dtype)
        return _gradients([output], xs, [one], True, strict, "hessian")

    found = jacobian(
        slopes,
        given,
        create_graph=create_graph,
        strict=strict,
        vectorize=vectorize,
        strategy=outer_jacobian_strategy,
    )
    return found if several else found[0][0]
