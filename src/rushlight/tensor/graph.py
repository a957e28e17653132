"""The nodes of the autograd graph.

A GradNode is made for each recorded primitive that leads to a tensor requiring gradients; it keeps
what its VJP reads and the edges to its operands' nodes.  Running it is `tensor/autodiff.py`'s.
Level 10.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from typing import Any, NamedTuple

from rushlight.base.hot import hot

RELEASED = ()


class Extra:
    """What few nodes have: hooks, and tensors that retain their gradient."""

    __slots__ = (
        "pre_hooks", "post_hooks", "accumulate_hooks", "retained", "metadata", "line",
    )  # fmt: skip

    def __init__(self) -> None:
        # Ordered dictionaries, since handles refer to them weakly.
        self.pre_hooks: OrderedDict[int, Any] = OrderedDict()
        self.post_hooks: OrderedDict[int, Any] = OrderedDict()
        self.accumulate_hooks: OrderedDict[int, Any] = OrderedDict()
        self.retained: dict[int, Any] = {}
        self.metadata: dict[str, Any] = {}
        self.line: tuple[str, int] | None = None


class GraphNode:
    """What all nodes of the graph share: PyTorch's `torch.autograd.graph.Node` interface."""

    __slots__ = ()

    edges: tuple[Any, ...]
    extra: Extra | None

    def name(self) -> str:
        """The name PyTorch prints, such as `AddBackward0`."""
        raise NotImplementedError

    @property
    def next_functions(self) -> tuple:
        """(node, output number) for each operand; (None, 0) where no gradient is needed."""
        found = []
        for edge in self.edges:
            if type(edge) is OutputOf:
                found.append((shown(edge.node), edge.index))
            else:
                found.append((shown(edge), 0))
        return tuple(found)

    def with_extra(self) -> Extra:
        """The node's `Extra`, made at first need."""
        if self.extra is None:
            self.extra = Extra()  # type: ignore[misc]
        return self.extra

    @property
    def metadata(self) -> dict:
        """A dictionary for the user's own use."""
        return self.with_extra().metadata

    def __repr__(self) -> str:
        return f"<{short_name(self)} object at {id(self):#x}>"


def short_name(node: GraphNode) -> str:
    """The name without its namespace, as printed tensors show it."""
    return node.name().rpartition("::")[2]


@hot
class GradNode(GraphNode):
    """One recorded primitive in the graph.

    step: the memo step (primitive, parameters, operand shapes, line, VJP).
    edges: for each operand, what backward continues with, or None.
    saved: nodes of the operands and, last, of the results, None where the VJP does not read them;
        None if it reads nothing, RELEASED after a backward that did not retain the graph.  Where
        hooks pack what is saved, `PackedValue`s; such a node has an `Extra`, so that backward walks
        the graph.
    extra: `Extra` or None.
    label: the name of the operation the user called, where it is not the primitive's; recording
        leaves the slot empty, so that it costs nothing (see `named`).
    """

    __slots__ = ("step", "edges", "saved", "extra", "label", "__weakref__")

    step: Any
    edges: tuple[Any, ...]
    saved: Any
    extra: Extra | None
    label: str

    def name(self) -> str:
        try:
            return self.label
        except AttributeError:
            return self.step.primitive.grad_name


_SHOWN: dict[str, type] = {}


def shown(node):
    """The node as users see it: of a class called as PyTorch calls it, such as `AddBackward0`.

    The class has nothing of its own, so that the node stays what it was for everything else.
    """
    if type(node) is BlockGrad:
        node = node.opened()
    if isinstance(node, GradNode):
        name = short_name(node)
        kind = _SHOWN.get(name)
        if kind is None:
            kind = _SHOWN[name] = type(name, (GradNode,), {"__slots__": ()})
        if type(node) is not kind:
            node.__class__ = kind
    return node


class PackedValue:
    """Stands in `GradNode.saved` for a value that the user's hook packed.

    value: what the hook gave; unpack: from that to a tensor.
    """

    __slots__ = ("value", "unpack")

    def __init__(self, value: Any, unpack: Any) -> None:
        self.value = value
        self.unpack = unpack


class GradTemplate(NamedTuple):
    """One node of a block's graph.

    edges: for each operand None, the position of another template, or ~i for the block's operand i.
    saved: slots of the nodes it keeps, as `GradNode.saved`.
    """

    step: Any
    edges: tuple[int | None, ...]
    saved: tuple[int | None, ...] | None
    label: str | None


@hot
class BlockGrad(GraphNode):
    """The graph of a replayed block: one node until somebody looks inside.

    Opened, it is another name of the result's own node: `target_of` and hooks go there, so that the
    graph is walked as if each operation had been recorded by itself.

    block: its `about.graph` lists the nodes, operands first, the result's last.
    edges: those of the block's operands.
    saved: nodes whose memory must not be overwritten before backward; None if nothing is read,
        RELEASED as in GradNode.
    segment: the tape that holds the saved values, while they are needed.
    inner: the result's node, once opened.
    """

    __slots__ = (
        "block", "edges", "saved", "segment", "inner", "extra", "label", "__weakref__",
    )  # fmt: skip

    edges: tuple[Any, ...]
    label: str | None

    @hot
    def __init__(self, block, edges: tuple, saved, segment) -> None:
        self.block = block
        self.edges = edges
        self.saved = saved
        self.segment: Any = None if saved is None else segment
        self.inner: GradNode | None = None
        self.extra: Extra | None = None
        self.label = None

    def name(self) -> str:
        if self.label is not None:
            return self.label
        template = self.block.about.graph[-1]
        return template.label or template.step.primitive.grad_name

    def with_extra(self) -> Extra:
        return super().with_extra() if self.inner is None else self.inner.with_extra()

    @hot
    def release(self) -> None:
        """Let go of what was saved, after a backward that does not keep the graph."""
        if self.saved is not None:
            self.saved = RELEASED
            self.segment = None

    @hot
    def settle(self) -> None:
        """Before a flush: the values backward will read must become nodes that are kept."""
        if self.inner is None and self.saved is not None and self.saved is not RELEASED:
            self.opened()

    def opened(self) -> GradNode:
        """The result's own node, whose place this one takes."""
        if self.inner is not None:
            return self.inner
        released = self.saved is RELEASED
        block = self.block
        history = block.about
        segment = self.segment
        if segment is not None:
            segment.expand()
            for slot, operand in history.homes:
                if segment[slot].home is None:
                    segment[slot].home = segment[operand].home
        made: list[GradNode] = []
        for template in history.graph:
            node = GradNode()
            node.step = block.own_step(template.step)
            node.edges = tuple(
                [
                    None if e is None else made[e] if e >= 0 else self.edges[~e]
                    for e in template.edges
                ]
            )
            node.extra = None
            if template.saved is None:
                node.saved = None
            elif released:
                node.saved = RELEASED
            else:
                node.saved = tuple([None if s is None else segment[s] for s in template.saved])
            if template.label is not None:
                node.label = template.label
            made.append(node)
        self.inner = made[-1]
        if self.label is not None:
            self.inner.label = self.label
        self.inner.extra = self.extra
        self.extra = None
        self.segment = None
        if not released:
            self.saved = None  # the nodes made above keep it, until backward lets go of it
        return self.inner


@hot
def named(out, label: str):
    """Give the node of an operation's result PyTorch's name for that operation; returns `out`.

    Only for results the operation made: not for an operand it handed back.
    """
    node = out._grad_fn
    if node is not None:
        if type(node) is GradNode or isinstance(node, (GradNode, BlockGrad)):
            node.label = label
        elif type(node) is OutputOf:
            node.node.label = label
    return out


@hot
class AccumulateGrad(GraphNode):
    """The end of the graph at a leaf: adds to its `.grad`.  Holds the leaf weakly."""

    __slots__ = ("tensor", "extra", "__weakref__")

    edges = ()

    def __init__(self, tensor) -> None:
        self.tensor = weakref.ref(tensor)
        self.extra: Extra | None = None

    def name(self) -> str:
        return "torch::autograd::AccumulateGrad"

    @property
    def variable(self):
        """The leaf tensor."""
        return self.tensor()

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"


class InputGrad(GraphNode):
    """The end of the graph at an argument of a function that is being differentiated.

    Unlike a leaf it has no `.grad`, and is no state that a training step begins from.
    """

    __slots__ = ("extra", "__weakref__")

    edges = ()

    def __init__(self) -> None:
        self.extra: Extra | None = None

    def name(self) -> str:
        return "InputGrad"

    def apply(self, given: dict, retain_graph: bool) -> list:
        """Gradients end here."""
        return []


class Overwrite(GraphNode):
    """Stands for a value that in-place writing replaced by one without gradient: stops there."""

    __slots__ = ("edges", "extra", "__weakref__")

    def __init__(self, edge) -> None:
        self.edges = (edge,)
        self.extra: Extra | None = None

    def name(self) -> str:
        return "FillBackward0"


@hot
class OutputOf:
    """One output of a node that has several."""

    __slots__ = ("node", "index")

    @hot
    def __init__(self, node, index: int) -> None:
        self.node = node
        self.index = index


def target_of(edge):
    """(node, output number) an edge leads to."""
    if type(edge) is OutputOf:
        return edge.node, edge.index
    if type(edge) is BlockGrad:
        return edge.opened(), 0
    return edge, 0


@hot
def move_retained(tensor, former) -> None:
    """A tensor got a new history: `retain_grad` shall keep the gradient of what it is now.

    former: its edge until now, or None.
    """
    if former is None:
        return
    node, index = former, 0
    if type(former) is OutputOf:
        node, index = former.node, former.index
    elif type(former) is BlockGrad and former.inner is not None:
        node = former.inner
    if node.extra is not None and node.extra.retained:
        _move_retained(tensor, node.extra.retained, index)


def _move_retained(tensor, retained: dict, index: int) -> None:
    reference = retained.get(index)
    edge = tensor._grad_fn
    if reference is None or reference() is not tensor or edge is None:
        return
    del retained[index]
    node, index = target_of(edge)
    node.with_extra().retained[index] = reference


def refuse_view_of_function(edge) -> None:
    """Raise PyTorch's error if a custom Function made what `edge` belongs to as a view.

    A write would replace the Function's backward by that of the write.
    """
    node, index = target_of(edge)
    if index in getattr(node, "views", ()):
        raise RuntimeError(
            f"Output {index} of {node.name().removesuffix('Backward')} is a view and is being "
            "modified inplace. A custom Function (or a module with backward hooks) handed out this "
            "view of its input, and a write would bypass its backward; modify a clone() of the "
            "output, or use the out-of-place operation."
        )
