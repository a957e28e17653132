"""rushlight from scratch: the whole stack once more, from a tape to machine code, in one file.

Read it from top to bottom; it runs as it is read, and at its end a network has learned to read
handwritten digits, by kernels that were compiled on the way.  Everything that is left out is named
where it would stand.  It needs NumPy and llvmlite, and rushlight for nothing but the digits:

    python docs/from_scratch.py

To stay short, every value here is a float32 matrix of two dimensions.
"""

from __future__ import annotations

import ctypes
import itertools
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import llvmlite.binding as llvm
import numpy as np

# ==================================================================================================
# Part 1.  Recording
#
# An operation computes nothing.  It makes a node that says what would have to be computed: the
# operation's name, the nodes it reads, and the shape of the result.  A node has a value only if it
# entered from outside (a "leaf"), or once somebody asked for it.
# ==================================================================================================

Shape = tuple[int, int]


@dataclass(eq=False)  # a node is itself: two additions of the same operands are two nodes
class Node:
    op: str
    inputs: tuple[Node, ...]
    shape: Shape
    value: np.ndarray | None = None

    def __add__(self, other: Operand) -> Node:
        return record("add", self, as_node(other))

    def __sub__(self, other: Operand) -> Node:
        return record("sub", self, as_node(other))

    def __mul__(self, other: Operand) -> Node:
        return record("mul", self, as_node(other))

    def __truediv__(self, other: Operand) -> Node:
        return record("div", self, as_node(other))

    def __matmul__(self, other: Node) -> Node:
        return record("matmul", self, other)

    def __neg__(self) -> Node:
        return as_node(0.0) - self

    def exp(self) -> Node:
        return record("exp", self)

    def log(self) -> Node:
        return record("log", self)

    def relu(self) -> Node:
        return record("relu", self)

    def sum(self, axis: int) -> Node:
        return record(f"sum{axis}", self)

    def row_max(self) -> Node:
        return record("max1", self)

    @property
    def T(self) -> Node:
        return record("transpose", self)


Operand = Node | float
ELEMENTWISE = ("add", "sub", "mul", "div", "exp", "log", "relu", "positive", "transpose", "spread")


def leaf(array) -> Node:
    """A node with a value."""
    value = np.ascontiguousarray(array, np.float32)
    if value.ndim != 2:
        raise ValueError(f"leaf: a matrix is wanted, this array has {value.ndim} dimensions")
    return Node("leaf", (), value.shape, value)


def as_node(x: Operand) -> Node:
    return x if isinstance(x, Node) else leaf([[x]])


# Shapes are checked when an operation is recorded, not when it runs: an error then points at the
# line that made it.
def shape_of(op: str, shapes: list[Shape]) -> Shape:
    first = shapes[0]
    if op == "matmul":
        (m, k), (k2, n) = shapes
        if k != k2:
            raise ValueError(f"matmul: inner sizes differ, {shapes[0]} @ {shapes[1]}; transpose?")
        return m, n
    if op == "transpose":
        return first[1], first[0]
    if op in ("sum0", "sum1", "max1"):
        return (1, first[1]) if op == "sum0" else (first[0], 1)
    sizes = []
    for axis in (0, 1):  # broadcasting: a size of one fits any other
        wanted = {shape[axis] for shape in shapes} - {1}
        if len(wanted) > 1:
            raise ValueError(f"{op}: sizes {sorted(wanted)} of dimension {axis} do not fit")
        sizes.append(wanted.pop() if wanted else 1)
    return sizes[0], sizes[1]


def record(op: str, *inputs: Node) -> Node:
    return Node(op, inputs, shape_of(op, [x.shape for x in inputs]))


# A node knows what it reads, so any set of nodes has an order in which each comes after its inputs.
# No recursion: a tape may be longer than Python's stack is deep.
def in_order(roots: Iterable[Node]) -> list[Node]:
    order: dict[Node, None] = {}
    stack = [(root, False) for root in roots]
    while stack:
        node, inputs_are_done = stack.pop()
        if node in order:
            continue
        if inputs_are_done or node.value is not None:
            order[node] = None
        else:
            stack.append((node, True))
            stack.extend((x, False) for x in node.inputs)
    return list(order)


# (rushlight has some hundred primitives, any dtype and rank, views and in-place writes.  It also
# remembers every step of the tape: recording an operation it has seen is one comparison, and the
# shape and the checks are taken over.)

# ==================================================================================================
# Part 2.  Meaning: the judge
#
# Before anything is fast, something must be right.  One NumPy rule for each operation, one node at
# a time.  Whatever the compiler makes later has to agree with this.
# ==================================================================================================

MEANING: dict[str, Callable[..., np.ndarray]] = {
    "add": np.add,
    "sub": np.subtract,
    "mul": np.multiply,
    "div": np.divide,
    "exp": np.exp,
    "log": np.log,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "positive": lambda x: (x > 0).astype(np.float32),
    "transpose": lambda x: np.ascontiguousarray(x.T),
    "matmul": np.matmul,
    "sum0": lambda x: x.sum(axis=0, keepdims=True),
    "sum1": lambda x: x.sum(axis=1, keepdims=True),
    "max1": lambda x: x.max(axis=1, keepdims=True),
}


def run_by_reference(roots: list[Node]) -> list[np.ndarray]:
    """Values of nodes, by the rules above; the nodes are left as they are."""
    values: dict[Node, np.ndarray] = {}
    for node in in_order(roots):
        if node.value is not None:
            values[node] = node.value
        elif node.op == "spread":  # like the first operand, in the shape of the second
            values[node] = np.broadcast_to(values[node.inputs[0]], node.shape)
        else:
            values[node] = MEANING[node.op](*(values[x] for x in node.inputs))
    return [values[root] for root in roots]


x, y = leaf([[1.0, 2.0, 3.0]]), leaf([[10.0], [20.0]])
(example,) = run_by_reference([(x + y).sum(axis=1)])
assert example.tolist() == [[36.0], [66.0]]

# ==================================================================================================
# Part 3.  Derivatives
#
# Each operation has a rule: given the cotangent of its result (how the loss changes with it), the
# cotangents of its operands.  The rules are written in the operations themselves.  So the backward
# pass is recorded on the same tape as everything else, and the compiler will fuse the two together
# without knowing that there are two.
# ==================================================================================================


def spread(small: Node, like: Node) -> Node:
    """The small operand in the larger shape."""
    return small if small.shape == like.shape else record("spread", small, like)


def unspread(g: Node, shape: Shape) -> Node:
    """What broadcasting copied, the backward pass adds up."""
    if shape[0] == 1 and g.shape[0] > 1:
        g = g.sum(axis=0)
    if shape[1] == 1 and g.shape[1] > 1:
        g = g.sum(axis=1)
    return g


# result, cotangent of the result, operands -> cotangents of the operands
VJP: dict[str, Callable[..., tuple[Node, ...]]] = {
    "add": lambda out, g, x, y: (g, g),
    "sub": lambda out, g, x, y: (g, -g),
    "mul": lambda out, g, x, y: (g * y, g * x),
    "div": lambda out, g, x, y: (g / y, -(g * out) / y),
    "exp": lambda out, g, x: (g * out,),
    "log": lambda out, g, x: (g / x,),
    "relu": lambda out, g, x: (g * record("positive", x),),
    "transpose": lambda out, g, x: (g.T,),
    "matmul": lambda out, g, x, y: (g @ y.T, x.T @ g),
    "sum0": lambda out, g, x: (spread(g, x),),
    "sum1": lambda out, g, x: (spread(g, x),),
}


def gradients(loss: Node, wanted: list[Node]) -> list[Node]:
    """Nodes of the derivatives of a (1, 1) loss; `max1` and `positive` count as constants."""
    cotangents = {loss: leaf([[1.0]])}
    for node in reversed(in_order([loss])):
        rule = VJP.get(node.op)
        if rule is None or node not in cotangents:
            continue
        for operand, g in zip(node.inputs, rule(node, cotangents[node], *node.inputs)):
            g = unspread(g, operand.shape)
            cotangents[operand] = cotangents[operand] + g if operand in cotangents else g
    return [cotangents[node] for node in wanted]


# Mathematics is the second judge: a derivative is what a small step shows.
point = leaf([[0.5, -1.5], [2.0, 0.25]])
loss_at = lambda p: ((p @ p.T).relu() / (p * p + 1.0)).sum(axis=0).sum(axis=1)  # noqa: E731
(slope,) = run_by_reference(gradients(loss_at(point), [point]))
for place in np.ndindex(2, 2):
    step = np.zeros((2, 2), np.float32)
    step[place] = 1e-2
    ends = [leaf(point.value + sign * step) for sign in (1, -1)]
    up, down = (run_by_reference([loss_at(end)])[0].item() for end in ends)
    assert abs((up - down) / 2e-2 - slope[place]) < 2e-2

# (rushlight keeps PyTorch's graph of objects beside the tape: hooks, `retain_graph`, versions of
# saved values.  Its derivative rules look as they do here.)

# ==================================================================================================
# Part 4.  Fusion: which operations become one kernel
#
# A processor adds numbers faster than memory delivers them.  So elementwise operations are not run
# one by one: an operation whose only reader is another of the same shape is computed inside that
# reader's loop, and its result never exists in memory.  Matrix products and what somebody wants to
# keep are where kernels end.
# ==================================================================================================


@dataclass
class Kernel:
    """Computes `root`; `inside` are the nodes computed in its loop, `reads` those it loads."""

    root: Node
    inside: list[Node] = field(default_factory=list)
    reads: list[Node] = field(default_factory=list)


def domain_of(root: Node) -> Shape:
    """What the loops of a kernel run over: a sum runs over what it adds."""
    return root.inputs[0].shape if root.op in ("sum0", "sum1", "max1") else root.shape


def fuse(roots: list[Node]) -> list[Kernel]:
    """Kernels in the order in which they can run."""
    order = [node for node in in_order(roots) if node.value is None]
    readers: dict[Node, list[Node]] = {node: [] for node in order}
    for node in order:
        for operand in node.inputs:
            if operand in readers:
                readers[operand].append(node)
    kernel_of: dict[Node, Kernel] = {}
    kernels: list[Kernel] = []
    for node in reversed(order):
        joins = None
        if node.op in ELEMENTWISE and node.op != "transpose" and node not in roots:
            homes = {id(kernel_of[reader]): kernel_of[reader] for reader in readers[node]}
            if len(homes) == 1:
                (home,) = homes.values()
                crossed = any(reader.op in ("transpose", "matmul") for reader in readers[node])
                if domain_of(home.root) == node.shape and not crossed:
                    joins = home
        if joins is None:
            joins = Kernel(node)
            kernels.append(joins)
        else:
            joins.inside.append(node)
        kernel_of[node] = joins
    kernels.reverse()
    for kernel in kernels:
        kernel.inside.reverse()
        members = {kernel.root, *kernel.inside}
        operands = [x for node in (*kernel.inside, kernel.root) for x in node.inputs]
        kernel.reads = list(dict.fromkeys(x for x in operands if x not in members))
    return kernels


# A softmax.  The exponentials have two readers in different kernels, the sum and the division, so
# they are kept; the difference inside them has one, and never exists in memory.
logits = leaf(np.zeros((4, 3)))
shifted = (logits - logits.row_max()).exp()
softmax = shifted / shifted.sum(axis=1)
assert [k.root.op for k in fuse([softmax])] == ["max1", "exp", "sum1", "div"]
assert [node.op for node in fuse([softmax])[1].inside] == ["sub"]

# (rushlight fuses whole rows, so this softmax is one kernel there; it orders kernels and places
# their results so that little memory is alive, and writes over what nobody needs any more.)

# ==================================================================================================
# Part 5.  Machine code
#
# A kernel becomes text in LLVM's language: two loops over its domain, and in the middle the values
# of its nodes, one instruction each.  LLVM makes it use the processor's vectors.
# ==================================================================================================

INSTRUCTIONS = {"add": "fadd", "sub": "fsub", "mul": "fmul", "div": "fdiv"}


class Text:
    """Lines of one function, and fresh names."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.names = 0

    def __call__(self, line: str) -> str:
        """Append an instruction that gives a value; returns its name."""
        self.names += 1
        self.lines.append(f"  %v{self.names} = {line}")
        return f"%v{self.names}"

    def do(self, line: str) -> None:
        self.lines.append(line if line.endswith(":") else f"  {line}")

    def begin_loop(self, index: str, count: int, before: str) -> None:
        self.do(f"br label %{index}_head")
        self.do(f"{index}_head:")
        self.do(f"%{index} = phi i64 [0, %{before}], [%{index}_next, %{index}_end]")

    def end_loop(self, index: str, count: int) -> None:
        self.do(f"br label %{index}_end")
        self.do(f"{index}_end:")
        self.do(f"%{index}_next = add i64 %{index}, 1")
        more = self(f"icmp slt i64 %{index}_next, {count}")
        self.do(f"br i1 {more}, label %{index}_head, label %{index}_done")
        self.do(f"{index}_done:")

    def address(self, buffer: str, shape: Shape, i: str, j: str) -> str:
        """Of element (i, j) of a matrix; along a size of one the index does not move."""
        row = i if shape[0] > 1 else "0"
        column = j if shape[1] > 1 else "0"
        start = self(f"mul i64 {row}, {shape[1]}")
        place = self(f"add i64 {start}, {column}")
        return self(f"getelementptr float, ptr {buffer}, i64 {place}")

    def load(self, buffer: str, shape: Shape, i: str, j: str) -> str:
        return self(f"load float, ptr {self.address(buffer, shape, i, j)}")


def text_of(kernel: Kernel, name: str) -> str:
    """The LLVM function of a kernel: (result, operand, operand, ...), all of them addresses."""
    t = Text()
    buffers = {node: f"%b{number}" for number, node in enumerate(kernel.reads)}
    parameters = ["ptr noalias %out", *(f"ptr noalias {b}" for b in buffers.values())]
    if kernel.root.op == "matmul":
        _product(t, kernel, buffers)
    else:
        _loops(t, kernel, buffers)
    t.do("ret void")
    head = f"define void @{name}({', '.join(parameters)}) {{\nentry:"
    return "\n".join([head, *t.lines, "}"])


def _loops(t: Text, kernel: Kernel, buffers: dict[Node, str]) -> None:
    root = kernel.root
    rows, columns = domain_of(root)
    t.begin_loop("i", rows, "entry")
    t.begin_loop("j", columns, "i_head")
    values: dict[Node, str] = {}

    def value(node: Node, i: str = "%i", j: str = "%j") -> str:
        return values[node] if node in values else t.load(buffers[node], node.shape, i, j)

    for node in kernel.inside:
        values[node] = scalar(t, node.op, [value(x) for x in operands_of(node)])
    if root.op == "transpose":
        found = value(root.inputs[0], "%j", "%i")
    elif root.op in ELEMENTWISE:
        found = scalar(t, root.op, [value(x) for x in operands_of(root)])
    else:
        # A reduction: the place of the result stands still along the axis that it adds up.
        found = value(root.inputs[0])
        place = t.address("%out", root.shape, "%i", "%j")
        first = t(f"icmp eq i64 {'%i' if root.op == 'sum0' else '%j'}, 0")
        before = t(f"load float, ptr {place}")
        if root.op == "max1":
            larger = t(f"fcmp ogt float {found}, {before}")
            both = t(f"select i1 {larger}, float {found}, float {before}")
        else:
            both = t(f"fadd float {before}, {found}")
        found = t(f"select i1 {first}, float {found}, float {both}")
    t.do(f"store float {found}, ptr {t.address('%out', root.shape, '%i', '%j')}")
    t.end_loop("j", columns)
    t.end_loop("i", rows)


def operands_of(node: Node) -> tuple[Node, ...]:
    """`spread` takes only the shape of its second operand."""
    return node.inputs[:1] if node.op == "spread" else node.inputs


def scalar(t: Text, op: str, x: list[str]) -> str:
    """One number from one number or two."""
    if op in INSTRUCTIONS:
        return t(f"{INSTRUCTIONS[op]} float {x[0]}, {x[1]}")
    if op in ("exp", "log"):
        return t(f"call float @llvm.{op}.f32(float {x[0]})")
    if op == "spread":
        return x[0]
    positive = t(f"fcmp ogt float {x[0]}, 0.0")
    return t(f"select i1 {positive}, float {x[0] if op == 'relu' else '1.0'}, float 0.0")


def _product(t: Text, kernel: Kernel, buffers: dict[Node, str]) -> None:
    """Rows of the result from rows of the second factor: the inner loop runs along memory."""
    a, b = kernel.root.inputs
    (m, k), n = a.shape, b.shape[1]
    t.begin_loop("i", m, "entry")
    t.begin_loop("z", n, "i_head")
    t.do(f"store float 0.0, ptr {t.address('%out', (m, n), '%i', '%z')}")
    t.end_loop("z", n)
    t.begin_loop("l", k, "z_done")
    factor = t.load(buffers[a], a.shape, "%i", "%l")
    t.begin_loop("j", n, "l_head")
    place = t.address("%out", (m, n), "%i", "%j")
    more = t(f"fmul float {factor}, {t.load(buffers[b], b.shape, '%l', '%j')}")
    total = t(f"fadd float {t(f'load float, ptr {place}')}, {more}")
    t.do(f"store float {total}, ptr {place}")
    for index, count in (("j", n), ("l", k), ("i", m)):
        t.end_loop(index, count)


# (rushlight writes vectors, tiles and threads itself and leaves nothing to LLVM's passes: they take
# longer than all the rest; sizes are arguments of its kernels, so that a shorter last batch
# compiles nothing; its `exp` is a polynomial of its own; its matrix product is blocked for the
# caches.  And it keeps the compiled code on disk.)


class Machine:
    """LLVM in this process: text in, addresses of functions out."""

    def __init__(self) -> None:
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        target = llvm.Target.from_default_triple()
        features = llvm.get_host_cpu_features().flatten()
        self.target = target.create_target_machine(
            cpu=llvm.get_host_cpu_name(), features=features, opt=3
        )
        self.engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), self.target)

    def compile(self, functions: dict[str, str]) -> dict[str, int]:
        """Name -> address."""
        declared = "".join(f"declare float @llvm.{f}.f32(float)\n" for f in ("exp", "log"))
        module = llvm.parse_assembly(declared + "\n".join(functions.values()))
        tuning = llvm.create_pipeline_tuning_options(speed_level=3)
        passes = llvm.create_pass_builder(self.target, tuning)
        passes.getModulePassManager().run(module, passes)
        self.engine.add_module(module)
        self.engine.finalize_object()
        return {name: self.engine.get_function_address(name) for name in functions}


MACHINE = Machine()

# ==================================================================================================
# Part 6.  Replay
#
# A training loop records the same tape in every step, with other numbers.  So the plan of a tape is
# kept under a key that says everything but the numbers, and only the first step compiles.
# ==================================================================================================


@dataclass
class Plan:
    """Compiled kernels: each an address, the slot of its result, and the slots that it reads."""

    steps: list[tuple[Callable[..., None], int, list[int]]]
    shapes: list[Shape]
    results: list[int]


PLANS: dict[tuple, Plan] = {}
counts = {"flushes": 0, "compiled": 0, "kernels": 0}


def realize(*roots: Node) -> None:
    """Give nodes their values: the moment at which something is computed at last."""
    order = in_order(roots)
    slots = {node: slot for slot, node in enumerate(order)}
    key = (
        tuple((x.op, x.shape, tuple(slots[i] for i in x.inputs if i in slots)) for x in order),
        tuple(slots[root] for root in roots),
        # A node may have been computed before, and is a leaf then.
        tuple(x.value is not None for x in order),
    )
    plan = PLANS.get(key)
    if plan is None:
        plan = PLANS[key] = make_plan(list(roots), order, slots)
    values = [x.value for x in order]
    for function, result, reads in plan.steps:
        values[result] = np.empty(plan.shapes[result], np.float32)
        function(*(values[slot].ctypes.data for slot in (result, *reads)))
    for root, slot in zip(roots, plan.results):
        root.value, root.inputs, root.op = values[slot], (), "leaf"
    counts["flushes"] += 1


def make_plan(roots: list[Node], order: list[Node], slots: dict[Node, int]) -> Plan:
    kernels = fuse(roots)
    first = counts["kernels"]
    names = [f"{kernel.root.op}_{first + n}" for n, kernel in enumerate(kernels)]
    addresses = MACHINE.compile({n: text_of(k, n) for n, k in zip(names, kernels)})
    counts["compiled"] += 1
    counts["kernels"] += len(kernels)
    steps = []
    for name, kernel in zip(names, kernels):
        pointers = [ctypes.c_void_p] * (1 + len(kernel.reads))
        function = ctypes.CFUNCTYPE(None, *pointers)(addresses[name])
        steps.append((function, slots[kernel.root], [slots[x] for x in kernel.reads]))
    return Plan(steps, [node.shape for node in order], [slots[root] for root in roots])


# The compiler against the judge, on a tape with everything in it.
a = leaf(np.linspace(-1, 1, 35).reshape(5, 7))
everything = ((a @ a.T + a.sum(axis=1)).exp() / (a.row_max() + 2.0)).log().relu() - a.sum(
    axis=0
).sum(axis=1)
expected = run_by_reference([everything, everything.T])
turned = everything.T
realize(everything, turned)
np.testing.assert_allclose(everything.value, expected[0], rtol=1e-5, atol=1e-5)
np.testing.assert_allclose(turned.value, expected[1], rtol=1e-5, atol=1e-5)

# (rushlight finds out by itself which nodes are still wanted, by counting who refers to them, and
# flushes when a value is read, at the end of an optimizer's step, or when too much has gathered.)

# ==================================================================================================
# Part 7.  A network that learns
#
# Nothing new is needed: layers are expressions, a parameter is a leaf that each step replaces.
# ==================================================================================================


def cross_entropy(logits: Node, one_hot: Node) -> Node:
    """Mean over the rows of log(sum(exp(logits))) - logit of the right class."""
    top = logits.row_max()  # exp never overflows; mathematically it cancels
    log_sum = (logits - top).exp().sum(axis=1).log() + top
    losses = log_sum - (logits * one_hot).sum(axis=1)
    return losses.sum(axis=0) / float(logits.shape[0])


class Network:
    def __init__(self, sizes: list[int], seed: int = 0) -> None:
        random = np.random.default_rng(seed)
        self.parameters: list[Node] = []
        for n, m in itertools.pairwise(sizes):
            bound = np.sqrt(1 / n)
            self.parameters += [leaf(random.uniform(-bound, bound, (n, m))), leaf(np.zeros((1, m)))]

    def __call__(self, x: Node) -> Node:
        layers = list(zip(self.parameters[::2], self.parameters[1::2]))
        for number, (weight, bias) in enumerate(layers):
            x = x @ weight + bias
            if number < len(layers) - 1:
                x = x.relu()
        return x

    def train_step(self, x: Node, y: Node, rate: float, momenta: list[Node]) -> Node:
        """Forward, backward and update: one tape, one plan, one flush."""
        loss = cross_entropy(self(x), y)
        for n, g in enumerate(gradients(loss, self.parameters)):
            momenta[n] = momenta[n] * 0.9 + g
            self.parameters[n] = self.parameters[n] - momenta[n] * rate
        realize(loss, *momenta, *self.parameters)
        return loss


def digits(part: str) -> tuple[np.ndarray, np.ndarray]:
    """(images as rows, classes)."""
    from rushlight.datasets import Digits  # noqa: PLC0415 - everything above stands without it

    data = Digits(part)
    return data.data.numpy().reshape(len(data), -1), data.targets.numpy()


def main() -> float:
    images, classes = digits("train")
    one_hot = np.eye(10, dtype=np.float32)[classes]
    network = Network([64, 128, 10])
    momenta = [leaf(np.zeros(p.shape)) for p in network.parameters]
    random = np.random.default_rng(1)
    before, began = counts["compiled"], time.perf_counter()
    for epoch in range(8):
        order = random.permutation(len(images))
        losses = []
        for start in range(0, len(order) - 31, 32):
            rows = order[start : start + 32]
            loss = network.train_step(leaf(images[rows]), leaf(one_hot[rows]), 0.1, momenta)
            losses.append(loss.value.item())
        print(f"epoch {epoch}: loss {np.mean(losses):.3f}")
    seconds = time.perf_counter() - began
    steps = 8 * (len(images) // 32)
    print(f"{steps} steps in {seconds:.2f} s; {counts['compiled'] - before} plan compiled")

    images, classes = digits("test")
    scores = network(leaf(images))
    realize(scores)
    accuracy = float((scores.value.argmax(axis=1) == classes).mean())
    print(f"{accuracy:.1%} of digits it has never seen are read rightly")
    return accuracy


if __name__ == "__main__":
    main()
