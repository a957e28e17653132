"""Weight and spectral normalization, as hooks and as parametrizations, equal PyTorch's."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rushlight as rl
from rushlight import nn
from rushlight.nn.utils import parametrize

torch = pytest.importorskip("torch")

from tests.nn.matching import array, assert_same_run, uniform  # noqa: E402


def weight_norm(lib: Any) -> Any:
    return lib.utils.parametrizations.weight_norm(lib.Linear(3, 4))


WAYS = {
    "weight_norm": lambda lib: lib.utils.weight_norm(lib.Linear(3, 4)),
    "weight_norm of all": lambda lib: lib.utils.weight_norm(lib.Linear(3, 4), dim=None),
    "spectral_norm": lambda lib: lib.utils.spectral_norm(lib.Conv2d(2, 3, 2)),
    "parametrized weight_norm": lambda lib: lib.utils.parametrizations.weight_norm(
        lib.Linear(3, 4)
    ),
    "parametrized spectral_norm": lambda lib: lib.utils.parametrizations.spectral_norm(
        lib.ConvTranspose1d(3, 4, 2)
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_a_normalized_weight_computes_as_in_torch(way: str) -> None:
    shape = {"spectral_norm": (1, 2, 4, 4), "parametrized spectral_norm": (2, 3, 5)}.get(
        way, (5, 3)
    )
    rl.manual_seed(1)
    ours = WAYS[way](nn)
    torch.manual_seed(1)
    theirs = WAYS[way](torch.nn)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            array(ours.state_dict()[key]), array(value), rtol=2e-5, atol=1e-6
        )
    ours.load_state_dict({k: rl.from_numpy(array(v)) for k, v in theirs.state_dict().items()})
    assert_same_run(ours, theirs, uniform(*shape), rtol=1e-7)
    assert_same_run(ours.eval(), theirs.eval(), uniform(*shape), rtol=1e-7)


@pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated:FutureWarning")
def test_removing_the_normalization_leaves_an_equal_parameter() -> None:
    layer = nn.utils.weight_norm(nn.Linear(2, 3))
    before = layer(rl.ones(1, 2)).tolist()
    nn.utils.remove_weight_norm(layer)
    assert list(layer._parameters) == ["bias", "weight"]
    np.testing.assert_allclose(layer(rl.ones(1, 2)).tolist(), before, rtol=1e-6)
    with pytest.raises(ValueError, match=r"weight_norm of 'weight' not found"):
        nn.utils.remove_weight_norm(layer)
    layer = nn.utils.spectral_norm(nn.Linear(2, 3))
    with pytest.raises(RuntimeError, match=r"Cannot register two spectral_norm hooks"):
        nn.utils.spectral_norm(layer)
    nn.utils.remove_spectral_norm(layer)
    assert list(layer.state_dict()) == ["bias", "weight"]


class Symmetric(nn.Module):
    """Makes a matrix symmetric; its inverse keeps the upper triangle."""

    def forward(self, x: Any) -> Any:
        return x.triu() + x.triu(1).transpose(-1, -2)

    def right_inverse(self, x: Any) -> Any:
        return x.triu()


def test_a_parametrized_tensor_is_computed_set_cached_and_restored() -> None:
    layer = nn.Linear(3, 3)
    parametrize.register_parametrization(layer, "weight", Symmetric())
    assert parametrize.is_parametrized(layer, "weight") and not parametrize.is_parametrized(
        layer, "bias"
    )
    assert layer.weight.tolist() == layer.weight.transpose(0, 1).tolist()
    assert [name for name, _ in layer.named_parameters()] == [
        "bias",
        "parametrizations.weight.original",
    ]
    layer.weight = rl.ones(3, 3) * 2
    assert layer.weight.tolist() == [[2.0] * 3] * 3
    with parametrize.cached():
        assert layer.weight is layer.weight
    assert repr(layer).startswith("ParametrizedLinear(\n  in_features=3")
    layer(rl.ones(1, 3)).sum().backward()
    assert layer.parametrizations.weight.original.grad is not None
    twin = copy.deepcopy(layer)
    twin.weight = rl.zeros(3, 3)
    assert layer.weight.tolist() == [[2.0] * 3] * 3
    parametrize.remove_parametrizations(layer, "weight")
    assert type(layer) is nn.Linear and layer.weight.tolist() == [[2.0] * 3] * 3


def test_a_parametrization_keeps_shape_and_name() -> None:
    class Flat(nn.Module):
        def forward(self, x: Any) -> Any:
            return x.flatten()

    with pytest.raises(ValueError, match=r"may not change dtype or shape"):
        parametrize.register_parametrization(nn.Linear(2, 2), "weight", Flat())
    with pytest.raises(ValueError, match=r"does not have a parameter, a buffer, or a parametrized"):
        parametrize.register_parametrization(nn.Linear(2, 2), "missing", Flat())
