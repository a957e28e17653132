"""Hooks of tensors and of graph nodes.

Importing this module attaches `register_hook` and its relatives to `Tensor` and to the nodes of the
graph; `autodiff.py` calls what is registered.  Level 10.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.base.hooks import RemovableHandle
from rushlight.tensor.graph import AccumulateGrad, GraphNode, target_of
from rushlight.tensor.storage import current_edge
from rushlight.tensor.tensor import Tensor


def _check_callable(hook: Any) -> None:
    if not callable(hook):
        raise TypeError(f"register_hook: expected a function, got {type(hook).__name__}")


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Call `hook(gradient)` when the tensor's gradient is computed; what it returns replaces it.

    Raises: RuntimeError if the tensor requires no gradient.
    """
    edge = current_edge(self)
    if edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    _check_callable(hook)
    node, index = target_of(edge)
    hooks = node.with_extra().pre_hooks
    handle = RemovableHandle(hooks)
    hooks[handle.id] = (hook, index)
    return handle


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Call `hook(tensor)` after a gradient was added to the `.grad` of a leaf.

    Raises: RuntimeError if the tensor is no leaf or requires no gradient.
    """
    edge = current_edge(self)
    if edge is None:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if type(edge) is not AccumulateGrad:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    _check_callable(hook)
    hooks = edge.with_extra().accumulate_hooks
    handle = RemovableHandle(hooks)
    hooks[handle.id] = hook
    return handle


def register_node_hook(self: GraphNode, fn: Callable[..., Any]) -> RemovableHandle:
    """Call `fn(grad_inputs, grad_outputs)` after the node ran; a result replaces `grad_inputs`."""
    _check_callable(fn)
    hooks = self.with_extra().post_hooks
    handle = RemovableHandle(hooks)
    hooks[handle.id] = fn
    return handle


def register_node_prehook(self: GraphNode, fn: Callable[..., Any]) -> RemovableHandle:
    """Call `fn(grad_outputs)` before the node runs; a result replaces `grad_outputs`."""
    _check_callable(fn)
    hooks = self.with_extra().pre_hooks
    handle = RemovableHandle(hooks)
    hooks[handle.id] = (fn, None)
    return handle


for _owner, _name, _method in (
    (Tensor, "register_hook", register_hook),
    (Tensor, "register_post_accumulate_grad_hook", register_post_accumulate_grad_hook),
    (GraphNode, "register_hook", register_node_hook),
    (GraphNode, "register_prehook", register_node_prehook),
):
    setattr(_owner, _name, _method)
