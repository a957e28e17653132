"""How transforms see what is recorded, and which of them is asked.

Recording an operation compares its key with the one that the memo expects.  While a transform is
active the tape expects none, so that each operation takes the slow turn of `tensor/apply.py`, where
`intercept` is asked; a program that uses no transform never passes there.  Transforms are a stack
of levels.  An operation belongs to the innermost level that one of its operands is mapped or
differentiated by; that level's rule records primitives again, for the levels below it, and what no
level knows is recorded on the thread's own tape.  Level: transform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rushlight.base.dtypes import DType
from rushlight.base.shapes import contiguous_strides, numel
from rushlight.batching import rows as _batching_rows  # noqa: F401 - fills the table
from rushlight.batching.table import member_of, stacked
from rushlight.jvp import rows as _jvp_rows  # noqa: F401 - fills the table
from rushlight.tape.memo import new_root
from rushlight.tape.node import Node
from rushlight.tape.primitive import Primitive
from rushlight.tape.tape import Tape, local
from rushlight.tensor.apply import apply1, apply2, apply_many
from rushlight.tensor.graph import InputGrad
from rushlight.tensor.storage import current_edge, refresh
from rushlight.tensor.tensor import Tensor, wrap
from rushlight.vjp.broadcast import filled

# A position of the memo that expects no key.
_NOWHERE = new_root()


class Level:
    """One active transform.

    depth: its place in the stack, from 1; larger is further inside.
    alive: whether it is still active.
    """

    depth = 0
    alive = False
    is_function = True  # not for `dual_level`, inside which programs run as they are

    def knows(self, node: Node) -> bool:
        """Whether the value is mapped, or differentiated, by this level."""
        raise NotImplementedError

    def process(
        self, transforms: Transforms, primitive: Primitive, operands: tuple, params: tuple
    ) -> Any:
        """Record the operation, at least one of whose operands this level knows."""
        raise NotImplementedError

    def detached(self, transforms: Transforms, tensor: Tensor) -> Tensor:
        """A tensor that this level knows, cut off from all derivatives (`detach`)."""
        raise NotImplementedError

    def entered_below(self, transforms: Transforms) -> Below:
        """A context in which only the levels below this one count."""
        return Below(transforms, self)

    def replaced(self, former: Node, node: Node) -> None:
        """`node` stands for the value of `former` from now on."""

    def released(self, tensor: Tensor, keeps: Callable[[Tensor], bool]) -> None:
        """Cut what the level knows of the tensor off from graphs that `keeps` does not want."""

    def recorded(self, made: Any, operands: tuple) -> None:
        """An operation of `operands` was recorded on the tape below this level, and gave `made`."""

    def randomness(self) -> tuple[int, str] | None:
        """(size, "error", "different" or "same") of a level that maps; None for others."""
        return None

    def member(self, payload: Tensor, mapped: bool) -> Tensor:
        """What a mapped function sees of a batch, or of a value that all members share."""
        raise NotImplementedError


class InterceptingTape(Tape):
    """What a thread's tape is while transforms are active.  It expects nothing from the memo.

    A tape stays the same object for as long as its thread lives; it changes its class.
    """

    __slots__ = ()

    @property
    def step(self):
        return _NOWHERE

    @property
    def in_block(self):
        return True  # nothing that is recorded now may become a block

    @in_block.setter
    def in_block(self, value):
        pass

    def leaf(self, node: Node) -> int:
        """No slot: the operation will be intercepted."""
        return -1

    def flush(self, reason: str) -> None:
        with self.transforms.paused():
            self.flush(reason)

    def drop(self) -> None:
        with self.transforms.paused():
            self.drop()


class Transforms:
    """The active transforms of one thread.

    tape: the thread's, which records in the end.
    levels: active transforms, innermost last.
    limit: how many of them count; the others are being replaced by what their rules record.
    user_mode: the mode of autograd that the user chose.  Parts of the library switch gradients off
        on the tape where they note them otherwise, for what the program sees; for the levels below
        they are still needed.
    """

    __slots__ = ("tape", "levels", "limit", "user_mode")

    def __init__(self, tape: Tape) -> None:
        self.tape = tape
        self.levels: list[Level] = []
        self.limit = 0
        self.user_mode = tape.grad_enabled

    def activate(self) -> None:
        """Intercept what is recorded from now on."""
        self.tape.transforms = self
        self.tape.__class__ = InterceptingTape

    def deactivate(self) -> None:
        """Let the tape record."""
        self.tape.transforms = None
        self.tape.__class__ = Tape

    @contextmanager
    def paused(self) -> Iterator[None]:
        """A context in which the tape records."""
        self.deactivate()
        try:
            yield
        finally:
            self.activate()

    # ---- recording ---------------------------------------------------------------------------

    def intercept(self, primitive: Primitive, operands: tuple, params: tuple) -> Any:
        """Record an operation whose operands are up to date; what `apply_many` returns."""
        level = self.level_of(operands)
        if level is not None:
            return level.process(self, primitive, operands, params)
        if self.tape.transforms is not self:
            return _record(primitive, operands, params)
        self.deactivate()
        try:
            made = _record(primitive, operands, params)
        finally:
            self.activate()
        for level in reversed(self.levels[: self.limit]):
            level.recorded(made, operands)
        return made

    def level_of(self, operands: tuple) -> Level | None:
        """The innermost level that knows one of the operands."""
        nodes = [x._node for x in operands]
        for level in reversed(self.levels[: self.limit]):
            for node in nodes:
                if level.knows(node):
                    return level
        for node in nodes:
            if node.__class__ is not Node:
                node.check_alive()
        return None

    # ---- what the levels above the tape ask --------------------------------------------------

    def drawn(
        self, draw: Callable, shape: tuple, strides: tuple | None, dtype: DType, by
    ) -> Tensor:
        """Random numbers of `shape`, by `draw(shape, strides, dtype, by)`: one draw for all members
        of a batch, or one with the batch's axis in front.

        Raises: RuntimeError, as PyTorch, where the innermost vmap says that randomness is an error.
        """
        levels = self._that_differ()
        lead = tuple(level.randomness()[0] for level in levels)  # type: ignore[index]
        if lead and strides is not None:
            strides = (*contiguous_strides((*lead, numel(shape)))[:-1], *strides)
        made = draw((*lead, *shape), strides, dtype, by)
        for level in levels:
            made = level.member(made, True)
        return made

    def drawn_from(self, draw: Callable, parameters: Tensor) -> Tensor:
        """Random numbers by `draw(parameters)`, for members' own parameters all at once."""
        level = self.knowing((parameters,))
        if level is None or level.randomness() is None:
            if self._that_differ():
                raise RuntimeError(
                    "vmap: randomness='different' needs parameters that differ by member in a "
                    "random operation on a tensor; expand the parameters before, and map them"
                )
            return draw(parameters)
        if level.randomness()[1] != "different":  # type: ignore[index]
            self._that_differ()
            raise RuntimeError(
                "vmap: a random operation with parameters that differ by member cannot draw the "
                "same numbers for all; use randomness='different'"
            )
        node: Any = parameters._node
        with Below(self, level):
            found = (
                draw(node.payload)
                if self.tape.transforms is not self
                else self.drawn_from(draw, node.payload)
            )
        return level.member(found, node.mapped)

    def by_member(self, function: Callable, tensors: tuple[Tensor, ...]) -> Any:
        """What `function`, which reads its arguments, gives for each member; no derivatives.

        Tuples of tensors come back as such.
        """
        level = self.knowing(tensors)
        if level is None or level.randomness() is None:
            return function(*tensors)
        size = level.randomness()[0]  # type: ignore[index]
        nodes: list[Any] = [x._node for x in tensors]
        with Below(self, level):
            rows = []
            # Of no members, the results of one say what shapes there are.
            for index in range(size) if size else (None,):
                given = []
                for x, node in zip(tensors, nodes):
                    if not level.knows(node):
                        given.append(x)
                    elif not node.mapped:
                        given.append(node.payload)
                    elif index is None:
                        given.append(filled(x, 0, node.shape))
                    else:
                        given.append(member_of(node.payload, index))
                transforms = self.tape.transforms
                if transforms is None:
                    found = function(*given)
                else:
                    found = transforms.by_member(function, tuple(given))
                rows.append(found if isinstance(found, tuple) else (found,))
            columns = [stacked(parts)[:size] for parts in zip(*rows)]
        members = [level.member(column, True) for column in columns]
        if not isinstance(found, tuple):
            return members[0]
        return type(found)(*members) if hasattr(found, "_fields") else tuple(members)

    def _that_differ(self) -> list[Level]:
        """The levels for whose members random numbers differ, outermost first."""
        found = []
        for level in self.levels[: self.limit]:
            known = level.randomness()
            if known is None:
                continue
            if known[1] == "error":
                raise RuntimeError(
                    "vmap: called random operation while in randomness error mode. Please either "
                    "use the 'same' or 'different' randomness flags on vmap or perform the "
                    "randomness operation out of vmap"
                )
            if known[1] == "different":
                found.append(level)
        return found

    def isolate(self, tensor: Tensor) -> None:
        """Make a tensor that becomes a leaf of the graph one that the innermost vmap knows.

        Its gradients are then those that the mapped function sees, and not the batches'.
        """
        for level in reversed(self.levels[: self.limit]):
            if level.randomness() is None:
                continue
            if not level.knows(current_node(tensor)):
                former = tensor._node
                tensor._node = level.member(wrap(former), False)._node
                for inner in self.levels[level.depth : self.limit]:
                    inner.replaced(former, tensor._node)
                tensor._storage = tensor._layout = tensor._base = None
            return

    def detached(self, tensor: Tensor) -> Tensor:
        """A tensor that a level knows, cut off from all derivatives, on memory of its own."""
        level = self.level_of((tensor,))
        assert level is not None
        return level.detached(self, tensor)

    def refuse_requires_grad(self) -> None:
        """Raise PyTorch's error for `requires_grad_()` inside a transformed function."""
        if any(level.is_function for level in self.levels[: self.limit]):
            raise RuntimeError(
                "You are attempting to call Tensor.requires_grad_() inside of a function being "
                "transformed by a function of torch.func; it has no effect on the derivatives "
                "that transforms compute. Pass the tensor as an argument of the function instead"
            )

    def knowing(self, operands: tuple) -> Level | None:
        """`level_of`, for tensors that may be out of date."""
        for x in operands:
            current_node(x)
        return self.level_of(operands)


class Below:
    """While it is entered, only the levels below one count, with the user's mode of autograd."""

    __slots__ = ("_transforms", "_limit", "_former")

    def __init__(self, transforms: Transforms, level: Level) -> None:
        self._transforms = transforms
        self._limit = level.depth - 1

    def __enter__(self) -> None:
        transforms = self._transforms
        tape = transforms.tape
        self._former = (transforms.limit, tape.grad_enabled, tape.transforms)
        transforms.limit = self._limit
        tape.grad_enabled = transforms.user_mode
        if not self._limit and tape.transforms is not None:
            transforms.deactivate()

    def __exit__(self, *exc_info) -> None:
        transforms = self._transforms
        transforms.limit, enabled, active = self._former
        transforms.tape.grad_enabled = enabled
        if active is not None and transforms.tape.transforms is None:
            active.activate()


def _record(primitive: Primitive, operands: tuple, params: tuple) -> Any:
    direct = primitive._direct
    if direct == 1:
        return apply1(primitive, operands[0], params)
    if direct == 2:
        return apply2(primitive, operands[0], operands[1], params)
    return apply_many(primitive, operands, params)


def current_node(tensor: Tensor) -> Node:
    """The node that shows the tensor's present value."""
    storage = tensor._storage
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)
    return tensor._node


class Entered:
    """What `enter` returns; `leave` takes it back."""

    __slots__ = ("transforms", "level", "suspended")

    def __init__(self, transforms: Transforms, level: Level, suspended: list) -> None:
        self.transforms = transforms
        self.level = level
        self.suspended = suspended


def enter(level: Level) -> Entered:
    """Make `level` the innermost one of this thread."""
    tape = local.tape
    transforms: Transforms | None = tape.transforms
    if transforms is None:
        transforms = Transforms(tape)
        transforms.activate()
    # Inside a rule, the levels that are being replaced wait until this one is left.
    suspended = transforms.levels[transforms.limit :]
    del transforms.levels[transforms.limit :]
    transforms.levels.append(level)
    level.depth = transforms.limit = len(transforms.levels)
    level.alive = True
    return Entered(transforms, level, suspended)


def leave(entered: Entered) -> None:
    """End the level that `enter` began, and those inside it that were not left."""
    transforms, level = entered.transforms, entered.level
    for inner in transforms.levels[level.depth - 1 :]:
        inner.alive = False
    del transforms.levels[level.depth - 1 :]
    transforms.limit = len(transforms.levels)
    transforms.levels.extend(entered.suspended)
    if not transforms.levels:
        transforms.deactivate()


def active_levels() -> list[Level]:
    """The levels of this thread that count now, innermost last."""
    transforms = local.tape.transforms
    return [] if transforms is None else transforms.levels[: transforms.limit]


def frozen(tensor: Tensor) -> Tensor:
    """A handle to the tensor's present value and history, which later writes do not change."""
    made = wrap(current_node(tensor))
    made._grad_fn = current_edge(tensor)
    return made


def differentiate_by(tensor: Tensor) -> None:
    """Let gradients be taken by a handle of our own.  Raises: RuntimeError for integers."""
    if not tensor._node.dtype.is_inexact:
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    transforms = local.tape.transforms
    if transforms is not None:
        transforms.isolate(tensor)
    tensor._grad_fn = InputGrad()


def release_graphs(tensor: Tensor, keeps: Callable[[Tensor], bool]) -> None:
    """Cut a handle of our own, and what active levels know of its value, off from graphs that
    `keeps(handle)` does not want kept."""
    if tensor._grad_fn is not None and not keeps(tensor):
        tensor._grad_fn = None
    for level in active_levels():
        if level.knows(tensor._node):
            level.released(tensor, keeps)
