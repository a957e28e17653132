"""The matrix-product family and Einstein sums against PyTorch."""

from __future__ import annotations

import pytest

from tests.ops.both import assert_agree, gradients


def ramp(t, *shape):
    """Distinct values of mixed sign."""
    count = 1
    for n in shape:
        count *= n
    return ((t.arange(count, dtype=t.float64) * 7) % 11 - 5).reshape(shape)


SHAPES = [
    ((3,), (3,)), ((2, 3), (3,)), ((3,), (3, 2)), ((2, 3), (3, 4)), ((5, 2, 3), (3,)),
    ((5, 2, 3), (3, 4)), ((3,), (5, 3, 2)), ((2, 3), (5, 3, 4)), ((5, 1, 2, 3), (4, 3, 2)),
    ((0, 3), (3, 2)), ((2, 0), (0, 2)), ((), (2,)), ((2, 3), (2, 3)),
]  # fmt: skip


@pytest.mark.parametrize("shapes", SHAPES)
def test_matmul_agrees_with_torch(shapes) -> None:
    assert_agree(lambda t: ramp(t, *shapes[0]) @ ramp(t, *shapes[1]))


CASES = {
    "mm": lambda t: t.mm(ramp(t, 2, 3), ramp(t, 3, 4)),
    "mm of vectors": lambda t: t.mm(ramp(t, 3), ramp(t, 3, 4)),
    "bmm": lambda t: t.bmm(ramp(t, 2, 2, 3), ramp(t, 2, 3, 1)),
    "bmm does not broadcast": lambda t: t.bmm(ramp(t, 1, 2, 3), ramp(t, 2, 3, 1)),
    "mv": lambda t: t.mv(ramp(t, 2, 3), ramp(t, 3)),
    "dot": lambda t: t.dot(ramp(t, 3), ramp(t, 3)),
    "dot of other sizes": lambda t: t.dot(ramp(t, 3), ramp(t, 4)),
    "vdot": lambda t: t.vdot(t.tensor([1 + 2j, 3j]), t.tensor([2j, 1.0 + 0j])),
    "outer": lambda t: t.outer(ramp(t, 2), ramp(t, 3)),
    "inner": lambda t: t.inner(ramp(t, 2, 3), ramp(t, 4, 3)),
    "addmm": lambda t: t.addmm(ramp(t, 4), ramp(t, 2, 3), ramp(t, 3, 4), beta=2, alpha=0.5),
    "addmm beta 0 forgets NaN": lambda t: t.addmm(ramp(t, 4) / 0, ramp(t, 2, 3), ramp(t, 3, 4), beta=0),
    "addmv": lambda t: t.addmv(ramp(t, 2), ramp(t, 2, 3), ramp(t, 3)),
    "addr": lambda t: t.addr(ramp(t, 2, 3), ramp(t, 2), ramp(t, 3), alpha=2),
    "baddbmm": lambda t: t.baddbmm(ramp(t, 2, 1), ramp(t, 2, 2, 3), ramp(t, 2, 3, 1)),
    "addbmm": lambda t: t.addbmm(ramp(t, 2, 1), ramp(t, 2, 2, 3), ramp(t, 2, 3, 1)),
    "chain": lambda t: t.chain_matmul(ramp(t, 2, 3), ramp(t, 3, 4), ramp(t, 4, 1)),
    "mixed dtypes": lambda t: ramp(t, 2, 2) @ ramp(t, 2, 2).float(),
    "integers": lambda t: t.arange(4).reshape(2, 2) @ t.arange(2),
    "linear": lambda t: t.nn.functional.linear(ramp(t, 5, 2, 3), ramp(t, 4, 3), ramp(t, 4)),
    "bilinear": lambda t: t.nn.functional.bilinear(ramp(t, 2, 3), ramp(t, 2, 4), ramp(t, 5, 3, 4)),
    "tensordot": lambda t: t.tensordot(ramp(t, 2, 3, 4), ramp(t, 3, 4, 5)),
    "tensordot of axes": lambda t: t.tensordot(ramp(t, 2, 3, 4), ramp(t, 4, 5, 2), dims=([0, 2], [2, 0])),
    "kernel of a sublist": lambda t: t.einsum(ramp(t, 2, 3), [0, 1], ramp(t, 3, 4), [1, 2], [0, 2]),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_the_family_agrees_with_torch(name: str) -> None:
    assert_agree(CASES[name])


EQUATIONS = {
    "ij,jk->ik": ((2, 3), (3, 4)), "ij,jk": ((2, 3), (3, 4)), "ii->i": ((3, 3),), "ii": ((3, 3),),
    "ij->ji": ((2, 3),), "ij->": ((2, 3),), "bij,bjk->bik": ((2, 3, 4), (2, 4, 5)),
    "...ij,...jk->...ik": ((2, 1, 3, 4), (5, 4, 2)), "i,j->ij": ((2,), (3,)), "i,i->i": ((3,), (3,)),
    "ij,j,i->": ((2, 3), (3,), (2,)), "bqd,bkd->bqk": ((2, 3, 4), (2, 5, 4)), "...->...": ((2, 3),),
    "ba": ((2, 3),), "ij,ij->j": ((2, 3), (2, 3)), "iij->j": ((2, 2, 3),), "ij,kl": ((2, 3), (2, 2)),
    "ij,jk->iz": ((2, 3), (3, 4)), "ij,jk->ik": ((2, 3), (3, 4)), "ij": ((3,),),
}  # fmt: skip


@pytest.mark.parametrize("equation", EQUATIONS)
def test_einsum_agrees_with_torch(equation: str) -> None:
    shapes = EQUATIONS[equation]
    assert_agree(lambda t: t.einsum(equation, *[ramp(t, *s) for s in shapes]))


@pytest.mark.parametrize("equation", ["ij,jk->ik", "ii->i", "bij,bjk->bik", "ij,j,i->", "ij,ij->j"])
def test_gradients_of_einsum_are_those_of_torch(equation: str) -> None:
    def case(t):
        arrays = [ramp(t, *s).tolist() for s in EQUATIONS[equation]]
        return gradients(t, lambda *x: t.einsum(equation, *x), *arrays)

    assert_agree(case)
