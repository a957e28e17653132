"""Tensors print, format and read back as PyTorch's."""

from __future__ import annotations

import pytest

import rushlight as rl

torch = pytest.importorskip("torch")

EXPRESSIONS = {
    "values": lambda m: m.arange(12.0).reshape(3, 4) / 7,
    "integers": lambda m: m.arange(12).reshape(3, 4),
    "truth": lambda m: m.arange(4) > 1,
    "0-d": lambda m: m.tensor(3.5),
    "empty": lambda m: m.empty(0),
    "empty 2-d": lambda m: m.empty(2, 0, dtype=m.int32),
    "bfloat16": lambda m: m.tensor([1.5, 2.25]).to(m.bfloat16),
    "complex": lambda m: m.tensor([1 + 2j, -3.5j]),
    "transposed": lambda m: m.arange(6.0).reshape(2, 3).t(),
    "window": lambda m: m.arange(100.0).reshape(10, 10)[2:4, ::3],
    "long": lambda m: m.arange(2000.0),
    "expanded": lambda m: m.tensor([1.0, 2.0]).expand(3, 2),
    "leaf": lambda m: m.ones(2, requires_grad=True),
    "mul": lambda m: m.ones(2, requires_grad=True) * 2,
    "add": lambda m: m.ones(2, requires_grad=True) + 2,
    "sum": lambda m: m.ones(2, requires_grad=True).sum(),
    "parameter": lambda m: m.nn.Parameter(m.ones(2)),
    "frozen parameter": lambda m: m.nn.Parameter(m.ones(2), requires_grad=False),
    "detached": lambda m: m.ones(2, requires_grad=True).detach(),
    "in a list": lambda m: [m.ones(2), m.zeros(1)],
    "shape": lambda m: m.ones(2, 3).shape,
    "dtype": lambda m: [m.float32, m.bool, m.bfloat16],
}


@pytest.mark.parametrize("name", EXPRESSIONS)
def test_repr_and_str_equal_pytorchs(name):
    ours, theirs = EXPRESSIONS[name](rl), EXPRESSIONS[name](torch)
    assert repr(ours) == repr(theirs)
    assert str(ours) == str(theirs)
    assert f"{ours}" == f"{theirs}"


@pytest.mark.parametrize("spec", [".2f", "e", "10.3", ">8"])
def test_a_0d_tensor_formats_as_its_number(spec):
    assert format(rl.tensor(3.14159), spec) == format(torch.tensor(3.14159), spec)
    leaf = rl.tensor(3.14159, requires_grad=True)
    assert format(leaf * 2, spec) == format(torch.tensor(3.14159) * 2, spec)


def test_other_tensors_take_no_format():
    for module in (rl, torch):
        for tensor in (module.ones(2), module.nn.Parameter(module.tensor(1.0))):
            with pytest.raises(TypeError, match="unsupported format string passed to"):
                format(tensor, ".2f")


def test_printing_shows_pending_writes():
    tensor = rl.zeros(2)
    view = tensor[:1]
    view.add_(1)
    assert repr(tensor) == "tensor([1., 0.])"
    assert repr(view) == "tensor([1.])"


def test_print_options_are_public():
    rl.set_printoptions(precision=2)
    try:
        assert repr(rl.tensor([1.23456])) == "tensor([1.23])"
    finally:
        rl.set_printoptions(profile="default")


def test_the_default_dtype_is_not_spelled_out():
    ours, theirs = [], []
    for module, found in ((rl, ours), (torch, theirs)):
        module.set_default_dtype(module.float64)
        try:
            found.append(repr(module.tensor([1.5])))
            found.append(repr(module.tensor([1.5], dtype=module.float32)))
            found.append(repr(module.tensor([1.5j])))
        finally:
            module.set_default_dtype(module.float32)
    assert ours == theirs
