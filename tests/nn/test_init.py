"""Initial values equal PyTorch's for the same seed, and so do errors and warnings."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rushlight  # noqa: E402
from rushlight.nn import init  # noqa: E402

SHAPES = [(3, 5), (7, 4, 3), (16, 9), (6, 3, 5, 5)]


def both(name, shape, *args, dtype="float32", seed=3, **kwargs):
    """(ours, theirs) as arrays after the same recipe from the same seed."""
    torch.manual_seed(seed)
    rushlight.manual_seed(seed)
    expected = torch.zeros(shape, dtype=getattr(torch, dtype))
    ours = rushlight.zeros(shape, dtype=getattr(rushlight, dtype))
    assert getattr(init, name)(ours, *args, **kwargs) is ours
    getattr(torch.nn.init, name)(expected, *args, **kwargs)
    np.testing.assert_array_equal(rushlight.get_rng_state().numpy(), torch.get_rng_state().numpy())
    return np.asarray(ours.tolist()), np.asarray(expected.tolist())


RECIPES = [
    ("uniform_", (-2.0, 0.5)),
    ("normal_", (0.3, 0.02)),
    ("constant_", (0.7,)),
    ("ones_", ()),
    ("zeros_", ()),
    ("xavier_uniform_", (1.7,)),
    ("xavier_normal_", ()),
    ("kaiming_uniform_", (5**0.5,)),
    ("kaiming_uniform_", (0, "fan_out", "relu")),
    ("kaiming_normal_", (0, "fan_out", "tanh")),
    ("trunc_normal_", ()),
    ("trunc_normal_", (0.1, 0.02, -0.03, 0.11)),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name, args", RECIPES)
def test_a_recipe_gives_pytorchs_values(name, args, shape):
    np.testing.assert_array_equal(*both(name, shape, *args))


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
@pytest.mark.parametrize("name, args", RECIPES)
def test_a_recipe_gives_pytorchs_values_in_other_dtypes(name, args, dtype):
    np.testing.assert_array_equal(*both(name, (9, 8), *args, dtype=dtype))


def test_trunc_normal_far_from_the_mean_gives_pytorchs_values():
    # Less than 0.3 of the mass is inside, so uniform proposals are used.
    np.testing.assert_array_equal(*both("trunc_normal_", (40, 30), 0.0, 1.0, 1.0, 3.0))


def test_trunc_normal_beyond_two_deviations_warns():
    with pytest.warns(UserWarning, match=r"mean is more than 2 std from"):
        init.trunc_normal_(rushlight.zeros(3), 5.0, 1.0, -2.0, 2.0)


def test_eye_and_dirac_give_pytorchs_values():
    np.testing.assert_array_equal(*both("eye_", (3, 5)))
    np.testing.assert_array_equal(*both("eye_", (5, 3), dtype="bfloat16"))
    for shape in ((4, 3, 5), (3, 4, 4, 3), (6, 2, 3, 3, 2)):
        np.testing.assert_array_equal(*both("dirac_", shape))
    np.testing.assert_array_equal(*both("dirac_", (6, 2, 3, 3), 2))


@pytest.mark.parametrize("shape", [(5, 3), (3, 5), (4, 4), (6, 2, 3)])
def test_orthogonal_gives_pytorchs_values_up_to_rounding(shape):
    ours, expected = both("orthogonal_", shape, 1.5)
    np.testing.assert_allclose(ours, expected, atol=2e-6)  # two QR implementations


def test_sparse_gives_pytorchs_values():
    np.testing.assert_array_equal(*both("sparse_", (7, 5), 0.3))


def test_a_generator_can_be_passed():
    ours = rushlight.zeros(4, 5)
    init.kaiming_uniform_(ours, generator=rushlight.Generator().manual_seed(8))
    expected = torch.zeros(4, 5)
    torch.nn.init.kaiming_uniform_(expected, generator=torch.Generator().manual_seed(8))
    assert ours.tolist() == expected.tolist()


def test_a_parameter_stays_a_leaf_that_requires_gradients():
    weight = rushlight.zeros(4, 5, requires_grad=True)
    init.xavier_uniform_(weight)
    assert weight.requires_grad
    assert weight.is_leaf
    assert weight.abs().sum().item() > 0


@pytest.mark.parametrize(
    "name, param",
    [("linear", None), ("conv2d", 3), ("tanh", None), ("relu", None), ("selu", None)]
    + [("leaky_relu", None), ("leaky_relu", 0.2), ("leaky_relu", 1), ("sigmoid", None)],
)
def test_gains_equal_pytorchs(name, param):
    assert init.calculate_gain(name, param) == torch.nn.init.calculate_gain(name, param)


ERRORS = [
    ("calculate_gain", ("swish",), {}),
    ("calculate_gain", ("leaky_relu", "steep"), {}),
    ("calculate_gain", ("leaky_relu", True), {}),
]
TENSOR_ERRORS = [
    ("eye_", (3,), ()),
    ("dirac_", (3, 3), ()),
    ("dirac_", (3, 3, 3), (2,)),
    ("xavier_uniform_", (3,), ()),
    ("kaiming_normal_", (3, 3), (0, "fan_all")),
    ("orthogonal_", (3,), ()),
    ("sparse_", (3,), (0.5,)),
]


@pytest.mark.parametrize("name, args, kwargs", ERRORS)
def test_wrong_gains_raise_pytorchs_error(name, args, kwargs):
    with pytest.raises(ValueError) as expected:
        getattr(torch.nn.init, name)(*args, **kwargs)
    with pytest.raises(ValueError) as raised:
        getattr(init, name)(*args, **kwargs)
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize("name, shape, args", TENSOR_ERRORS)
def test_wrong_shapes_and_modes_raise_pytorchs_error(name, shape, args):
    with pytest.raises(ValueError) as expected:
        getattr(torch.nn.init, name)(torch.zeros(shape), *args)
    with pytest.raises(ValueError) as raised:
        getattr(init, name)(rushlight.zeros(shape), *args)
    assert str(raised.value) == str(expected.value)


@pytest.mark.parametrize("name", ["kaiming_uniform_", "kaiming_normal_"])
def test_a_tensor_without_elements_is_left_alone_with_a_warning(name):
    with pytest.warns(UserWarning, match=r"Initializing zero-element tensors is a no-op"):
        getattr(init, name)(rushlight.zeros(0, 3))


@pytest.mark.parametrize("name", ["uniform", "normal", "xavier_uniform", "kaiming_normal", "eye"])
def test_names_without_underscore_warn_and_work(name):
    weight = rushlight.zeros(3, 4)
    with pytest.warns(FutureWarning, match=f"`nn.init.{name}` is now deprecated"):
        assert getattr(init, name)(weight) is weight
    assert weight.abs().sum().item() > 0
