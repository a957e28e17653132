"""Whole modules under weights_only, with the classes and functions that a program allows."""

from __future__ import annotations

import pickle
import sys

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn, serialization


def activations() -> list:
    """A module holds a function among its attributes."""
    layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, nn.functional.relu, batch_first=True)
    return [
        layer,
        type(layer),
        nn.MultiheadAttention,
        nn.functional.relu,
        nn.Linear,
        nn.Dropout,
        nn.LayerNorm,
        nn.modules.linear.NonDynamicallyQuantizableLinear,
    ]


def test_a_module_with_a_function_among_its_attributes(tmp_path):
    layer, *allowed = activations()
    rl.save(layer.eval(), tmp_path / "layer.pt")
    with pytest.raises(pickle.UnpicklingError, match="not an allowed global"):
        rl.load(tmp_path / "layer.pt")
    with serialization.safe_globals(allowed):
        found = rl.load(tmp_path / "layer.pt")
    x = rl.randn(2, 3, 8)
    assert found(x).tolist() == layer(x).tolist()
    assert found.activation.__name__ == "relu"


def test_classes_in_lists_and_dictionaries_are_classes(tmp_path):
    rl.save({"classes": [nn.Linear, (nn.Dropout,)], "by name": {"a": nn.Linear}}, tmp_path / "c.pt")
    with serialization.safe_globals([nn.Linear, nn.Dropout]):
        found = rl.load(tmp_path / "c.pt")
    assert found["classes"][0] is nn.Linear
    assert found["by name"]["a"] is nn.Linear


def test_modules_that_pytorch_saved(tmp_path):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Dropout(0.5), torch.nn.ReLU())
    torch.save(model.eval(), tmp_path / "model.pt")
    with pytest.raises(pickle.UnpicklingError, match=r"torch\.nn\.modules\.container\.Sequential"):
        rl.load(tmp_path / "model.pt")
    with serialization.safe_globals([nn.Sequential, nn.Linear, nn.Dropout, nn.ReLU]):
        found = rl.load(tmp_path / "model.pt")
    assert type(found) is nn.Sequential
    x = torch.randn(2, 4)
    expected = model(x).detach().numpy()
    np.testing.assert_allclose(found(rl.from_numpy(x.numpy())).detach().numpy(), expected, 1e-6)


def test_names_in_a_file_import_nothing(tmp_path):
    module = "rushlight.cli.gallery"
    sys.modules.pop(module, None)
    data = b"\x80\x02ctorch.cli.gallery\nmain\n."
    (tmp_path / "evil.pt").write_bytes(data)
    refused = pytest.raises((pickle.UnpicklingError, RuntimeError))
    with serialization.safe_globals([nn.Linear]), refused:
        rl.load(tmp_path / "evil.pt")
    assert module not in sys.modules
