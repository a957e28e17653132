"""`autograd.backward` and `autograd.grad`: arguments as PyTorch takes them, then the walk.

Level: autograd (12).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any, NamedTuple

from rushlight.primitives.movement import expand
from rushlight.tensor import autodiff
from rushlight.tensor.autodiff import run_backward, starting_cotangent
from rushlight.tensor.graph import GraphNode, OutputOf, target_of
from rushlight.tensor.sparse_tensor import SparseTensor
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor, scalar_tensor


class GradientEdge(NamedTuple):
    """A place in the graph: output `output_nr` of `node`; stands for a tensor in `grad`."""

    node: GraphNode
    output_nr: int
    ownership_token: Any = None


def get_gradient_edge(tensor: Tensor) -> GradientEdge:
    """The place in the graph where the gradient of `tensor` is computed."""
    edge = current_edge(tensor)
    if edge is None:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    return GradientEdge(*target_of(edge))


def _as_sequence(value: Any) -> list:
    if isinstance(value, (Tensor, GradientEdge)):
        return [value]
    return list(value)


def _edge_of(value: Any) -> Any:
    if isinstance(value, GradientEdge):
        return OutputOf(value.node, value.output_nr) if value.output_nr else value.node
    return current_edge(value)


def _cotangents(gradients: Any, count: int) -> list:
    found = [None] * count if gradients is None else list(gradients)
    if len(found) != count:
        raise RuntimeError(f"got {count} tensors and {len(found)} gradients")
    return found


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    grad_variables: Any = None,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` to the `.grad` of the leaves, or of `inputs` only.

    grad_tensors: the gradient of each tensor; None where it has one element.
    Raises: RuntimeError as PyTorch (no graph, graph freed, shapes differ).
    Source: torch.autograd.backward.
    """
    if grad_variables is not None:
        if grad_tensors is not None:
            raise RuntimeError(
                "`grad_tensors` and `grad_variables` (deprecated) arguments both passed to "
                "`backward()`. Please only use `grad_tensors`."
            )
        grad_tensors = grad_variables
    tensors = _as_sequence(tensors)
    if isinstance(grad_tensors, Tensor):
        grad_tensors = [grad_tensors]
    if inputs is not None:
        inputs = _as_sequence(inputs)
    autodiff.backward(
        tensors,
        _cotangents(grad_tensors, len(tensors)),
        retain_graph=retain_graph,
        create_graph=create_graph,
        inputs=inputs,
    )


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple:
    """The gradients of `outputs` with respect to `inputs`, as a tuple; `.grad` is left alone.

    allow_unused: give None for an input that the outputs do not depend on, instead of raising.
    materialize_grads: give zeros instead of that None.
    is_grads_batched: `grad_outputs` have a leading axis of several cotangents; so has the result.
    Raises: RuntimeError as PyTorch.  Source: torch.autograd.grad.
    """
    if materialize_grads and allow_unused is False:
        raise ValueError(
            "Expected allow_unused to be True or not passed when materialize_grads=True, but got: "
            "allow_unused=False."
        )
    outputs, inputs = _as_sequence(outputs), _as_sequence(inputs)
    if isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]
    given = [None] * len(outputs) if grad_outputs is None else list(grad_outputs)
    # PyTorch ignores cotangents beyond the outputs here, though not in backward.
    cotangents = _cotangents(given[: len(outputs)], len(outputs))
    if not inputs:
        raise RuntimeError("`inputs` argument to `grad()` cannot be empty.")
    unused_allowed = bool(allow_unused) or materialize_grads
    retained = create_graph if retain_graph is None else bool(retain_graph)
    if is_grads_batched:
        found = _batched(outputs, inputs, cotangents, retained, create_graph, unused_allowed)
    else:
        found = _gradients(outputs, inputs, cotangents, retained, create_graph, unused_allowed)
    found = [
        x.with_elements(g) if isinstance(x, SparseTensor) and type(g) is Tensor else g
        for g, x in zip(found, inputs)
    ]
    if materialize_grads:
        found = [_zeros(x) if g is None else g for g, x in zip(found, inputs)]
    return tuple(found)


def _gradients(
    outputs: Sequence[Any],
    inputs: Sequence[Any],
    cotangents: Sequence[Any],
    retain_graph: bool,
    create_graph: bool,
    unused_allowed: bool,
) -> list:
    edges = []
    for value in inputs:
        edge = _edge_of(value)
        if edge is None:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        edges.append(edge)
    roots = []
    for position, (output, cotangent) in enumerate(zip(outputs, cotangents)):
        edge = _edge_of(output)
        if edge is None:
            raise RuntimeError(
                f"element {position} of tensors does not require grad and does not have a grad_fn"
            )
        if isinstance(output, Tensor):
            cotangent = starting_cotangent(output, cotangent, create_graph)
        elif cotangent is None:
            raise RuntimeError("grad: a GradientEdge as output needs its grad_outputs")
        roots.append((edge, cotangent))
    found = run_backward(
        roots, retain_graph=retain_graph, create_graph=create_graph, inputs=edges, accumulate=False
    )
    for position, gradient in enumerate(found):
        if gradient is None and not unused_allowed:
            raise RuntimeError(
                f"The differentiated Tensor at index {position} appears to not have been used in "
                "the graph. Set allow_unused=True if this is the desired behavior."
            )
    return found


def _batched(
    outputs: Sequence[Any],
    inputs: Sequence[Any],
    cotangents: Sequence[Any],
    retain_graph: bool,
    create_graph: bool,
    unused_allowed: bool,
) -> list:
    """One walk for all cotangents together."""

    def walk(members: list) -> list:
        return _gradients(outputs, inputs, members, retain_graph, create_graph, unused_allowed)

    # Loaded where needed: it brings the tables of all transforms.
    vectorized = importlib.import_module("rushlight.autograd.vectorized")
    return vectorized.batched_gradients(walk, cotangents, create_graph)


def _zeros(value: Any) -> Tensor | None:
    if not isinstance(value, Tensor):
        return None
    zero = scalar_tensor(0, value.dtype)
    shape = tuple(value.shape)
    return expand(zero, shape) if shape else zero
