"""Whole programs: random ones keep their bits, repetition goes, goldens of what is done."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rushlight as rl
from rushlight.base.config import config
from rushlight.base.dtypes import dtype_by_name
from rushlight.base.errors import InternalError
from rushlight.primitives import elementwise as p
from rushlight.primitives import movement as m
from rushlight.primitives import reduction as r
from rushlight.simplify import pipeline
from rushlight.simplify.pipeline import Pass, simplified
from rushlight.simplify.rewrite import summary
from rushlight.tape.program import Program
from tests.lowering.executors import compare, run
from tests.simplify.programs import Builder, assert_same

NUMBERS = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 300.0, -70000.0, 1e-40, np.inf, -np.inf, np.nan, 3.0]
DTYPES = ("float32", "float16", "bfloat16", "float64", "int64", "int8", "uint8", "bool")
SHAPES = ((2, 3), (3,), (1, 3), (2, 1), (), (1,), (3, 2), (0, 3), (1, 2, 3))
UNARY = (p.neg, p.neg, p.absolute, p.sign, p.logical_not, p.conj, p.real, m.copy)
FLOAT_UNARY = (p.relu, p.floor, p.ceil, p.trunc, p.round_even)
PAIRS = (p.add, p.add, p.mul, p.maximum, p.minimum, p.eq, p.ne)
REDUCTIONS = (r.reduce_sum, r.reduce_max, r.reduce_min, r.reduce_prod)


class Drawer:
    """Draws operations on values drawn before; few shapes and dtypes, so that rules apply."""

    def __init__(self, data) -> None:
        self.data = data
        self.b = Builder()
        self.known: list = []

    def draw(self, choices):
        return self.data.draw(st.sampled_from(list(choices)))

    def pick(self, accept=lambda value: True):
        found = [v for v in self.known if accept(v)]
        return self.draw(found) if found else self.leaf()

    def leaf(self):
        dtype, shape = self.draw(DTYPES), self.draw(SHAPES)
        seed = self.data.draw(st.integers(0, 99))
        value = self.b.leaf(np.random.default_rng(seed).choice(NUMBERS, shape), dtype)
        self.known.append(value)
        return value

    def operation(self) -> None:
        kind = self.draw(("unary", "pair", "where", "cast", "move", "window", "reduce"))
        value = getattr(self, kind)()
        if value is not None:
            self.known.append(value)

    def unary(self):
        x = self.pick()
        if x.dtype.name == "bool":
            return self.b(self.draw((p.bitwise_not, p.logical_not, m.copy)), x)
        return self.b(self.draw((*UNARY, *FLOAT_UNARY)), x)

    def pair(self):
        x = self.pick()
        y = self.pick(lambda v: v.dtype is x.dtype and fits(v, x))
        if y.dtype is not x.dtype or not fits(y, x):
            return None
        if x.dtype.name == "bool":
            return self.b(self.draw((p.bitwise_and, p.bitwise_or, p.bitwise_xor)), x, y)
        choices = (*PAIRS, p.sub, p.sub, *((p.div,) if x.dtype.is_inexact else ()))
        return self.b(self.draw(choices), x, y)

    def where(self):
        x = self.pick()
        y = self.pick(lambda v: v.dtype is x.dtype and fits(v, x))
        c = self.pick(lambda v: v.dtype.name == "bool" and fits(v, x) and fits(v, y))
        if c.dtype.name != "bool" or y.dtype is not x.dtype:
            return None
        if not (fits(y, x) and fits(c, x) and fits(c, y)):
            return None
        return self.b(p.where, c, x, y)

    def cast(self):
        return self.b(p.cast, self.pick(), params=(dtype_by_name(self.draw(DTYPES)),))

    def move(self):
        x = self.pick()
        kind = self.draw(("reshape", "permute", "expand"))
        if kind == "permute":
            axes = self.data.draw(st.permutations(range(len(x.shape))))
            return self.b(m.permute, x, params=(tuple(axes),))
        if kind == "reshape":
            shapes = [s for s in (*SHAPES, (6,), (1, 6), (6, 1)) if np.prod(s) == x.numel]
            return self.b(m.reshape, x, params=(self.draw([*shapes, x.shape]),))
        shapes = [s for s in (*SHAPES, (2, 2, 3), (1, *x.shape)) if expands(x.shape, s)]
        return self.b(m.expand, x, params=(self.draw([*shapes, x.shape]),))

    def window(self):
        x = self.pick(lambda v: v.numel >= 3)
        if x.numel < 3:
            return None
        offset = self.b.scalar(self.draw((0, x.numel - 3)), "int64")
        return self.b(m.strided_read, x, offset, params=((1, 3), (0, 1)))

    def reduce(self):
        x = self.pick(lambda v: v.shape and 0 not in v.shape)
        if not x.shape or 0 in x.shape:
            return None
        primitive = self.draw(REDUCTIONS)
        axis = self.draw(range(len(x.shape)))
        return self.b(primitive, x, params=((axis,), self.draw((True, False))))


def fits(x, y) -> bool:
    try:
        np.broadcast_shapes(x.shape, y.shape)
    except ValueError:
        return False
    return True


def expands(shape, target) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == tuple(target)
    except ValueError:
        return False


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_random_programs_keep_their_bits_and_are_simplified_once(data) -> None:
    drawer = Drawer(data)
    for _ in range(data.draw(st.integers(1, 25))):
        drawer.operation()
    kept = [v for v in drawer.known if v.primitive is not None]
    live = [
        v for v in kept if not any(v.slot in w.inputs for w in kept) or data.draw(st.booleans())
    ]
    program = drawer.b.program(*live)
    simpler, record = simplified(program)
    assert (simpler is program) == (not record)
    assert len(simpler.order) <= len(program.order)
    assert_same(program, simpler, drawer.b.arrays)
    assert simplified(simpler) == (simpler, [])


# ---- repetition ----------------------------------------------------------------------------------


def test_equal_operations_become_one_in_either_order() -> None:
    b = Builder()
    x, y = b.leaf([1.0, -0.0]), b.leaf([2.0, 0.0])
    one = b(p.mul, b(p.exp, x), y)
    two = b(p.mul, y, b(p.exp, x))
    simpler, _ = simplified(b.program(b(p.sub, one, two)))
    assert [v.primitive for v in simpler.order] == [p.exp, p.mul, p.sub]


def test_parameters_and_dtypes_tell_operations_apart() -> None:
    b = Builder()
    x = b.leaf(np.ones((2, 2)))
    rows = b(r.reduce_sum, x, params=((0,), False))
    columns = b(r.reduce_sum, x, params=((1,), False))
    program = b.program(b(p.sub, rows, columns))
    assert simplified(program) == (program, [])


def test_equal_values_that_are_kept_do_not_share_memory() -> None:
    def program():
        x = rl.tensor([1.0, 2.0, -0.0])
        one, two, three = x.exp(), x.exp(), x.neg().neg()
        return [one, two, three, x]

    compare(program, rtol=2e-7)
    one, two = run(lambda: program()[:2], "compiled")[0]
    assert one.tobytes() == two.tobytes()
    before = config.executor
    config.executor = "compiled"
    try:
        one, two, three, x = program()
        one.zero_()
        three.zero_()
        assert two.tolist()[2] == 1.0
        assert x.tolist() == [1.0, 2.0, 0.0]
    finally:
        config.executor = before


def test_equal_outputs_that_are_kept_do_not_share_memory() -> None:
    def program():
        x = rl.tensor([[2.0, 1.0], [1.0, 3.0]])
        return [*rl.linalg.eigh(x), *rl.linalg.eigh(x)]

    compare(program, native=False)
    plans = run(program, "compiled")[1]
    assert sum(plan.fallbacks.count("eigh") for plan in plans) == 1


def test_derivatives_reuse_what_forward_computed() -> None:
    def program():
        x = rl.linspace(-2, 2, 40).reshape(4, 10).requires_grad_()
        w = rl.ones(10, requires_grad=True)
        rl.nn.functional.layer_norm(x, (10,), w).square().sum().backward()
        return [x.grad, w.grad]

    compare(program, rtol=1e-4, atol=1e-5)
    plans = run(program, "compiled")[1]
    assert "computed before" in [rewrite.by for plan in plans for rewrite in plan.rewrites]
    assert not [plan for plan in plans if repeated(plan.schedule.program)]


def repeated(program: Program) -> list:
    seen = set()
    found = []
    for value in program.order:
        key = (value.primitive, value.params, value.inputs)
        if value.primitive is not m.copy and key in seen:
            found.append(value)
        seen.add(key)
    return found


# ---- failures ------------------------------------------------------------------------------------


def test_an_index_that_is_read_twice_fails_with_its_line() -> None:
    def program():
        x = rl.arange(4.0)
        index = rl.tensor([8]) + 1
        return [rl.gather(x, 0, index) + rl.gather(x, 0, index)]

    with pytest.raises(IndexError, match=r"test_programs\.py"):
        run(program, "compiled")


def test_the_verifier_names_the_pass_that_broke_a_program(monkeypatch) -> None:
    def broken(program, record):
        first, *rest = program.values.values()
        last = rest[-1].computed_by(p.exp, (), (first.slot,))
        record.append("broken")
        return Program({v.slot: v for v in (first, *rest[:-1], last)})

    b = Builder()
    program = b.program(b(p.mul, b.leaf([1.0]), b.leaf([2.0])))
    monkeypatch.setattr(pipeline, "PASSES", (Pass("broken pass", "", broken),))
    monkeypatch.setattr(config, "verify", True)
    with pytest.raises(InternalError, match="after the pass broken pass, %2 does not depend"):
        simplified(program)


# ---- goldens -------------------------------------------------------------------------------------


def test_record_of_an_unscaled_half_step() -> None:
    """What is done to a mixed-precision update written out by hand."""
    b = Builder()
    weight, gradient = b.leaf(np.ones((2, 3))), b.leaf(np.ones((3, 2)), "bfloat16")
    wide = b(p.cast, gradient, params=(dtype_by_name("float32"),))
    turned = b(m.permute, wide, params=((1, 0),))
    back = b(m.permute, turned, params=((1, 0),))
    narrow = b(p.cast, back, params=(dtype_by_name("bfloat16"),))
    step = b(m.expand, b.scalar(0.5), params=((2, 3),))
    again = b(p.cast, gradient, params=(dtype_by_name("float32"),))
    turned_again = b(m.permute, again, params=((1, 0),))
    update = b(p.add, weight, b(p.neg, b(p.mul, turned_again, step)))
    simpler, record = simplified(b.program(update, narrow, turned))
    assert [str(rewrite) for rewrite in record] == GOLDEN.strip().splitlines()
    assert repr(simpler) == SIMPLER.strip()
    assert summary(record) == SUMMARY.strip().splitlines()


GOLDEN = """
permute(permute(x)) = permute(x): %4 = permute(%3) : float32[3x2] becomes %4 = permute(%2) : float32[3x2]
permute that moves no axis longer than 1 = reshape: %4 = permute(%2) : float32[3x2] becomes %4 = reshape(%2) : float32[3x2]
moved to its own shape: %4 = reshape(%2) : float32[3x2] is %2 = cast(%1) : float32[3x2]
f(expand(x), y) = f(x, y): %10 = mul(%9, %7) : float32[2x3] becomes %10 = mul(%9, %6) : float32[2x3]
cast(cast(x, wider)) = cast(x): %5 = cast(%2) : bfloat16[3x2] becomes %5 = cast(%1) : bfloat16[3x2]
cast to its own dtype: %5 = cast(%1) : bfloat16[3x2] becomes %5 = copy(%1) : bfloat16[3x2]
x - (-y) = x + y, x + (-y) = x - y: %12 = add(%0, %11) : float32[2x3] becomes %12 = sub(%0, %10) : float32[2x3]
computed before: %8 = cast(%1) : float32[3x2] is %2 = cast(%1) : float32[3x2]
computed before: %9 = permute(%2) : float32[2x3] is %3 = permute(%2) : float32[2x3]
no longer read: %11 = neg(%10) : float32[2x3] is gone
no longer read: %7 = expand(%6) : float32[2x3] is gone
"""  # noqa: E501
SIMPLER = """
%0 = buffer() : float32[2x3]
%1 = buffer() : bfloat16[3x2]
%2 = cast(%1) : float32[3x2]
%3 = permute(%2) : float32[2x3]
%5 = copy(%1) : bfloat16[3x2]
%6 = scalar() : float32[scalar]
%10 = mul(%3, %6) : float32[2x3]
%12 = sub(%0, %10) : float32[2x3]
"""
SUMMARY = """
permute(permute(x)) = permute(x): %4
permute that moves no axis longer than 1 = reshape: %4
moved to its own shape: %4 is %2
f(expand(x), y) = f(x, y): %10
cast(cast(x, wider)) = cast(x): %5
cast to its own dtype: %5
x - (-y) = x + y, x + (-y) = x - y: %12
computed before: %8 is %2, %9 is %3
no longer read: %11, %7
"""
