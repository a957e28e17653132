"""Every distribution equals PyTorch's: samples by seed, densities, moments, gradients."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import rushlight  # noqa: E402
from rushlight.base.config import config  # noqa: E402
from tests.distributions.table import TABLE, made  # noqa: E402

CASES = pytest.mark.parametrize(
    ("name", "parameters"), TABLE, ids=[f"{n}-{i}" for i, (n, _) in enumerate(TABLE)]
)
# Differentiating `_standard_gamma_grad`'s surroundings adds the rounding of logarithms only.
CLOSE = {"rtol": 1e-7, "atol": 1e-10}


@pytest.fixture(autouse=True)
def by_reference(monkeypatch):
    """Formulas are compared here, not kernels: nothing is compiled."""
    monkeypatch.setattr(config, "executor", "reference")
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Singular sample detected")
        yield


def seeded(seed=3):
    torch.manual_seed(seed)
    rushlight.manual_seed(seed)


def outcome(function):
    """The values, or the type of the error."""
    try:
        value = function()
    except (NotImplementedError, ValueError, RuntimeError) as error:
        return type(error)
    return value.detach().numpy()


def assert_same(ours, theirs, label):
    if theirs is RuntimeError:
        return  # PyTorch's fault: its generalized Pareto fails in double precision
    if isinstance(theirs, type):
        assert ours is theirs, label
        return
    assert not isinstance(ours, type), f"{label}: raised {ours}"
    assert ours.dtype == theirs.dtype, label
    np.testing.assert_allclose(ours, theirs, err_msg=label, **CLOSE)


@CASES
def test_samples_by_seed_are_pytorchs(name, parameters):
    ours, _ = made(rushlight, name, parameters)
    theirs, _ = made(torch, name, parameters)
    seeded()
    for shape in ((), (5,), (2, 3)):
        assert_same(ours.sample(shape).numpy(), theirs.sample(shape).numpy(), f"sample {shape}")
    assert rushlight.rand(1).item() == torch.rand(1).item()  # the stream goes on from one place


@CASES
def test_values_and_gradients_are_pytorchs(name, parameters):
    ours, our_leaves = made(rushlight, name, parameters)
    theirs, their_leaves = made(torch, name, parameters)
    torch.manual_seed(5)
    points = theirs.sample((4,))
    own_points = rushlight.tensor(points.numpy())
    for attribute in ("mean", "variance", "mode", "stddev"):
        pair = [outcome(functools.partial(getattr, d, attribute)) for d in (ours, theirs)]
        assert_same(*pair, attribute)
    for method in ("entropy", "enumerate_support"):
        assert_same(*(outcome(getattr(d, method)) for d in (ours, theirs)), method)
    quantiles = np.array([[0.1], [0.5], [0.9]])
    for method, mine, other in (
        ("cdf", own_points, points),
        ("icdf", rushlight.tensor(quantiles), torch.tensor(quantiles)),
        ("log_prob", own_points, points),
    ):
        pair = [outcome(functools.partial(getattr(ours, method), mine))]
        pair.append(outcome(functools.partial(getattr(theirs, method), other)))
        assert_same(*pair, method)
    if name == "GeneralizedPareto":
        return  # PyTorch's log_prob fails in double precision
    ours.log_prob(own_points).sum().backward()
    theirs.log_prob(points).sum().backward()
    for key, leaf in their_leaves.items():
        mine = our_leaves[key].grad
        assert (mine is None) == (leaf.grad is None), key
        if mine is not None:
            assert_same(mine.numpy(), leaf.grad.numpy(), f"gradient of log_prob for {key}")


@CASES
def test_expanding_repr_support_and_checks_are_pytorchs(name, parameters):
    ours, _ = made(rushlight, name, parameters, follow=False)
    theirs, _ = made(torch, name, parameters, follow=False)
    assert repr(ours) == repr(theirs)
    assert str(ours.support) == str(theirs.support)
    assert sorted(ours.arg_constraints) == sorted(theirs.arg_constraints)
    assert tuple(ours.batch_shape) == tuple(theirs.batch_shape)
    assert tuple(ours.event_shape) == tuple(theirs.event_shape)
    assert ours.has_rsample == theirs.has_rsample
    wide, wide_theirs = (d.expand((3, *d.batch_shape)) for d in (ours, theirs))
    seeded()
    assert type(wide) is type(ours)
    assert_same(wide.sample((2,)).numpy(), wide_theirs.sample((2,)).numpy(), "expanded")
    wrong = rushlight.full_like(ours.sample().double(), float("nan"))
    with pytest.raises(ValueError, match="within the support"):
        ours.log_prob(wrong)
    unfit = {
        key: (np.asarray(value) * np.nan).tolist() if isinstance(value, list) else value
        for key, value in parameters.items()
    }
    pair = []
    for library in (rushlight, torch):
        try:
            made(library, name, unfit)
            pair.append("accepted")
        except (ValueError, RuntimeError):
            pair.append("refused")
    assert pair[0] == pair[1]


@pytest.mark.parametrize(
    ("name", "parameters"),
    # PyTorch's Wishart draws again in place, and its backward refuses that.
    [(n, p) for n, p in TABLE if made(torch, n, p)[0].has_rsample and n != "Wishart"],
    ids=str,
)
def test_gradients_of_samples_are_pytorchs(name, parameters):
    found = []
    for library in (rushlight, torch):
        distribution, leaves = made(library, name, parameters)
        library.manual_seed(3)
        sample = distribution.rsample((6,))
        weights = np.linspace(0.5, 1.5, sample.numel()).reshape(tuple(sample.shape))
        (sample * library.tensor(weights)).sum().backward()
        found.append({key: leaf.grad for key, leaf in leaves.items()})
    for key, theirs in found[1].items():
        ours = found[0][key]
        assert (ours is None) == (theirs is None), key
        if theirs is not None:
            assert_same(ours.numpy(), theirs.numpy(), key)


@pytest.mark.parametrize("first", range(len(TABLE)), ids=[n for n, _ in TABLE])
def test_divergences_from_it_are_pytorchs(first):
    """All pairs: the same values, and no rule where PyTorch has none."""
    name, parameters = TABLE[first]
    ours, _ = made(rushlight, name, parameters)
    theirs, _ = made(torch, name, parameters)
    for other_name, other_parameters in TABLE:
        moved = {
            key: (np.asarray(value) * (0.9 if key == "probs" else 1.1)).tolist()
            if isinstance(value, list)
            else value
            for key, value in other_parameters.items()
        }
        pair = []
        for library, own in ((rushlight, ours), (torch, theirs)):
            other, _ = made(library, other_name, moved)
            divergence = library.distributions.kl_divergence
            pair.append(outcome(lambda: divergence(own, other)))  # noqa: B023
        assert_same(*pair, f"{name} to {other_name}")


def test_samples_in_single_precision_have_pytorchs_bits():
    for name, parameters in TABLE:
        if name in ("Gamma", "Dirichlet", "Beta", "Binomial", "Poisson", "Exponential", "Normal"):
            seeded()
            pair = [
                made(lib, name, parameters, "float32")[0].sample((50,))
                for lib in (rushlight, torch)
            ]
            assert (pair[0].numpy() == pair[1].numpy()).all(), name


def test_a_rule_for_subclasses_is_found_and_can_be_registered():
    d = rushlight.distributions

    class Mine(d.Normal):
        pass

    one, other = Mine(1.0, 1.0), d.Normal(0.0, 1.0)
    assert d.kl_divergence(one, other).item() == 0.5
    d.register_kl(Mine, Mine)(lambda p, q: "ours")
    assert d.kl_divergence(one, one) == "ours"
    assert d.kl_divergence(one, other).item() == 0.5


def test_defaults_of_validation_can_be_changed():
    d = rushlight.distributions
    d.Distribution.set_default_validate_args(False)
    try:
        d.Normal(0.0, -1.0)
    finally:
        d.Distribution.set_default_validate_args(True)
    with pytest.raises(ValueError, match="Expected parameter scale"):
        d.Normal(0.0, -1.0)


def test_a_policy_gradient_step_runs_as_in_pytorch():
    """The use that most programs make: sample, log_prob, entropy, backward."""
    found = []
    for library in (rushlight, torch):
        logits = library.tensor([[0.1, -1.0, 2.0], [0.0, 0.5, -0.5]], requires_grad=True)
        library.manual_seed(0)
        policy = library.distributions.Categorical(logits=logits)
        action = policy.sample()
        loss = -(policy.log_prob(action) * 2.0 + 0.01 * policy.entropy()).mean()
        loss.backward()
        found.append((action.tolist(), logits.grad.numpy()))
    assert found[0][0] == found[1][0]
    np.testing.assert_allclose(found[0][1], found[1][1], rtol=1e-5, atol=1e-7)
