"""Longer random programs over more kinds of views and writes, against PyTorch.

A program is a list of instructions, each a tuple of small integers, interpreted the same way in
both libraries: make tensors, take views of views, write through them, read some, differentiate a
loss.  The rule: every statement raises where PyTorch raises, with the same type; every value and
every gradient equals PyTorch's.  Two differences are meant:

- backward through a saved value that was overwritten: PyTorch refuses, rushlight may have kept it;
- a write to a tensor whose own elements overlap in a way PyTorch does not notice (`unfold`), where
  the result would depend on the order: rushlight refuses.

The source of a write never shares memory with its target: PyTorch's answer would depend on the
order of its loops.
"""

from __future__ import annotations

import warnings

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rushlight

torch = pytest.importorskip("torch")

OWN_OVERLAP = "more than one element of the written-to tensor refers to a single memory location"
SHAPES = ((4,), (2, 3), (3, 2), (2, 2, 2), (1, 4), (6,), (), (3, 1))


def make(library, shape, start: int, requires_grad: bool):
    count = 1
    for n in shape:
        count *= n
    values = [((start * 7 + 3 * i) % 11 - 5) / 4 for i in range(count)]
    made = library.tensor(values, dtype=library.float64).reshape(shape)
    made = made.clone()
    return made.requires_grad_() if requires_grad else made


# ---- instructions: each takes (library, x, y, a, b) ----------------------------------------------


def transposed(library, x, y, a, b):
    return x.transpose(a % max(x.ndim, 1), b % max(x.ndim, 1))


def selected(library, x, y, a, b):
    return x.select(a % max(x.ndim, 1), b % 4 - 1)


def sliced(library, x, y, a, b):
    return x[a % 3 :: 1 + b % 2]


def narrowed(library, x, y, a, b):
    return x.narrow(-1, a % 2, 1 + b % 2)


def flattened(library, x, y, a, b):
    return x.view(-1)


def reshaped(library, x, y, a, b):
    return x.reshape((-1, 1) if a % 2 else (1, -1))


def expanded(library, x, y, a, b):
    return x.expand(2, *x.shape)


def unsqueezed(library, x, y, a, b):
    return x.unsqueeze(a % (x.ndim + 1))


def squeezed(library, x, y, a, b):
    return x.squeeze()


def diagonal(library, x, y, a, b):
    return x.diagonal(a % 3 - 1)


def unfolded(library, x, y, a, b):
    return x.unfold(0, 2, 1 + a % 2)


def strided(library, x, y, a, b):
    # Of whole tensors: PyTorch loses gradients of what lies outside a view until it is written.
    whole = x.storage_offset() == 0 and x.is_contiguous() and x.numel() >= 4
    return x.as_strided((2,), (1 + a % 2,), b % 3) if whole else x[...]


def detached(library, x, y, a, b):
    return x.detach()


def indexed(library, x, y, a, b):
    return x[..., None, a % 2]


VIEWS = (
    transposed, selected, sliced, narrowed, flattened, reshaped, expanded, unsqueezed, squeezed,
    diagonal, unfolded, strided, detached, indexed,
)  # fmt: skip


def scaled(library, x, y, a, b):
    return x * (a + 0.5)


def squared(library, x, y, a, b):
    return x * x


def bounded(library, x, y, a, b):
    return x.tanh()


def combined(library, x, y, a, b):
    return x * y


def added(library, x, y, a, b):
    return x + y


def gathered(library, x, y, a, b):
    return x[[0, -1, 0]]


def cloned(library, x, y, a, b):
    return x.clone()


COMPUTATIONS = (scaled, squared, bounded, combined, added, gathered, cloned)


def add_number(library, x, y, a, b):
    x.add_(a - 1.5)


def multiply_number(library, x, y, a, b):
    x.mul_(a / 2 + 0.5)


def add_tensor(library, x, y, a, b):
    x.add_(y)


def multiply_tensor(library, x, y, a, b):
    x.mul_(y)


def copy_tensor(library, x, y, a, b):
    x.copy_(y)


def zero(library, x, y, a, b):
    x.zero_()


def set_item(library, x, y, a, b):
    x[a % 2] = b - 2.0


def set_slice(library, x, y, a, b):
    x[..., a % 2 :] = y if b % 2 else 3.0


def set_by_list(library, x, y, a, b):
    if x.shape[0]:
        x[[0, -1]] = 2.5


def set_by_mask(library, x, y, a, b):
    x[x > 0.5] = b / 2


def apply_tanh(library, x, y, a, b):
    x.tanh_()


WRITES = (
    add_number, multiply_number, add_tensor, multiply_tensor, copy_tensor, zero, set_item,
    set_slice, set_by_list, set_by_mask, apply_tanh,
)  # fmt: skip

CREATE, VIEW, COMPUTE, WRITE, QUIET_WRITE, READ = range(6)
# Views and writes are what the test is about; the weights say so.
KINDS = (CREATE, VIEW, VIEW, VIEW, VIEW, COMPUTE, COMPUTE, WRITE, WRITE, WRITE, QUIET_WRITE, READ)


class Machine:
    """One library running a program."""

    def __init__(self, library) -> None:
        self.library = library
        self.tensors = [make(library, (2, 3), 1, True), make(library, (4,), 2, False)]
        self.leafs = [self.tensors[0]]
        # Tensors of one family may share memory.
        self.families = [0, 1]

    def step(self, kind, target, other, which, a, b):
        """Run one instruction; returns what it raised, or values it read, or None."""
        target, other = target % len(self.tensors), other % len(self.tensors)
        x, y = self.tensors[target], self.tensors[other]
        family = self.families[target]
        # PyTorch brings a view's history up to date when it is asked for it, and else may take a
        # view of what has become part of a graph for a leaf.
        _ = x.grad_fn
        if kind in (WRITE, QUIET_WRITE) and family == self.families[other]:
            y = y.detach().clone()
        try:
            return self._run(kind, x, y, which, a, b)
        except (RuntimeError, IndexError) as error:
            return error
        finally:
            if len(self.tensors) > len(self.families):
                self.families.append(family if kind == VIEW else len(self.families))

    def _run(self, kind, x, y, which, a, b):
        library = self.library
        if kind == CREATE:
            made = make(library, SHAPES[which % len(SHAPES)], a, bool(b % 2))
            self.tensors.append(made)
            self.leafs.append(made)
        elif kind == VIEW:
            self.tensors.append(VIEWS[which % len(VIEWS)](library, x, y, a, b))
        elif kind == COMPUTE:
            # Of a transposed operand PyTorch's result is transposed, ours is row-major.
            x, y = x.contiguous(), y.contiguous()
            self.tensors.append(COMPUTATIONS[which % len(COMPUTATIONS)](library, x, y, a, b))
        elif kind == WRITE:
            WRITES[which % len(WRITES)](library, x, y, a, b)
        elif kind == QUIET_WRITE:
            with library.no_grad():
                WRITES[which % len(WRITES)](library, x, y, a, b)
        else:
            return x.detach().tolist()
        return None

    def values(self):
        return [(tuple(x.shape), x.requires_grad, x.detach().tolist()) for x in self.tensors]

    def gradients(self):
        total = None
        for place, x in enumerate(self.tensors):
            if x.requires_grad:
                part = (x * (place % 5 + 1)).sum()
                total = part if total is None else total + part
        if total is None:
            return []
        try:
            total.backward()
        except RuntimeError as error:
            return error
        return [None if x.grad is None else x.grad.tolist() for x in self.leafs]


instruction = st.tuples(
    st.sampled_from(KINDS),
    st.integers(0, 11),
    st.integers(0, 11),
    st.integers(0, 14),
    st.integers(0, 3),
    st.integers(0, 3),
)


def same(x, y) -> bool:
    """Equal up to rounding, through lists and tuples; NaN equals NaN."""
    if isinstance(x, (list, tuple)):
        return len(x) == len(y) and all(same(m, n) for m, n in zip(x, y))
    if isinstance(x, float) and isinstance(y, float):
        return x == y or abs(x - y) <= 1e-9 * max(1, abs(x), abs(y)) or (x != x and y != y)
    return x == y


def check(program) -> None:
    ours, theirs = Machine(rushlight), Machine(torch)
    for place, step in enumerate(program):
        expected = theirs.step(*step)
        got = ours.step(*step)
        if isinstance(got, Exception) and expected is None and OWN_OVERLAP in str(got):
            return
        if isinstance(expected, Exception) or isinstance(got, Exception):
            assert isinstance(got, type(expected)), (place, step, got, expected)
        else:
            assert same(got, expected), (place, step, got, expected)
    expected, got = theirs.values(), ours.values()
    for place, (mine, other) in enumerate(zip(got, expected)):
        assert same(mine, other), (place, mine, other)
    expected, got = theirs.gradients(), ours.gradients()
    if isinstance(expected, Exception):
        return
    assert not isinstance(got, Exception), got
    for place, (mine, other) in enumerate(zip(got, expected)):
        assert same(mine, other), ("gradient", place, mine, other)


@settings(
    max_examples=500,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
@given(st.lists(instruction, min_size=3, max_size=16))
def test_random_programs_of_views_and_writes_equal_pytorch(program):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of writes to expanded tensors
        check(program)
