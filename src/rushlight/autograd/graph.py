"""The nodes of the autograd graph, and what they save, as users see and steer them.

Level: autograd (12).
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from rushlight.autograd.differentiation import GradientEdge, get_gradient_edge
from rushlight.base.hooks import RemovableHandle
from rushlight.tensor.autodiff import current_walk
from rushlight.tensor.graph import GraphNode as Node
from rushlight.tensor.graph import target_of
from rushlight.tensor.memory import storage_of
from rushlight.tensor.storage import alias_without_grad, current_edge, refresh
from rushlight.tensor.tensor import Tensor, wrap

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "region_activation_memory_budget",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
    "set_override_stale_capture_stream",
    "set_warn_on_accumulate_grad_stream_mismatch",
]


class _State(threading.local):
    """depth: contexts of hooks that are entered.  refusal: why no more may be, or None.

    mutation: whether `allow_mutation_on_saved_tensors` is entered.
    """

    depth = 0
    refusal: str | None = None
    mutation = False


_state = _State()


# ---- hooks on what is saved ----------------------------------------------------------------------


class saved_tensors_hooks:  # noqa: N801 - PyTorch's name
    """A context in which `pack_hook(tensor)` says what is kept of each tensor that backward needs.

    unpack_hook: from what `pack_hook` gave to a tensor of the same values, when backward needs it.
    Of nested contexts the innermost one counts.  Operations are composed of primitives here, so an
    operation may save other tensors than PyTorch's does, and more or fewer of them.
    Raises: RuntimeError inside `disable_saved_tensors_hooks`, or if `pack_hook` writes to its
    operand; TypeError, in backward, if `unpack_hook` gives no tensor.
    Source: torch.autograd.graph.saved_tensors_hooks.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook
        self._entered: list[Any] = []

    def __enter__(self) -> None:
        if _state.refusal is not None:
            raise RuntimeError(_state.refusal)
        # Loaded where needed: it brings the tables of all transforms.
        saving = importlib.import_module("rushlight.autograd.saved_tensors")
        interception = importlib.import_module("rushlight.transform.interception")
        level = saving.SavingLevel(self.pack_hook, self.unpack_hook)
        self._entered.append((interception.leave, interception.enter(level)))
        _state.depth += 1

    def __exit__(self, *exception: object) -> None:
        _state.depth -= 1
        leave, entered = self._entered.pop()
        leave(entered)


class save_on_cpu:  # noqa: N801 - PyTorch's name
    """A context in which what backward needs is kept in the CPU's memory, where all values are.

    Raises: RuntimeError for pinned memory: there is no accelerator to copy it to.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if pin_memory:
            raise RuntimeError(
                "save_on_cpu: pin_memory=True needs an accelerator, and rushlight runs on the CPU; "
                "leave it out"
            )

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exception: Any) -> None:
        return None


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """A context in which entering `saved_tensors_hooks` raises a RuntimeError with this message.

    Raises: the same error at once, inside of such hooks.
    """
    before = _state.refusal
    if _state.depth:
        raise RuntimeError(error_message)
    _state.refusal = error_message
    try:
        yield
    finally:
        _state.refusal = before


# ---- writing to what is saved --------------------------------------------------------------------


class _AllowMutationOnSavedContext:
    """What the program holds while tensors that backward needs may be written to."""

    def __init__(self) -> None:
        self.alive = True

    def clear(self) -> None:
        """Let go of everything: backward through the graph recorded here raises from now on."""
        self.alive = False


@contextlib.contextmanager
def allow_mutation_on_saved_tensors() -> Iterator[_AllowMutationOnSavedContext]:
    """A context in which tensors that backward needs may be written to in place.

    Backward sees the values from before the write; it must run inside of the context.  The tape
    keeps old values by itself; only memory that NumPy shares is copied.
    Raises: RuntimeError where such a context is entered already; AssertionError in backward after
    its end.  Source: torch.autograd.graph.allow_mutation_on_saved_tensors.
    """
    if _state.mutation:
        raise RuntimeError("allow_mutation_on_saved_tensors contexts cannot be nested")
    context = _AllowMutationOnSavedContext()

    def unpack(kept: Tensor) -> Tensor:
        if not context.alive:
            raise AssertionError(
                "Trying to backward outside of the 'allow_mutation_on_saved_tensors' context in "
                "which the graph was originally recorded."
            )
        return kept

    _state.mutation = True
    try:
        with saved_tensors_hooks(_value_now, unpack):
            yield context
    finally:
        context.clear()
        _state.mutation = False


def _value_now(tensor: Tensor) -> Tensor:
    """A tensor of the present value, which writes to `tensor` do not change."""
    storage = tensor._storage
    if storage is not None and storage.pinned is not None:
        return tensor.clone()  # type: ignore[attr-defined]
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)
    return wrap(tensor._node)


def increment_version(tensor: Tensor | Iterable[Tensor]) -> None:
    """Tell autograd that tensors were written to by means that it does not see."""
    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        alias_without_grad(one)  # a value that backward saved learns whose it is
        storage_of(one).writes.version += 1


# ---- hooks on several gradients ------------------------------------------------------------------


def register_multi_grad_hook(
    tensors: Sequence[Tensor],
    fn: Callable[[Sequence[Tensor | None]], None] | Callable[[Tensor], None],
    *,
    mode: str = "all",
) -> RemovableHandle:
    """Call `fn` in each backward that computes gradients of `tensors`.

    mode: "all": with all gradients, None for those of tensors that this backward does not pass,
        once the last of them is there; "any": with the first one.
    Raises: ValueError for other modes; RuntimeError for tensors that require no gradient.
    Source: torch.autograd.graph.register_multi_grad_hook.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    tensors = tuple(tensors)
    watch = _All(tensors, fn) if mode == "all" else _Any(fn)
    handles = [
        tensor.register_hook(functools.partial(watch.came, place))  # type: ignore[attr-defined]
        for place, tensor in enumerate(tensors)
    ]
    return _Handles(handles)


class _Handles(RemovableHandle):
    """Removes the hooks of all tensors."""

    def __init__(self, handles: Sequence[RemovableHandle]) -> None:
        self.handles = tuple(handles)

    def remove(self) -> None:
        """Take the hooks back."""
        for handle in self.handles:
            handle.remove()

    def __getstate__(self) -> Any:
        return self.handles

    def __setstate__(self, state: Any) -> None:
        self.handles = state


class _All:
    """Collects the gradients of one backward, by its number."""

    def __init__(self, tensors: tuple, fn: Callable) -> None:
        edges = [current_edge(tensor) for tensor in tensors]
        if any(edge is None for edge in edges):
            raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
        self.nodes = [target_of(edge)[0] for edge in edges]
        self.fn = fn
        self.waiting: dict[int, tuple[list[Tensor | None], list[int]]] = {}

    def came(self, place: int, gradient: Tensor) -> None:
        """One gradient was computed."""
        number = current_walk.number
        if number not in self.waiting:
            expected = [i for i, node in enumerate(self.nodes) if current_walk.will_visit(node)]
            # A backward that raised leaves what it collected: only the present one counts.
            self.waiting = {number: ([None] * len(self.nodes), expected)}
        found, missing = self.waiting[number]
        found[place] = gradient
        missing.remove(place)
        if not missing:
            del self.waiting[number]
            self.fn(found)


class _Any:
    """Tells of the first gradient of each backward."""

    def __init__(self, fn: Callable) -> None:
        self.fn = fn
        self.told = 0

    def came(self, place: int, gradient: Tensor) -> None:
        """One gradient was computed."""
        if self.told != current_walk.number:
            self.told = current_walk.number
            self.fn(gradient)


# ---- settings of what does not exist here --------------------------------------------------------


def region_activation_memory_budget(budget: float) -> None:
    """How much of the activations a compiled region may keep.

    Raises: TypeError and ValueError for a budget that is no number from 0 to 1; RuntimeError: no
    region is traced here, as PyTorch raises outside of one; use torch.utils.checkpoint.
    """
    name = "torch.autograd.graph.region_activation_memory_budget"
    if isinstance(budget, bool) or not isinstance(budget, (int, float)):
        raise TypeError(f"{name}: expects a float, got {type(budget).__name__}")
    if not 0.0 <= budget <= 1.0:
        raise ValueError(f"{name}: must be in [0, 1], got {budget}")
    raise RuntimeError(
        f"{name} can only be used inside a torch.compile region, and no code is traced here; use"
        " torch.utils.checkpoint for what is to be computed again"
    )


class _Streams:
    """What programs asked for about streams of gradients, which are ordered by the tape here."""

    warn_on_mismatch = True
    override_stale = False


def set_warn_on_accumulate_grad_stream_mismatch(enabled: bool) -> None:
    """Whether to warn of gradients from another stream: the tape orders them, none are."""
    _Streams.warn_on_mismatch = bool(enabled)


def set_override_stale_capture_stream(enabled: bool) -> None:
    """Whether gradients go to a capturing stream: the tape orders them, all of them do."""
    _Streams.override_stale = bool(enabled)
