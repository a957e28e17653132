"""PyTorch's `torch.cuda.graphs`: work of a device recorded once and replayed.

A capture runs the work once, keeps the programs that it flushed, and takes back what it wrote, so
that nothing has happened yet, as in PyTorch.  A replay runs those programs on what the tensors read
by them hold now, and puts the results where the capture's are: the program copies new inputs into
the tensors it captured with, replays, and reads the tensors it got.  Numbers of Python are those of
the capture; random numbers of a device go on with its stream at each replay.  Level 12.
"""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rushlight.engine import cuda
from rushlight.engine.placement import PlacedPlan
from rushlight.engine.plan import make_plan
from rushlight.rng.philox import Philox, as_int64
from rushlight.tape.block import expand
from rushlight.tape.node import Node
from rushlight.tape.tape import leaf_node, local, materialise, unread_node
from rushlight.tensor.flush import synchronize as flush
from rushlight.tensor.storage import Storage
from rushlight.tensor.tensor import Tensor

__all__ = [
    "CUDAGraph", "graph", "graph_pool_handle", "is_current_stream_capturing",
    "make_graphed_callables",
]  # fmt: skip

_pools = itertools.count(1)


class _Program:
    """One flushed program: its nodes as they were recorded.

    rows: (node, its step, slots of its operands) in order; live: slots whose values others read.
    """

    def __init__(self, nodes: list) -> None:
        expand(nodes)
        slots = {id(node): slot for slot, node in enumerate(nodes)}
        self.rows = [
            (node, node.step, tuple([slots[id(operand)] for operand in node.inputs])
             if node.value is None else ())
            for node in nodes
        ]  # fmt: skip
        self.pending = [node.value is None for node in nodes]
        self.live: list[int] = []
        self.plan: Any = None

    def kept(self) -> None:
        """The flush is over: what has a value now is read by somebody."""
        self.live = [
            slot
            for slot, (node, _, _) in enumerate(self.rows)
            if self.pending[slot] and node.value is not None
        ]

    def run(self, value_of: Callable[[Node], Any]) -> dict[int, Any]:
        """Run it on the present values of its leaves; the results, by the nodes' identities."""
        made: list[Node] = []
        for (node, step, operands), pending in zip(self.rows, self.pending):
            twin = unread_node(node.shape, node.dtype)
            twin.step = step
            twin.inputs = tuple([made[slot] for slot in operands])
            if not pending:
                twin.value = value_of(node)
            made.append(twin)
        if self.plan is None:
            slots = {id(node): slot for slot, node in enumerate(made)}
            kept = set(self.live)
            plan = make_plan(made, slots, [slot in kept for slot in range(len(made))])
            self.plan = PlacedPlan(plan, made)
        error = self.plan.run(made)
        if error is not None:
            raise error
        return {id(self.rows[slot][0]): made[slot].value for slot in self.live}


class _Stream:
    """What a graph draws from one stream of random numbers.

    first: the stream's offset when the capture reached it; length: how far the graph moves it;
    draws: the leaves that hold seed and calls of a thread, for each draw.
    """

    def __init__(self, engine: Philox, first: int) -> None:
        self.engine = engine
        self.first = first
        self.length = 0
        self.draws: list[tuple[Node, Node]] = []

    def take_back(self) -> None:
        """The capture is over, and has drawn nothing yet."""
        self.length = self.engine.offset - self.first
        self.engine.offset = self.first

    def advance(self) -> dict[int, Any]:
        """The leaves' values for the next replay, by identity; the stream moves on."""
        moved = (self.engine.offset - self.first) // 4
        seed = np.int64(as_int64(self.engine.seed))
        values: dict[int, Any] = {}
        for seed_leaf, call in self.draws:
            values[id(seed_leaf)] = seed
            values[id(call)] = np.int64(call.value + moved)
        self.engine.offset += self.length
        return values


class _Capture:
    """What a tape tells while a graph is recorded (`Tape.recorder`)."""

    def __init__(self) -> None:
        self.programs: list[_Program] = []
        self.streams: list[_Stream] = []

    def flushing(self, nodes: list, reason: str) -> None:
        self.programs.append(_Program(nodes))

    def flushed(self, nodes: list, error: BaseException | None) -> None:
        self.programs[-1].kept()

    def updated(self, *_: Any) -> None:
        """An optimizer's step was recorded: its operations are on the tape."""

    def drawn(self, *_: Any) -> None:
        """Random numbers of the host were drawn: they are leaves."""

    def reserved(self, engine: Philox, offset: int, seed: Node, call: Node) -> None:
        """A device's random numbers were recorded.  offset: its stream's, before."""
        stream = next((s for s in self.streams if s.engine is engine), None)
        if stream is None:
            stream = _Stream(engine, offset)
            self.streams.append(stream)
        stream.draws.append((seed, call))


class _Held(NamedTuple):
    """What a storage, or a tensor without one, holds; layout: in which order, as of a Storage."""

    holder: Any
    node: Node
    layout: tuple | None


def _holders() -> list[_Held]:
    """All storages, and tensors without one."""
    found: list[_Held] = []
    for holder in gc.get_objects():
        # Not isinstance: it asks objects for their class, and some of other libraries object.
        kind = type(holder)
        if kind is Storage or (issubclass(kind, Tensor) and holder._storage is None):
            found.append(_held(holder))
    return found


def _held(holder: Any) -> _Held:
    """What is held now; a tensor may have got a storage since."""
    storage = holder if type(holder) is Storage else holder._storage
    if storage is None:
        return _Held(holder, holder._node, None)
    return _Held(holder, storage.value, storage.layout)


def _put(holder: Any, node: Node, layout: tuple | None) -> None:
    """Let a storage or a tensor hold a node from now on."""
    storage = holder if type(holder) is Storage else holder._storage
    if storage is None:
        holder._node = node
    else:
        storage.restore(node, layout)


def _present(captured: _Held) -> Any:
    """The value that a storage or a tensor holds now.

    Raises: RuntimeError if it lies in another order than when it was captured.
    """
    now = _held(captured.holder)
    storage = now.holder if type(now.holder) is Storage else now.holder._storage
    if storage is not None and storage.pinned is not None:
        return storage.pinned.copy()
    if now.layout != captured.layout:
        raise RuntimeError(
            "CUDAGraph: the memory format of an input changed since the capture; copy into it in "
            "the format it had, or capture again"
        )
    if now.node.value is None:
        materialise(now.node, "a graph is replayed")
    return now.node.value


class CUDAGraph:
    """Work of a device, recorded between `capture_begin` and `capture_end`.

    Raises: RuntimeError without a device.
    """

    def __init__(self, keep_graph: bool = False) -> None:
        if not cuda.backends():
            raise RuntimeError(
                "torch.cuda.CUDAGraph requires CUDA support; there is no CUDA device here"
            )
        self._pool: Any = None
        self.reset()

    def reset(self) -> None:
        """Forget what was recorded."""
        self._programs: list[_Program] | None = None
        self._streams: list[_Stream] = []
        self._inputs: dict[int, _Held] = {}
        # A weak reference to a storage or a tensor, the node whose value it is given, its layout.
        self._outputs: list[tuple[Any, Node, tuple | None]] = []
        self._before: list[_Held] = []
        self._kept: list[Any] = []

    def capture_begin(self, pool: Any = None, capture_error_mode: str = "global") -> None:
        """What this thread does from now on is recorded.

        Raises: RuntimeError if something is being recorded already, or was by this object.
        """
        if self._programs is not None:
            raise RuntimeError(
                "This CUDAGraph instance already owns a captured graph; reset() it, or make another"
            )
        if local.tape.recorder is not None:
            raise RuntimeError("CUDAGraph: a capture is under way on this thread; end it first")
        flush()
        self._pool = pool if pool is not None else graph_pool_handle()
        self._before = _holders()
        local.tape.recorder = _Capture()

    def capture_end(self) -> None:
        """End the recording.  Raises: RuntimeError unless it was begun."""
        capture = local.tape.recorder
        if type(capture) is not _Capture:
            raise RuntimeError("CUDAGraph.capture_end: nothing is being captured")
        try:
            flush()
        finally:
            local.tape.recorder = None
        self._programs = capture.programs
        self._streams = capture.streams
        for stream in self._streams:
            stream.take_back()
        # By identity: the nodes must live as long as the names that they are known by.
        self._kept = [row[0] for program in self._programs for row in program.rows]
        read = {id(node) for node in self._kept}
        written = {id(program.rows[slot][0]) for program in self._programs for slot in program.live}
        self._outputs = [
            (weakref.ref(holder), node, layout)
            for holder, node, layout in _holders()
            if id(node) in written
        ]
        for held in self._before:
            if id(held.node) in read:
                self._inputs[id(held.node)] = held
            if id(_held(held.holder).node) in written:
                _put(*held)
        self._before = []

    def replay(self) -> None:
        """Run what was recorded on what its inputs hold now.  Raises: RuntimeError if nothing was;
        what the work raises."""
        if self._programs is None:
            raise RuntimeError("Called CUDAGraph::replay without a preceding successful capture.")
        flush()
        values: dict[int, Any] = {}
        for identity, held in self._inputs.items():
            values[identity] = _present(held)
        for stream in self._streams:
            values.update(stream.advance())

        def value_of(node: Node) -> Any:
            return values.get(id(node), node.value)

        for program in self._programs:
            values.update(program.run(value_of))
        for reference, node, layout in self._outputs:
            holder = reference()
            if holder is not None and id(node) in values:
                _put(holder, leaf_node(values[id(node)], node.dtype), layout)

    def instantiate(self) -> None:
        """Nothing is left to be done."""

    def pool(self) -> Any:
        """The handle of its memory."""
        return self._pool

    def enable_debug_mode(self) -> None:
        """Nothing more is kept: `rushlight.explain` tells of programs."""

    def debug_dump(self, debug_path: Any) -> None:
        """Write the recorded programs as text."""
        with open(debug_path, "w", encoding="utf-8") as file:
            for number, program in enumerate(self._programs or []):
                file.write(f"program {number}\n")
                for slot, (node, step, operands) in enumerate(program.rows):
                    places = ", ".join(f"%{place}" for place in operands)
                    file.write(f"  %{slot} = {step.primitive}({places}) {list(node.shape)}\n")


class graph:  # noqa: N801 - PyTorch's name
    """Context that records work of a device into a CUDAGraph.

    pool, stream, capture_error_mode: kept, and of no consequence.
    """

    def __init__(
        self, cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None,
        capture_error_mode: str = "global",
    ) -> None:  # fmt: skip
        if not cuda.backends():
            raise RuntimeError("torch.cuda.graph requires CUDA support; there is no device here")
        self.cuda_graph = cuda_graph
        self.pool = pool
        self.capture_error_mode = capture_error_mode

    def __enter__(self) -> None:
        self.cuda_graph.capture_begin(self.pool, self.capture_error_mode)

    def __exit__(self, kind: Any, *_: object) -> None:
        self.cuda_graph.capture_end()
        if kind is not None:
            self.cuda_graph.reset()


def graph_pool_handle() -> Any:
    """A handle for graphs that share memory.  Raises: AssertionError without a device."""
    cuda.backend()
    return (0, next(_pools))


def is_current_stream_capturing() -> bool:
    """Whether work of the device is being recorded on this thread."""
    return type(local.tape.recorder) is _Capture


def make_graphed_callables(
    callables: Any,
    sample_args: Any,
    num_warmup_iters: int = 3,
    allow_unused_input: bool = False,
    pool: Any = None,
) -> Any:
    """The functions or modules themselves, after a few runs on the sample arguments.

    Every program is kept and replayed as it is (plans), forward and backward, so there is nothing
    that a graph would add.  Raises: AssertionError without a device.
    """
    cuda.backend()
    several = isinstance(callables, tuple)
    functions = callables if several else (callables,)
    arguments = sample_args if several else (sample_args,)
    if len(functions) != len(arguments):
        raise RuntimeError("make_graphed_callables: sample_args must have one tuple per callable")
    for function, given in zip(functions, arguments):
        for _ in range(num_warmup_iters):
            function(*given)
        flush()
    return callables
