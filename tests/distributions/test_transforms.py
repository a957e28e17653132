"""Transforms, constraints and what leads from one to the other equal PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rushlight  # noqa: E402
from rushlight.base.config import config  # noqa: E402

TRANSFORMS = {
    "abs": lambda d, t: d.AbsTransform(),
    "affine": lambda d, t: d.AffineTransform(t([1.0, -1.0, 2.0]), t([2.0, 3.0, -1.0])),
    "affine_vector": lambda d, t: d.AffineTransform(1.0, -2.0, event_dim=1),
    "cat": lambda d, t: d.CatTransform([d.ExpTransform(), d.SigmoidTransform()], -1, [1, 2]),
    "compose": lambda d, t: d.ComposeTransform(
        [d.AffineTransform(1.0, 2.0), d.SigmoidTransform(), d.AffineTransform(0.0, 3.0)]
    ),
    "corr_cholesky": lambda d, t: d.CorrCholeskyTransform(),
    "exp": lambda d, t: d.ExpTransform(),
    "independent": lambda d, t: d.IndependentTransform(d.ExpTransform(), 1),
    "lower_cholesky": lambda d, t: d.LowerCholeskyTransform(),
    "positive_definite": lambda d, t: d.PositiveDefiniteTransform(),
    "power": lambda d, t: d.PowerTransform(t(2.0)),
    "reshape": lambda d, t: d.ReshapeTransform((3,), (1, 3)),
    "sigmoid": lambda d, t: d.SigmoidTransform(),
    "softplus": lambda d, t: d.SoftplusTransform(),
    "tanh": lambda d, t: d.TanhTransform(),
    "softmax": lambda d, t: d.SoftmaxTransform(),
    "stack": lambda d, t: d.StackTransform(
        [d.ExpTransform(), d.AffineTransform(1.0, 2.0), d.TanhTransform()], -1
    ),
    "stick_breaking": lambda d, t: d.StickBreakingTransform(),
}
CONSTRAINTS = {
    "boolean": lambda c: c.boolean,
    "greater_than": lambda c: c.greater_than(0.5),
    "greater_than_eq": lambda c: c.greater_than_eq(0.5),
    "less_than": lambda c: c.less_than(0.5),
    "integer_interval": lambda c: c.integer_interval(0, 3),
    "interval": lambda c: c.interval(-1.0, 1.0),
    "half_open_interval": lambda c: c.half_open_interval(-1.0, 1.0),
    "nonnegative_integer": lambda c: c.nonnegative_integer,
    "positive": lambda c: c.positive,
    "unit_interval": lambda c: c.unit_interval,
    "real_vector": lambda c: c.real_vector,
    "simplex": lambda c: c.simplex,
    "one_hot": lambda c: c.one_hot,
    "multinomial": lambda c: c.multinomial(3),
    "lower_triangular": lambda c: c.lower_triangular,
    "lower_cholesky": lambda c: c.lower_cholesky,
    "corr_cholesky": lambda c: c.corr_cholesky,
    "square": lambda c: c.square,
    "symmetric": lambda c: c.symmetric,
    "positive_definite": lambda c: c.positive_definite,
    "positive_semidefinite": lambda c: c.positive_semidefinite,
    "independent": lambda c: c.independent(c.positive, 1),
    "cat": lambda c: c.cat([c.positive, c.unit_interval], 0, [2, 1]),
    "stack": lambda c: c.stack([c.positive, c.unit_interval, c.real], 0),
}
VALUES = [
    [[0.3, -1.2, 0.8], [1.5, 0.1, -0.4], [0.2, 0.9, 2.0]],
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [[0.2, 0.3, 0.5], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]],
    [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]],
    [[2.0, 1.0, 0.0], [1.0, 2.0, 1.0], [0.0, 1.0, 2.0]],
]


@pytest.fixture(autouse=True)
def by_reference(monkeypatch):
    """Formulas are compared here, not kernels: nothing is compiled."""
    monkeypatch.setattr(config, "executor", "reference")


def tensors(library):
    return lambda values: library.tensor(values, dtype=library.float64)


def outcome(function):
    try:
        value = function()
    except (NotImplementedError, ValueError, AssertionError) as error:
        return type(error).__name__
    return np.asarray(value.detach().numpy()) if hasattr(value, "detach") else value


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_map_as_pytorchs(name):
    found = []
    for library in (rushlight, torch):
        t = tensors(library)
        f = TRANSFORMS[name](library.distributions.transforms, t)
        x = t(VALUES[0] if name != "power" else np.abs(VALUES[0]).tolist()).requires_grad_()
        y = f(x)
        (y**2).sum().backward()
        found.append(
            [
                y.detach().numpy(),
                x.grad.numpy(),
                outcome(lambda: f.inv(f(x))),  # noqa: B023
                outcome(lambda: f.log_abs_det_jacobian(x, f(x))),  # noqa: B023
                outcome(lambda: f.bijective),  # noqa: B023
                outcome(lambda: f.sign),  # noqa: B023
                str(f.domain),
                str(f.codomain),
                tuple(f.forward_shape(x.shape)),
                tuple(f.inverse_shape(y.shape)),
                f.inv.inv is f,
                repr(f),
            ]
        )
        cached = f.with_cache(1)
        image = cached(x)
        assert cached.inv(image) is x or name == "positive_definite"
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, np.ndarray):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        else:
            assert ours == theirs


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_accept_and_are_reached_as_in_pytorch(name):
    found = []
    for library in (rushlight, torch):
        t = tensors(library)
        d = library.distributions
        constraint = CONSTRAINTS[name](d.constraints)
        own = [str(constraint), constraint.is_discrete, constraint.event_dim]
        own += [outcome(lambda v=v: constraint.check(t(v))) for v in VALUES]  # noqa: B023
        for registry in (d.biject_to, d.transform_to):
            own.append(outcome(lambda r=registry: r(constraint)(t(VALUES[0]))))  # noqa: B023
        found.append(own)
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, np.ndarray):
            np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-12)
        else:
            assert ours == theirs


def test_composed_distributions_are_pytorchs():
    found = []
    for library in (rushlight, torch):
        t, d = tensors(library), library.distributions
        base = d.Normal(t([0.0, 1.0]), t([1.0, 0.5]))
        chain = [d.AffineTransform(1.0, 2.0), d.ExpTransform()]
        moved = d.TransformedDistribution(base, chain)
        mixture = d.MixtureSameFamily(
            d.Categorical(logits=t([0.3, 0.7])),
            d.Independent(d.Normal(t([[0.0, 1.0], [2.0, 3.0]]), t([[1.0, 1.0], [0.5, 2.0]])), 1),
        )
        library.manual_seed(1)
        own = []
        for distribution in (moved, mixture, d.Independent(base, 1)):
            x = distribution.sample((3,))
            own += [x, distribution.log_prob(x)]
            own += [repr(distribution) if distribution is not moved else ""]
        own += [moved.cdf(t([2.0, 3.0])), moved.icdf(t([0.2, 0.7])), mixture.mean, mixture.variance]
        found.append([x.numpy() if hasattr(x, "numpy") else x for x in own])
    for ours, theirs in zip(*found, strict=True):
        if isinstance(theirs, str):
            assert ours == theirs
        else:
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def test_matrices_and_vectors_of_triangles_are_each_others_inverse():
    utils = rushlight.distributions.utils
    vector = rushlight.arange(6, dtype=rushlight.float64)
    matrix = utils.vec_to_tril_matrix(vector)
    assert (
        matrix.tolist()
        == torch.distributions.utils.vec_to_tril_matrix(
            torch.arange(6, dtype=torch.float64)
        ).tolist()
    )
    assert utils.tril_matrix_to_vec(matrix).tolist() == vector.tolist()
    with pytest.raises(ValueError, match="lower triangular part"):
        utils.vec_to_tril_matrix(rushlight.zeros(5))
