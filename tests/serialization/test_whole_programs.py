"""Models and optimizers saved in the middle of a program, by either framework."""

from __future__ import annotations

import io
import pickle

import numpy as np
import pytest

import rushlight as rl
from rushlight import serialization

torch = pytest.importorskip("torch")


def through(obj, save, load, **options):
    buffer = io.BytesIO()
    save(obj, buffer)
    buffer.seek(0)
    return load(buffer, **options)


def model(module):
    return module.nn.Sequential(
        module.nn.Linear(4, 8), module.nn.ReLU(), module.nn.BatchNorm1d(8), module.nn.Linear(8, 2)
    )


def test_a_state_dict_moves_between_the_frameworks():
    torch.manual_seed(0)
    theirs, ours = model(torch), model(rl)
    ours.load_state_dict(through(theirs.state_dict(), torch.save, serialization.load))
    x = np.random.default_rng(0).normal(size=(5, 4)).astype(np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(ours(rl.from_numpy(x)).detach().numpy(), expected, atol=1e-6)
    back = model(torch)
    back.load_state_dict(through(ours.state_dict(), serialization.save, torch.load))
    theirs.eval(), back.eval()
    assert torch.allclose(back(torch.from_numpy(x)), theirs(torch.from_numpy(x)), atol=1e-6)


def test_a_checkpoint_dictionary_with_an_optimizer_resumes():
    def trained(steps, resume_at=None):
        rl.manual_seed(0)
        net = rl.nn.Linear(3, 1)
        optimizer = rl.optim.Adam(net.parameters(), lr=0.1)
        for step in range(steps):
            if step == resume_at:
                state = {"net": net.state_dict(), "opt": optimizer.state_dict(), "step": step}
                state = through(state, serialization.save, serialization.load)
                net = rl.nn.Linear(3, 1)
                net.load_state_dict(state["net"])
                optimizer = rl.optim.Adam(net.parameters(), lr=0.5)
                optimizer.load_state_dict(state["opt"])
            optimizer.zero_grad()
            (net(rl.ones(2, 3)) ** 2).sum().backward()
            optimizer.step()
        return net.weight.tolist()

    assert trained(6, resume_at=3) == trained(6)


def test_a_whole_module_opens_when_trusted():
    net = model(rl)
    with pytest.raises(pickle.UnpicklingError, match="Sequential"):
        through(net, serialization.save, serialization.load)
    again = through(net, serialization.save, serialization.load, weights_only=False)
    net.eval(), again.eval()
    x = rl.ones(3, 4)
    assert again(x).tolist() == net(x).tolist()
    assert again[0].weight is not net[0].weight


def test_a_module_of_pytorch_opens_when_trusted():
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 3), torch.nn.Tanh())
    ours = through(theirs, torch.save, serialization.load, weights_only=False)
    x = np.ones((1, 2), np.float32)
    expected = theirs(torch.from_numpy(x)).detach().numpy()
    assert np.allclose(ours(rl.from_numpy(x)).detach().numpy(), expected, atol=1e-6)


def test_what_rushlight_lacks_is_named():
    with pytest.raises(pickle.UnpicklingError, match=r"needs torch\.\S+ which rushlight does not"):
        through(
            torch.ao.nn.quantized.FloatFunctional(),
            torch.save,
            serialization.load,
            weights_only=False,
        )


def test_tied_weights_stay_tied_in_a_file():
    net = rl.nn.Sequential(rl.nn.Linear(2, 2), rl.nn.Linear(2, 2))
    net[1].weight = net[0].weight
    state = through(net.state_dict(), serialization.save, torch.load)
    assert state["0.weight"].data_ptr() == state["1.weight"].data_ptr()


def test_pending_writes_are_saved():
    tensor = rl.zeros(3)
    tensor[1:].add_(2)
    assert through(tensor, serialization.save, torch.load).tolist() == [0, 2, 2]


def test_loaded_tensors_train():
    weight = through(torch.nn.Parameter(torch.ones(2)), torch.save, serialization.load)
    (weight * weight).sum().backward()
    with rl.no_grad():
        weight.sub_(weight.grad)
    assert weight.tolist() == [-1, -1]


def test_a_gradient_is_not_saved_with_its_leaf():
    leaf = rl.ones(2, requires_grad=True)
    (leaf * 2).sum().backward()
    again = through(leaf, serialization.save, serialization.load)
    assert again.requires_grad
    assert again.grad is None
