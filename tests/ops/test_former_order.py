"""Factors before what they multiply, as PyTorch's first years wrote them."""

from __future__ import annotations

import warnings

import pytest

import rushlight
from rushlight.ops import former_order

torch = pytest.importorskip("torch")

CALLS = """
lib.add(a, 2, b)|a.add_(-0.5, b)|a.add(0.5, b)|lib.sub(a, 2, b)|a.sub_(0.25, b)
lib.addcmul(a, 0.5, b, c)|a.addcmul_(0.5, b, c)|lib.addcdiv(a, 0.5, b, c)|a.addcdiv_(-0.5, b, c)
lib.addmm(0.5, a, 2, b, c)|lib.addmm(0.5, a, b, c)|a.addmm_(0.5, 2, b, c)|a.addmm(0.5, b, c)
lib.addmv(0.5, a[0], 2, b, c[0])|a[0].addmv_(0.5, 2, b, c[0])|lib.addmv(0.5, a[0], b, c[0])
lib.addr(0.5, a, 2, b[0], c[0])|a.addr_(0.5, b[0], c[0])
lib.baddbmm(0.5, a[None], 2, b[None], c[None])|a[None].baddbmm(0.5, b[None], c[None])
lib.addbmm(0.5, a, 2, b[None], c[None])|a.addbmm_(0.5, 2, b[None], c[None])
"""


def computed(lib, call):
    names = {"lib": lib, "a": lib.ones(2, 2), "b": lib.full((2, 2), 3.0)}
    names["c"] = lib.tensor([[2.0, 4.0], [8.0, 16.0]])
    return eval(call, names).tolist()


@pytest.mark.parametrize("call", [c for line in CALLS.split("\n") for c in line.split("|") if c])
def test_the_former_order_of_arguments_computes_what_it_did(call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        assert computed(rushlight, call) == computed(torch, call)


def test_the_former_order_is_warned_of_once(monkeypatch):
    monkeypatch.setattr(former_order, "_warned", set())
    x = rushlight.ones(2)
    with pytest.warns(UserWarning, match="This overload of add is deprecated"):
        x.add_(2, x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x.add_(2, x)


def test_what_was_never_an_order_is_refused():
    x = rushlight.ones(2, 2)
    for call in ((x, 2, 3), (x, x, x), (x, "2", x)):
        with pytest.raises(TypeError):
            rushlight.add(*call)
    with pytest.raises(TypeError, match="invalid combination"):
        rushlight.addmm(x, x, x, x)
    with pytest.raises(TypeError, match="invalid combination"):
        rushlight.addcmul(x, 1, x, 2)
