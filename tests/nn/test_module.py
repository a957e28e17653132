"""Module holds, finds, walks, converts, copies and prints its members as PyTorch's does."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn

torch = pytest.importorskip("torch")


class Net(nn.Module):
    """A small tree with every kind of member."""

    def __init__(self, library: Any = rl) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        self.scale = nn.Parameter(rl.ones(2))
        self.register_buffer("steps", rl.zeros(()))
        self.register_buffer("scratch", rl.zeros(2), persistent=False)
        self.tied = self.body[0]
        self.nothing = None

    def forward(self, x: Any) -> Any:
        return self.body(x) * self.scale


def test_members_are_found_as_attributes_and_in_the_right_tables() -> None:
    net = Net()
    assert list(net._parameters) == ["scale"]
    assert list(net._buffers) == ["steps", "scratch"]
    assert list(net._modules) == ["body", "tied"]
    assert net.scale is net._parameters["scale"]
    assert net.nothing is None and "nothing" in net.__dict__
    assert {"scale", "steps", "body", "forward"} <= set(dir(net))


def test_shared_members_are_named_once_unless_asked_otherwise() -> None:
    net = Net()
    names = [name for name, _ in net.named_parameters()]
    assert names == ["scale", "body.0.weight", "body.0.bias", "body.2.weight", "body.2.bias"]
    every = [name for name, _ in net.named_parameters(remove_duplicate=False)]
    assert every == names + ["tied.weight", "tied.bias"]
    assert [name for name, _ in net.named_modules()] == ["", "body", "body.0", "body.1", "body.2"]
    assert [name for name, _ in net.named_children()] == ["body", "tied"]
    assert [name for name, _ in net.named_parameters("net", recurse=False)] == ["net.scale"]
    assert [name for name, _ in net.named_buffers()] == ["steps", "scratch"]
    assert len(list(net.parameters())) == 5


def test_members_are_found_by_dotted_names() -> None:
    net = Net()
    assert net.get_submodule("body.2") is net.body[2]
    assert net.get_submodule("") is net
    assert net.get_parameter("body.0.weight") is net.body[0].weight
    assert net.get_buffer("steps") is net.steps
    with pytest.raises(AttributeError, match=r"^Sequential has no attribute `7`$"):
        net.get_submodule("body.7")
    with pytest.raises(AttributeError, match=r"^`scale` is not an nn.Module$"):
        net.get_submodule("scale.x")
    with pytest.raises(AttributeError, match=r"^`steps` is not an nn.Parameter$"):
        net.get_parameter("steps")
    with pytest.raises(AttributeError, match=r"^`scale` is not a buffer$"):
        net.get_buffer("scale")
    net.set_submodule("body.1", nn.Tanh())
    assert isinstance(net.body[1], nn.Tanh)
    with pytest.raises(ValueError, match=r"without a target name"):
        net.set_submodule("", nn.Tanh())


def test_a_missing_attribute_names_class_and_attribute() -> None:
    with pytest.raises(AttributeError, match=r"^'Net' object has no attribute 'x'$"):
        _ = Net().x


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: nn.Linear(1, 1), "cannot assign module before Module.__init__() call"),
        (
            lambda: nn.Parameter(rl.ones(1)),
            "cannot assign parameters before Module.__init__() call",
        ),
        (lambda: nn.Buffer(rl.ones(1)), "cannot assign buffer before Module.__init__() call"),
    ],
)
def test_members_cannot_be_assigned_before_init(value: Any, message: str) -> None:
    class Early(nn.Module):
        def __init__(self) -> None:
            self.member = value()

    with pytest.raises(AttributeError) as caught:
        Early()
    assert str(caught.value) == message


def test_a_member_is_replaced_only_by_its_own_kind() -> None:
    net = Net()
    with pytest.raises(TypeError, match=r"cannot assign 'int' as parameter 'scale'"):
        net.scale = 3
    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' as parameter 'scale'"):
        net.scale = rl.ones(2)
    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module 'body'"):
        net.body = 3
    with pytest.raises(TypeError, match=r"cannot assign 'int' as buffer 'steps'"):
        net.steps = 3
    net.scale = None
    assert net._parameters == {"scale": None}
    net.steps = rl.ones(())
    assert net._buffers["steps"] is net.steps
    net.body = nn.Identity()
    net.steps = nn.Parameter(rl.ones(1))  # becomes a parameter
    assert "steps" not in net._buffers and "steps" in net._parameters
    del net.steps
    assert not hasattr(net, "steps")


@pytest.mark.parametrize("register", ["register_parameter", "register_buffer", "add_module"])
def test_bad_names_are_refused(register: str) -> None:
    net = Net()
    add = getattr(net, register)
    with pytest.raises(KeyError, match=r't contain "\."'):
        add("a.b", None)
    with pytest.raises(KeyError, match=r't be empty string ""'):
        add("", None)
    with pytest.raises(KeyError, match=r"attribute 'forward' already exists"):
        add("forward", None)
    with pytest.raises(TypeError, match=r"name should be a string. Got int"):
        add(3, None)


def test_a_result_of_an_operation_is_no_parameter() -> None:
    net = Net()
    with pytest.raises(TypeError, match=r"cannot assign 'torch.FloatTensor' object to parameter"):
        net.register_parameter("w", rl.ones(2))
    with pytest.raises(TypeError, match=r"int is not a Module subclass"):
        net.add_module("m", 3)


def test_a_buffer_class_registers_by_assignment() -> None:
    net = Net()
    net.table = nn.Buffer(rl.ones(3))
    net.cache = nn.Buffer(rl.ones(3), persistent=False)
    assert {"table", "cache"} <= set(net._buffers)
    assert "table" in net.state_dict() and "cache" not in net.state_dict()


def test_the_printed_form_nests_and_indents() -> None:
    assert repr(nn.Identity()) == "Identity()"
    assert repr(nn.Sequential(nn.Sequential(nn.ReLU()), nn.ModuleList())) == (
        "Sequential(\n  (0): Sequential(\n    (0): ReLU()\n  )\n  (1): ModuleList()\n)"
    )

    class Wordy(nn.Module):
        def extra_repr(self) -> str:
            return "first\nsecond"

    assert repr(Wordy()) == "Wordy(\n  first\n  second\n)"


def test_modes_reach_the_whole_tree() -> None:
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    assert all(m.training for m in net.train().modules())
    with pytest.raises(ValueError, match=r"training mode is expected to be boolean"):
        net.train(1)
    net.requires_grad_(False)
    assert not any(p.requires_grad for p in net.parameters())


def test_zero_grad_drops_or_zeroes() -> None:
    net = nn.Linear(2, 1)
    net(rl.ones(3, 2)).sum().backward()
    net.zero_grad(set_to_none=False)
    assert net.weight.grad.tolist() == [[0.0, 0.0]]
    net.zero_grad()
    assert net.weight.grad is None


def test_conversion_keeps_parameters_the_same_objects() -> None:
    net = Net()
    weight = net.body[0].weight
    net(rl.ones(1, 3)).sum().backward()
    assert net.double() is net
    assert net.body[0].weight is weight
    assert weight.dtype == rl.float64 and weight.grad.dtype == rl.float64
    assert weight.is_leaf and weight.requires_grad
    net.register_buffer("count", rl.zeros((), dtype=rl.int64))
    net.to(rl.float16)
    assert net.count.dtype == rl.int64 and net.steps.dtype == rl.float16
    net.float().to(rl.device("cpu"), rl.float64).to(rl.ones(1))
    assert weight.dtype == rl.float32
    with pytest.raises(TypeError, match=r"only accepts floating point or complex dtypes"):
        net.to(rl.int64)


def test_a_module_without_a_gpu_says_so() -> None:
    with pytest.raises(AssertionError, match=r"Torch not compiled with CUDA enabled"):
        Net().cuda()


def test_apply_visits_children_first() -> None:
    seen: list[str] = []
    nn.Sequential(nn.Linear(1, 1), nn.ReLU()).apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "ReLU", "Sequential"]


def test_a_missing_forward_names_the_module() -> None:
    class Empty(nn.Module):
        pass

    with pytest.raises(
        NotImplementedError, match=r'Module \[Empty\] is missing the required "forward"'
    ):
        Empty()(1)


def test_unexpected_arguments_of_init_are_named() -> None:
    with pytest.raises(
        TypeError, match=r"Module.__init__\(\) got an unexpected keyword argument 'a'"
    ):
        nn.Module(a=1)
    with pytest.raises(TypeError, match=r"takes 1 positional argument but 2 were given"):
        nn.Module(1)


def test_copies_share_no_memory_but_keep_tied_members() -> None:
    net = Net()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert twin.tied is twin.body[0]
        assert [n for n, _ in twin.named_parameters()] == [n for n, _ in net.named_parameters()]
        assert type(twin.scale) is nn.Parameter and twin.scale.requires_grad
        with rl.no_grad():
            twin.scale.add_(1.0)
        assert net.scale.tolist() == [1.0, 1.0] and twin.scale.tolist() == [2.0, 2.0]
        x = rl.ones(1, 3)
        np.testing.assert_array_equal((twin.body(x)).detach().numpy(), net.body(x).detach().numpy())


def test_a_copy_of_a_parameter_has_no_gradient() -> None:
    net = nn.Linear(2, 1)
    net(rl.ones(1, 2)).sum().backward()
    assert copy.deepcopy(net).weight.grad is None


def test_a_parameter_shares_memory_and_prints_its_kind() -> None:
    data = rl.zeros(2)
    parameter = nn.Parameter(data)
    data.add_(1.0)
    assert parameter.tolist() == [1.0, 1.0]
    assert repr(parameter) == repr(torch.nn.Parameter(torch.ones(2)))
    assert isinstance(parameter, rl.Tensor) and parameter.is_leaf and parameter.requires_grad
    assert type(parameter * 2) is rl.Tensor
    assert nn.Parameter(data, requires_grad=False).requires_grad is False
    with pytest.raises(RuntimeError, match=r"floating point"):
        nn.Parameter(rl.zeros(2, dtype=rl.int64))
