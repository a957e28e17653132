"""Checkpointing: values are dropped after the forward pass and computed again in backward.

In: a function and its operands. Out: its results, with one node in the graph that runs the function
once more when gradients come. The tape is flushed where a checkpointed stretch ends, so that
forward and recomputation are different programs; in one program the second computation would be
recognised as equal to the first, and its values kept. Level 12.
Source: torch.utils.checkpoint; T. Chen, B. Xu, C. Zhang and C. Guestrin 2016.
"""

from __future__ import annotations

import contextlib
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from rushlight.autograd.differentiation import GradientEdge
from rushlight.autograd.differentiation import backward as run_backward
from rushlight.autograd.differentiation import grad as gradients_of
from rushlight.autograd.function import Function
from rushlight.base.device import ACCELERATORS, device, resolve_device
from rushlight.engine.accelerators import present
from rushlight.nn.modules.container import Sequential
from rushlight.ops.generator import Generator, default_generator, of_devices
from rushlight.tensor.autodiff import CustomNode, target_of
from rushlight.tensor.flush import synchronize
from rushlight.tensor.grad_mode import enable_grad, is_grad_enabled
from rushlight.tensor.graph import AccumulateGrad, GraphNode, OutputOf
from rushlight.tensor.storage import alias_without_grad, current_edge
from rushlight.tensor.tensor import Tensor
from rushlight.utils._pytree import tree_flatten, tree_unflatten

__all__ = [
    "checkpoint", "checkpoint_sequential", "CheckpointError", "CheckpointFunction",
    "check_backward_validity", "detach_variable", "get_device_states", "set_device_states",
    "noop_context_fn", "set_checkpoint_early_stop", "DefaultDeviceType",
    "set_checkpoint_debug_enabled",
]  # fmt: skip

Contexts = tuple[AbstractContextManager, AbstractContextManager]


class CheckpointError(RuntimeError):
    """The recomputation differs from the first computation."""


class DefaultDeviceType:
    """Where random states are kept from; there is the CPU only."""

    _default_device_type = "cpu"

    @staticmethod
    def set_device_type(device: str = "cpu") -> None:
        """Remember a type of device."""
        DefaultDeviceType._default_device_type = device

    @staticmethod
    def get_device_type() -> str:
        """The type of device in use."""
        return DefaultDeviceType._default_device_type


class _Settings(threading.local):
    debug: bool | None = None
    early_stop: bool | None = None


_settings = _Settings()


@contextlib.contextmanager
def set_checkpoint_debug_enabled(enabled: bool | None) -> Iterator[None]:
    """Whether errors of recomputation say what differs; here they always do."""
    before = _settings.debug
    _settings.debug = enabled
    try:
        yield
    finally:
        _settings.debug = before


@contextlib.contextmanager
def set_checkpoint_early_stop(enable: bool) -> Iterator[None]:
    """Accepted; values that backward does not read are never computed here, so nothing stops."""
    before = _settings.early_stop
    _settings.early_stop = enable
    try:
        yield
    finally:
        _settings.early_stop = before


def noop_context_fn() -> Contexts:
    """Contexts for forward and recomputation that do nothing."""
    return contextlib.nullcontext(), contextlib.nullcontext()


def detach_variable(inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    """Tensors without history that require gradients where the given ones did.

    Raises: RuntimeError unless `inputs` is a tuple.
    """
    if not isinstance(inputs, tuple):
        raise RuntimeError(
            f"Only tuple of tensors is supported. Got Unsupported input type: {type(inputs)}"
        )
    detached = []
    for value in inputs:
        if isinstance(value, Tensor):
            requires = value.requires_grad
            value = alias_without_grad(value)
            value.requires_grad = requires
        detached.append(value)
    return tuple(detached)


def check_backward_validity(inputs: Any) -> None:
    """Warn if no input requires gradients, since none will come then."""
    if not any(value.requires_grad for value in inputs if isinstance(value, Tensor)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=3
        )


def get_device_states(*args: Any) -> tuple[list[int], list[Tensor]]:
    """Numbers of the devices that tensors of `args` live on, and the states of their streams of
    random numbers; the CPU's is kept apart."""
    places = _devices_of(args)
    return [place.index or 0 for place in places], [of_devices.of(p).get_state() for p in places]


def set_device_states(
    devices: list[int], states: list[Tensor], *, device_type: str | None = None
) -> None:
    """Set what `get_device_states` returned.  device_type: by default, that of the accelerator.

    Raises: RuntimeError where there are no such devices.
    """
    accelerator = present()
    if devices and accelerator is None:
        raise RuntimeError(f"set_device_states: there are no devices {devices}; only the CPU")
    for index, state in zip(devices, states):
        kind = device_type or accelerator.kind  # type: ignore[union-attr]
        of_devices.of(resolve_device(f"{kind}:{index}")).set_state(state)


def _devices_of(args: Any) -> list[device]:
    """The accelerators that tensors in `args` live on."""
    found = [x.device for x in tree_flatten(args)[0] if isinstance(x, Tensor)]
    return [place for place in dict.fromkeys(found) if place.type in ACCELERATORS]


def _random_states(args: Any) -> list[tuple[Generator, Any]]:
    """The streams that a function of `args` may draw from, and where they stand."""
    generators = [default_generator, *[of_devices.of(place) for place in _devices_of(args)]]
    generators += [g for g in of_devices.generators.values() if g not in generators]
    return [(generator, generator.engine.state_bytes()) for generator in generators]


@contextlib.contextmanager
def _random_state(states: list[tuple[Generator, Any]] | None) -> Iterator[None]:
    """Draw as the first computation did; afterwards the streams go on where they were."""
    before = [(generator, generator.engine.state_bytes()) for generator, _ in states or ()]
    for generator, state in states or ():
        generator.engine.restore(state)
    try:
        yield
    finally:
        for generator, state in before:
            generator.engine.restore(state)


# ---- the reentrant way: backward inside backward ------------------------------------------------


class CheckpointFunction(Function):
    """Forward without a graph; backward computes again, with one, and runs its backward."""

    @staticmethod
    def forward(ctx: Any, run_function: Any, preserve_rng_state: bool, *args: Any) -> Any:
        ctx.run_function = run_function
        ctx.state = _random_states(args) if preserve_rng_state else None
        ctx.places = [i for i, value in enumerate(args) if isinstance(value, Tensor)]
        ctx.others = [None if isinstance(value, Tensor) else value for value in args]
        ctx.save_for_backward(*(args[i] for i in ctx.places))
        outputs = run_function(*args)
        synchronize()
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple:
        inputs = list(ctx.others)
        for place, saved in zip(ctx.places, ctx.saved_tensors, strict=True):
            inputs[place] = saved
        detached = detach_variable(tuple(inputs))
        with _random_state(ctx.state), enable_grad():
            outputs = ctx.run_function(*detached)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        pairs = [
            (out, gradient)
            for out, gradient in zip(outputs, gradients, strict=True)
            if isinstance(out, Tensor) and out.requires_grad
        ]
        if not pairs:
            raise RuntimeError(
                "none of output has requires_grad=True, this checkpoint() is not necessary"
            )
        run_backward([out for out, _ in pairs], [gradient for _, gradient in pairs])
        found = [value.grad if isinstance(value, Tensor) else None for value in detached]
        return (None, None, *found)


# ---- the other way: a node that stands for the whole stretch ------------------------------------


def _checkpointed(
    function: Callable[..., Any],
    preserve_rng_state: bool,
    contexts: Contexts,
    determinism_check: str,
    args: tuple,
    kwargs: dict[str, Any],
) -> Any:
    forward_context, recompute_context = contexts
    state = _random_states((args, kwargs)) if preserve_rng_state else None
    if not is_grad_enabled():
        with forward_context:
            return function(*args, **kwargs)
    with forward_context:
        result = function(*args, **kwargs)
    outputs, rebuild = _tensors_in(result)
    followed = [i for i, out in enumerate(outputs) if current_edge(out) is not None]
    if not followed:
        return result
    edges = _boundary([outputs[i] for i in followed], args, kwargs)
    metadata = [(tuple(out.shape), out.dtype) for out in outputs]

    def recompute() -> list[Tensor]:
        with _random_state(state), recompute_context, enable_grad():
            again, _ = _tensors_in(function(*args, **kwargs))
        if determinism_check != "none":
            _require_same(metadata, again)
        return [again[i] for i in followed]

    def apply(given: dict[int, Tensor], retain_graph: bool) -> list[Tensor | None]:
        creates_graph = is_grad_enabled()
        again = recompute()
        slots = sorted(given)
        return _gradients(
            [again[i] for i in slots], edges, [given[i] for i in slots], creates_graph
        )

    shapes = [(out._node.shape, out._node.dtype) for out in (outputs[i] for i in followed)]
    node = CustomNode("CheckpointBackward", tuple(edges), shapes, apply)
    plain = list(outputs)
    for slot, i in enumerate(followed):
        # A handle of its own, so that the first computation's graph and values go.
        plain[i] = alias_without_grad(outputs[i])
        plain[i]._grad_fn = node if len(followed) == 1 else OutputOf(node, slot)
    del outputs, result
    synchronize()
    return rebuild(plain)


def _gradients(
    outputs: list[Tensor], edges: list, cotangents: list[Tensor], creates_graph: bool
) -> list[Tensor | None]:
    with enable_grad():
        return list(
            gradients_of(
                outputs,
                [GradientEdge(*target_of(edge)) for edge in edges],
                cotangents,
                # What the function took from outside has its graph still to be walked.
                retain_graph=True,
                create_graph=creates_graph,
                allow_unused=True,
            )
        )


def _boundary(outputs: list[Tensor], args: tuple, kwargs: dict[str, Any]) -> list:
    """The edges at which the stretch begins: the operands' and those of leaves inside."""
    operands, _ = _tensors_in((args, kwargs))
    found = {}
    for operand in operands:
        edge = current_edge(operand)
        if edge is not None:
            node, index = target_of(edge)
            found[id(node), index] = edge
    stops = {key[0] for key in found}
    seen: set[int] = set()
    stack: list[GraphNode] = [target_of(current_edge(out))[0] for out in outputs]
    while stack:
        node = stack.pop()
        if id(node) in seen or id(node) in stops:
            continue
        seen.add(id(node))
        if type(node) is AccumulateGrad:
            found[id(node), 0] = node
            continue
        for edge in node.edges:
            if edge is not None:
                stack.append(target_of(edge)[0])
    return list(found.values())


def _tensors_in(value: Any) -> tuple[list[Tensor], Callable[[list[Tensor]], Any]]:
    """The tensors in nested tuples, lists and dicts, and what puts others in their places."""
    leaves, spec = tree_flatten(value)
    places = [i for i, leaf in enumerate(leaves) if isinstance(leaf, Tensor)]

    def rebuild(tensors: list[Tensor]) -> Any:
        changed = list(leaves)
        for place, tensor in zip(places, tensors, strict=True):
            changed[place] = tensor
        return tree_unflatten(changed, spec)

    return [leaves[i] for i in places], rebuild


def _require_same(metadata: list, again: list[Tensor]) -> None:
    if len(metadata) != len(again):
        raise CheckpointError(
            "torch.utils.checkpoint: A different number of tensors was saved during the original "
            f"forward and recomputation: {len(metadata)} results at first, {len(again)} again"
        )
    for place, ((shape, dtype), tensor) in enumerate(zip(metadata, again, strict=True)):
        if (shape, dtype) != (tuple(tensor.shape), tensor.dtype):
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                f"different metadata than during the forward pass: result {place} was {shape} of "
                f"{dtype} and is now {tuple(tensor.shape)} of {tensor.dtype}; the function must "
                "do the same both times"
            )


# ---- what programs call --------------------------------------------------------------------------


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], Contexts] = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)`, whose intermediate values backward computes again.

    use_reentrant: True runs a backward inside backward, so that gradients reach what requires
        them only if an operand does, and `autograd.grad` does not work; False has no such limits.
        PyTorch wants it said, and so here.
    preserve_rng_state: whether random numbers are the same both times (a keyword, default True).
    Raises: ValueError for keywords with use_reentrant=True; CheckpointError if the second
        computation gives other shapes or dtypes.
    """
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint: the use_reentrant parameter should be passed explicitly. "
            "use_reentrant=False is recommended, but if you need to preserve the current default "
            "behavior, you can pass use_reentrant=True.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs and use_reentrant:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of default, none, got {determinism_check!r}"
        )
    if not use_reentrant:
        return _checkpointed(function, preserve, context_fn(), determinism_check, args, kwargs)
    if context_fn is not noop_context_fn or debug is not False:
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )
    if is_grad_enabled():
        check_backward_validity(args)
    return CheckpointFunction.apply(function, preserve, *args)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Modules in turn, in `segments` checkpointed runs; the last run is not checkpointed."""
    if use_reentrant is None:
        warnings.warn(
            "torch.utils.checkpoint.checkpoint_sequential: the use_reentrant parameter should be "
            "passed explicitly. use_reentrant=False is recommended.",
            stacklevel=2,
        )
        use_reentrant = True
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if isinstance(functions, Sequential):
        functions = list(functions.children())
    size = len(functions) // segments

    def run(first: int, last: int) -> Callable[[Any], Any]:
        def forward(value: Any) -> Any:
            for position in range(first, last + 1):
                value = functions[position](value)
            return value

        return forward

    end = -1
    for first in range(0, size * (segments - 1), size):
        end = first + size - 1
        input = checkpoint(
            run(first, end), input, use_reentrant=use_reentrant, preserve_rng_state=preserve
        )
    return run(end + 1, len(functions) - 1)(input)
