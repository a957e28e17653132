"""What one call did, said so that it can be done again with other values.

In: the states of all tensors before and after a watched call, and what its `Recorder` was told.
Out: a `Recipe`: programs, where each leaf of theirs comes from, what is written where, and what the
result is made of; or the reason why there is none.  Two calls with equal `signature`s did the same.
Level: replay.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from rushlight.base.device import ANYWHERE, CPU
from rushlight.base.errors import FlushFailed
from rushlight.engine.direct import Recorded
from rushlight.nn.parameter import Buffer, Parameter
from rushlight.replay.arguments import Result
from rushlight.replay.recorder import Draw, Recorder, Update
from rushlight.tape.memo import LeafSpec
from rushlight.tape.tape import local
from rushlight.tensor.graph import (
    RELEASED,
    AccumulateGrad,
    BlockGrad,
    GradNode,
    OutputOf,
    target_of,
)
from rushlight.tensor.storage import refresh
from rushlight.tensor.tensor import Tensor

# Where a value comes from: (kind, numbers...).
TENSOR, GRADIENT, RESULT, DRAW, NUMBER, COUNT, CONSTANT = (
    "tensor", "gradient", "result", "draw", "number", "count", "constant"
)  # fmt: skip
# What a result is: a tensor that was there, one that is a gradient now, or a new one.
SAME, GRADIENT_NOW, FRESH = "same", "gradient now", "fresh"

Source = tuple


class Refused(Exception):
    """Why a call cannot be replayed."""


class State(NamedTuple):
    """What a tensor was at one moment."""

    node: Any
    layout: Any
    base: Any
    edge: Any
    storage: Any
    version: int
    gradient: Tensor | None
    gradient_node: Any
    gradient_version: int


class Program(NamedTuple):
    """A flushed tape.  leaves: slot -> source.  kept: slots of results that are wanted."""

    tape: list[Recorded]
    leaves: dict[int, Source]
    kept: set[int]


class Write(NamedTuple):
    """A value that replaces another in place.  target: (TENSOR or GRADIENT, place)."""

    target: Source
    source: Source
    times: int


class Output(NamedTuple):
    """A tensor of the result.  edge: its history, all of which backward has left behind."""

    kind: str
    place: int
    source: Source
    edge: Any


class Recipe(NamedTuple):
    """gradients: place of a tensor -> source of its gradient afterwards, None if it has none."""

    programs: list[Program]
    draws: list[Draw]
    updates: list[Update]
    constants: list[Any]
    writes: list[Write]
    gradients: dict[int, Source | None]
    outputs: list[Output]
    result: tuple
    signature: tuple


# ---- states ----------------------------------------------------------------------------------


def settle(tensors: list[Tensor], paths: list[str]) -> None:
    """Bring all tensors up to date, computed.  Raises: Refused for one that is in another state."""
    for tensor in tensors:
        _refresh(tensor)
        if tensor._grad is not None:
            _refresh(tensor._grad)
    local.tape.flush("compiled call")
    for tensor, path in zip(tensors, paths):
        _check(tensor, path)
        gradient = tensor._grad
        if gradient is not None:
            if type(gradient) is not Tensor or gradient._grad_fn is not None:
                raise Refused(f"the gradient of {path} has a history")
            if not _is_whole(gradient):
                raise Refused(f"the gradient of {path} is a view")
            _check(gradient, f"the gradient of {path}")


def _refresh(tensor: Tensor) -> None:
    storage = tensor._storage
    if storage is not None and storage.stamp != tensor._seen:
        refresh(tensor)


def _is_whole(tensor: Tensor) -> bool:
    """Whether the tensor's elements are all of its memory, and its value is the storage's."""
    if tensor._base is not None:
        return False
    layout = tensor._layout
    return layout is None or layout is tensor._storage.layout


def _check(tensor: Tensor, path: str) -> None:
    if type(tensor) not in (Tensor, Parameter, Buffer):
        raise Refused(f"{path} is a {type(tensor).__name__}")
    storage = tensor._storage
    if storage is not None and storage.stamp != tensor._seen:
        raise Refused(f"{path} shares its memory with NumPy")
    node = tensor._node
    if node.step.__class__ is not LeafSpec or type(node.value) is FlushFailed:
        raise Refused(f"{path} has no value")
    if node.step.device not in (CPU, ANYWHERE):
        raise Refused(f"{path} is on the {node.step.device.type} device")
    edge = tensor._grad_fn
    if edge is not None:
        if type(edge) is not AccumulateGrad:
            raise Refused(f"{path} has a history")
        if edge.extra is not None:
            raise Refused(f"{path} has hooks")


def states(tensors: list[Tensor]) -> list[State]:
    """What the tensors are now."""
    return [
        State(
            t._node, t._layout, t._base, t._grad_fn, t._storage, t._version, t._grad,
            None if t._grad is None else t._grad._node,
            0 if t._grad is None else t._grad._version,
        )
        for t in tensors
    ]  # fmt: skip


# ---- the recipe ------------------------------------------------------------------------------


class _Maker:
    def __init__(
        self,
        tensors: list[Tensor],
        paths: list[str],
        before: list[State],
        after: list[State],
        recorder: Recorder,
    ) -> None:
        self.tensors = tensors
        self.paths = paths
        self.before = before
        self.after = after
        self.recorder = recorder
        self.places = {id(tensor): place for place, tensor in enumerate(tensors)}
        self.constants: list[Any] = []
        self.sources: dict[int, Source] = {}
        self.hidden: dict[int, str] = {}
        self.results: dict[int, Source] = {}
        self.kept: list[set[int]] = [set() for _ in recorder.segments]
        self._note_entry()
        self._note_events()

    def _note_entry(self) -> None:
        for place, state in enumerate(self.before):
            self.sources.setdefault(id(state.node), (TENSOR, place))
            if state.storage is not None and state.storage.value is not state.node:
                self.hidden[id(state.storage.value)] = self.paths[place]
            base = state.base
            while base is not None:
                self.hidden[id(base._node)] = f"the base of {self.paths[place]}"
                base = base._base
        for place, state in enumerate(self.before):
            if state.gradient is None:
                continue
            if id(state.gradient) in self.places or id(state.gradient_node) in self.sources:
                raise Refused(f"the gradient of {self.paths[place]} is held elsewhere, too")
            self.sources[id(state.gradient_node)] = (GRADIENT, place)

    def _note_events(self) -> None:
        for place, draw in enumerate(self.recorder.draws):
            self.sources[id(draw.node)] = (DRAW, place)
        for place, update in enumerate(self.recorder.updates):
            for name, node in update.counts.items():
                self.sources[id(node)] = (COUNT, place, name)
            nodes = self.recorder.segments[update.segment].nodes
            for number, slot in enumerate(update.slots):
                self.sources[id(nodes[slot])] = (NUMBER, place, number)

    def programs(self) -> list[Program]:
        made = []
        for place, segment in enumerate(self.recorder.segments):
            leaves: dict[int, Source] = {}
            used = {slot for entry in segment.tape for slot in entry.operands or ()}
            for slot, (entry, node) in enumerate(zip(segment.tape, segment.nodes)):
                if entry.step.device not in (CPU, ANYWHERE):
                    raise Refused(f"a value is on the {entry.step.device.type} device")
                if entry.operands is not None:
                    self.results[id(node)] = (RESULT, place, slot)
                elif slot in used:
                    leaves[slot] = self._leaf(node)
            made.append(Program(segment.tape, leaves, self.kept[place]))
        return made

    def _leaf(self, node: Any) -> Source:
        found = self.results.get(id(node)) or self.sources.get(id(node))
        if found is None:
            hidden = self.hidden.get(id(node))
            if hidden is not None:
                raise Refused(f"{hidden} is read through other memory")
            found = self._constant(node, "a value that it reads")
        return self._wanted(found)

    def _constant(self, node: Any, what: str) -> Source:
        if id(node) not in self.recorder.made:
            raise Refused(f"where {what} comes from is not known")
        self.constants.append(node)
        return (CONSTANT, len(self.constants) - 1)

    def _wanted(self, source: Source) -> Source:
        if source[0] == RESULT:
            self.kept[source[1]].add(source[2])
        return source

    def made(self, node: Any, what: str) -> Source:
        """The source of a value that the call made."""
        found = self.results.get(id(node)) or self.sources.get(id(node))
        if found is None:
            if node.step.__class__ is not LeafSpec:
                raise Refused(f"{what} was not computed by the call")
            found = self._constant(node, what)
        if found[0] in (TENSOR, GRADIENT, NUMBER):
            raise Refused(f"{what} is another tensor's value")
        return self._wanted(found)

    def writes(self) -> list[Write]:
        found = []
        for place, (was, now) in enumerate(zip(self.before, self.after)):
            path = self.paths[place]
            if was.edge is not now.edge:
                raise Refused(f"the call changes the history of {path}")
            if was.layout != now.layout or was.base is not now.base:
                raise Refused(f"the call changes the layout of {path}")
            if was.storage is not None and was.storage is not now.storage:
                raise Refused(f"the call gives {path} other memory")
            if was.version != now.version or was.node is not now.node:
                if was.base is not None or (
                    was.layout is not None and now.storage.layout is not now.layout
                ):
                    raise Refused(f"the call writes to {path}, which is a view")
                self._check_alone(place)
                source = self.made(now.node, path)
                found.append(Write((TENSOR, place), source, now.version - was.version))
        return found

    def _check_alone(self, place: int) -> None:
        """Nothing else that the call can reach may show the memory that it writes."""
        storage = self.after[place].storage
        for other, state in enumerate(self.before):
            if other != place and state.storage is storage:
                raise Refused(f"{self.paths[place]} and {self.paths[other]} share memory")

    def gradients(self, writes: list[Write]) -> dict[int, Source | None]:
        changed: dict[int, Source | None] = {}
        for place, (was, now) in enumerate(zip(self.before, self.after)):
            gradient = now.gradient
            if gradient is None:
                if was.gradient is not None:
                    changed[place] = None
                continue
            what = f"the gradient of {self.paths[place]}"
            if gradient is was.gradient:
                if was.gradient_version != now.gradient_version or (
                    now.gradient_node is not was.gradient_node
                ):
                    source = self.made(now.gradient_node, what)
                    times = now.gradient_version - was.gradient_version
                    writes.append(Write((GRADIENT, place), source, times))
                continue
            if id(gradient) in self.places:
                raise Refused(f"{what} is another tensor")
            if type(gradient) is not Tensor or gradient._grad_fn is not None:
                raise Refused(f"{what} has a history")
            if not _is_whole(gradient):
                raise Refused(f"{what} is a view")
            changed[place] = self.made(gradient._node, what)
        return changed

    def outputs(self, result: Result) -> list[Output]:
        gradients = {
            id(state.gradient): place
            for place, state in enumerate(self.after)
            if state.gradient is not None
        }
        known = {id(s.storage) for s in self.after if s.storage is not None}
        found = []
        for tensor in result.tensors:
            place = self.places.get(id(tensor))
            if place is not None:
                found.append(Output(SAME, place, (), None))
                continue
            place = gradients.get(id(tensor))
            if place is not None:
                found.append(Output(GRADIENT_NOW, place, (), None))
                continue
            found.append(self._fresh(tensor, known))
        return found

    def _fresh(self, tensor: Tensor, known: set[int]) -> Output:
        if type(tensor) is not Tensor:
            raise Refused(f"it returns a {type(tensor).__name__}")
        storage = tensor._storage
        if storage is not None and (id(storage) in known or storage.stamp != tensor._seen):
            raise Refused("a result shares its memory with a tensor that was there before")
        if storage is not None:
            known.add(id(storage))
        if tensor._layout is not None and tensor._layout is not storage.layout:
            raise Refused("a result is a strided view")
        if tensor._grad is not None or tensor.__dict__:
            raise Refused("a result has a gradient, or attributes")
        return Output(FRESH, -1, self.made(tensor._node, "a result"), self._history(tensor))

    def _history(self, tensor: Tensor) -> Any:
        edge = tensor._grad_fn
        if edge is None:
            return None
        if type(edge) is AccumulateGrad:
            raise Refused("a result is a new leaf that requires a gradient")
        waiting = [target_of(edge)[0]]
        seen = {id(waiting[0])}
        for node in waiting:
            if type(node) is AccumulateGrad:
                if id(node.tensor()) not in self.places:
                    raise Refused("a result leads back to a tensor that is not known")
                continue
            if not isinstance(node, (GradNode, BlockGrad)) or node.extra is not None:
                raise Refused(f"the history of a result has a {type(node).__name__}, or hooks")
            if node.saved is not None and node.saved is not RELEASED:
                raise Refused("a result has a history that backward may still follow")
            for following in node.edges:
                if following is not None:
                    target = target_of(following)[0]
                    if id(target) not in seen:
                        seen.add(id(target))
                        waiting.append(target)
        if type(edge) is OutputOf:
            return edge
        return target_of(edge)[0]


def recipe_of(
    tensors: list[Tensor],
    paths: list[str],
    before: list[State],
    after: list[State],
    recorder: Recorder,
    result: Result,
) -> Recipe:
    """The recipe of a call.  Raises: Refused."""
    if result.problem:
        raise Refused(result.problem)
    maker = _Maker(tensors, paths, before, after, recorder)
    programs = maker.programs()
    writes = maker.writes()
    gradients = maker.gradients(writes)
    outputs = maker.outputs(result)
    for update in recorder.updates:
        if not update.optimizer.has_bucket(update.group, update.bucket):
            raise Refused("an optimizer began anew")
    signature = (
        tuple([_signature_of(program) for program in programs]),
        tuple([_bits(node) for node in maker.constants]),
        tuple([(u.segment, id(u.optimizer), id(u.bucket), u.form) for u in recorder.updates]),
        len(recorder.draws),
        tuple(writes),
        tuple(gradients.items()),
        tuple([output[:3] for output in outputs]),
        result.shape,
    )
    return Recipe(
        programs, recorder.draws, recorder.updates, maker.constants, writes, gradients, outputs,
        result.shape, signature,
    )  # fmt: skip


def _signature_of(program: Program) -> tuple:
    operations = tuple(
        [
            (r.step.primitive, r.step.params, r.step.shape, r.step.dtype, r.operands)
            for r in program.tape
            if r.operands is not None
        ]
    )
    return (operations, tuple(program.leaves.items()), tuple(sorted(program.kept)))


def _bits(node: Any) -> tuple:
    array = np.asarray(node.value)
    return (array.shape, array.dtype.str, array.tobytes())
