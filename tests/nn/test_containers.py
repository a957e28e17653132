"""Containers behave as lists and dictionaries whose members are registered."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

import rushlight as rl
from rushlight import nn


def kinds(container: Any) -> list[str]:
    return [type(module).__name__ for module in container]


def test_sequential_slices_inserts_and_renumbers() -> None:
    net = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.Sigmoid())
    assert kinds(net[1:]) == ["Tanh", "Sigmoid"] and isinstance(net[1:], nn.Sequential)
    assert isinstance(net[-1], nn.Sigmoid)
    net.insert(1, nn.Identity()).append(nn.ELU())
    assert kinds(net) == ["ReLU", "Identity", "Tanh", "Sigmoid", "ELU"]
    del net[0]
    assert list(net._modules) == ["0", "1", "2", "3"]
    assert isinstance(net.pop(0), nn.Identity) and len(net) == 3
    net[0] = nn.GELU()
    net.extend([nn.SiLU()])
    assert kinds(net) == ["GELU", "Sigmoid", "ELU", "SiLU"]
    for index in (9, -9):
        with pytest.raises(IndexError, match=f"index {index} is out of range"):
            net[index]
    with pytest.raises(IndexError, match=r"Index out of range: 7"):
        net.insert(7, nn.ReLU())


def test_sequential_adds_and_multiplies() -> None:
    net = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    net += nn.Sequential(nn.ELU())
    assert kinds(net) == ["ReLU", "Tanh", "ELU"]
    assert len(net * 2) == len(2 * net) == 6
    with pytest.raises(ValueError, match=r"Non-positive multiplication factor 0"):
        net * 0
    with pytest.raises(ValueError, match=r"add operator supports only objects of Sequential"):
        net + nn.ReLU()


def test_sequential_takes_names() -> None:
    net = nn.Sequential(OrderedDict(first=nn.Linear(1, 2), second=nn.ReLU()))
    assert list(net.state_dict()) == ["first.weight", "first.bias"]
    assert net.first is net[0] and net(rl.ones(1)).shape == (2,)


def test_module_list_behaves_as_a_list() -> None:
    modules = nn.ModuleList([nn.ReLU()])
    modules.append(nn.Tanh()).extend([nn.ELU(), nn.ELU()])
    modules += [nn.SiLU()]
    assert kinds(modules) == ["ReLU", "Tanh", "ELU", "ELU", "SiLU"]
    assert kinds(modules[1:3]) == ["Tanh", "ELU"]
    modules.insert(0, nn.GELU())
    del modules[1:3]
    assert kinds(modules + [nn.ReLU()]) == ["GELU", "ELU", "ELU", "SiLU", "ReLU"]
    assert list(modules._modules) == ["0", "1", "2", "3"]
    with pytest.raises(NotImplementedError):
        modules(1)
    with pytest.raises(TypeError, match=r"ModuleList.extend should be called with an iterable"):
        modules.extend(3)


def test_module_dict_behaves_as_a_dictionary() -> None:
    modules = nn.ModuleDict({"b": nn.ReLU(), "a": nn.Linear(1, 1)})
    modules["c"] = nn.Tanh()
    modules.update([("d", nn.ELU())])
    assert list(modules) == ["b", "a", "c", "d"] and "a" in modules and len(modules) == 4
    assert isinstance(modules.pop("b"), nn.ReLU) and list(modules.keys()) == ["a", "c", "d"]
    assert [name for name, _ in modules.items()] == ["a", "c", "d"]
    del modules["c"]
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(TypeError, match=r"should be called with an iterable of key/value pairs"):
        modules.update(3)
    with pytest.raises(ValueError, match=r"has length 3; 2 is required"):
        modules.update([(1, 2, 3)])


def test_parameter_list_turns_tensors_into_parameters() -> None:
    values = nn.ParameterList([rl.ones(2), nn.Parameter(rl.zeros(1)), "text"])
    assert [type(value).__name__ for value in values] == ["Parameter", "Parameter", "str"]
    assert [name for name, _ in values.named_parameters()] == ["0", "1"]
    values.append(rl.ones(3))
    values += [rl.ones(1)]
    assert len(values) == 5 and len(values[1:3]) == 2
    values[0] = rl.zeros(4)
    assert values[0].shape == (4,)
    with pytest.raises(RuntimeError, match=r"ParameterList should not be called"):
        values(1)
    with pytest.raises(TypeError, match=r"ParameterList.extend should be called with an iterable"):
        values.extend(rl.ones(2))


def test_parameter_dict_behaves_as_a_dictionary() -> None:
    values = nn.ParameterDict({"b": rl.ones(2), "a": rl.zeros(1)})
    assert list(values) == ["a", "b"]  # a plain mapping is taken in sorted order
    values["c"] = nn.Parameter(rl.ones(1))
    assert values.setdefault("d", rl.ones(1)) is values["d"]
    assert list(reversed(values)) == ["d", "c", "b", "a"]
    assert values.popitem()[0] == "d" and values.get("x") is None
    assert list(values | nn.ParameterDict({"e": rl.ones(1)})) == ["a", "b", "c", "e"]
    assert list(values.fromkeys(["x", "y"], 1.0)) == ["x", "y"]
    assert [name for name, _ in values.named_parameters()] == ["a", "b", "c"]
    del values["a"]
    values.clear()
    assert len(values) == 0
    with pytest.raises(TypeError, match=r"not a string"):
        values[3] = rl.ones(1)


@pytest.mark.parametrize(
    "build",
    [
        lambda nn, t: nn.ModuleList([nn.Linear(3, 4) for _ in range(3)] + [nn.ReLU()]),
        lambda nn, t: nn.ModuleList([nn.Sequential(nn.ReLU()) for _ in range(2)]),
        lambda nn, t: nn.ModuleDict({"a": nn.Linear(3, 4), "b": nn.BatchNorm1d(2)}),
        lambda nn, t: nn.ParameterList([t.ones(2, 3), t.ones(1), 5]),
        lambda nn, t: nn.ParameterDict({"w": t.ones(2, 3), "n": None}),
        lambda nn, t: nn.Sequential(nn.ModuleList(), nn.Linear(1, 2)),
    ],
)
def test_containers_print_as_in_torch(build: Any) -> None:
    torch = pytest.importorskip("torch")
    assert repr(build(nn, rl)) == repr(build(torch.nn, torch))
