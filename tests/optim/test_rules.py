"""Every optimizer follows PyTorch's numbers, step by step, and its saved state crosses over."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight
from rushlight import optim

torch = pytest.importorskip("torch")

SHAPES = ((3, 4), (4,), (2, 1, 4), ())

# (class, options): each branch of each rule once.
CASES = [
    ("SGD", {}),
    ("SGD", {"lr": 0.1, "momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "dampening": 0.3, "weight_decay": 0.1}),
    ("SGD", {"momentum": 0.8, "nesterov": True, "maximize": True}),
    ("Adam", {}),
    ("Adam", {"betas": (0.3, 0.4), "eps": 1e-3, "weight_decay": 0.2}),
    ("Adam", {"amsgrad": True, "maximize": True, "lr": 0.05}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3, "amsgrad": True}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1}),
    ("Adagrad", {"initial_accumulator_value": 0.5, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("Adadelta", {"weight_decay": 0.1}),
    ("Adamax", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1}),
    ("NAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"betas": (0.9, 0.99)}),
    ("RAdam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("ASGD", {"t0": 3, "lambd": 0.01, "weight_decay": 0.1}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-3, 0.02)}),
    ("Adafactor", {"weight_decay": 0.1}),
    ("Adafactor", {"d": 1.5, "maximize": True, "lr": 0.1}),
]
IDS = [f"{name} {options}" for name, options in CASES]

STATEFUL = sorted({name for name, _ in CASES})

# Steps of a few ulps each: the order of roundings differs from PyTorch's fused kernels.
TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "complex64": 2e-6}


def arrays(dtype, seed=0):
    generator = np.random.default_rng(seed)
    values = [generator.standard_normal(shape) for shape in SHAPES]
    if "complex" in dtype:
        values = [value + 1j * generator.standard_normal(value.shape) for value in values]
    return [np.asarray(value, dtype) for value in values]


def gradients(dtype, steps):
    return [arrays(dtype, seed=10 + step) for step in range(steps)]


def trained(lib, name, options, dtype, steps, optimizer=None, params=None):
    """Parameters after each step; gradients are given, so that only the rule is compared."""
    if params is None:
        params = [lib.tensor(value).requires_grad_() for value in arrays(dtype)]
        optimizer = getattr(lib.optim, name)(params, **options)
    path = []
    for step_gradients in gradients(dtype, steps):
        for param, gradient in zip(params, step_gradients):
            param.grad = lib.tensor(gradient)
        optimizer.step()
        path.append([param.detach().numpy().copy() for param in params])
    return path, optimizer, params


def assert_same(expected, got, dtype):
    for step, (theirs, ours) in enumerate(zip(expected, got)):
        for a, b in zip(theirs, ours):
            np.testing.assert_allclose(
                b, a, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype], err_msg=f"step {step}"
            )


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_twelve_steps_equal_pytorchs(name, options, dtype):
    expected = trained(torch, name, options, dtype, 12)[0]
    assert_same(expected, trained(rushlight, name, options, dtype, 12)[0], dtype)


@pytest.mark.parametrize("name", sorted(set(STATEFUL) - {"Adafactor"}))
def test_complex_parameters_equal_pytorchs(name):
    expected = trained(torch, name, {}, "complex64", 5)[0]
    assert_same(expected, trained(rushlight, name, {}, "complex64", 5)[0], "complex64")


def as_arrays(value):
    """A state with tensors as (dtype, array)."""
    if isinstance(value, (torch.Tensor, rushlight.Tensor)):
        return str(value.dtype), value.detach().numpy().copy()
    if isinstance(value, dict):
        return {key: as_arrays(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(as_arrays(item) for item in value)
    return value


def to_library(lib, value):
    """The reverse of `as_arrays`, with tensors of `lib`."""
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[1], np.ndarray):
        return lib.tensor(value[1])
    if isinstance(value, dict):
        return {key: to_library(lib, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(to_library(lib, item) for item in value)
    return value


def assert_same_state(theirs, ours):
    assert type(theirs) is type(ours)
    if isinstance(theirs, dict):
        assert list(theirs) == list(ours)
        for key in theirs:
            assert_same_state(theirs[key], ours[key])
    elif isinstance(theirs, tuple) and len(theirs) == 2 and isinstance(theirs[1], np.ndarray):
        assert theirs[0] == ours[0]
        assert theirs[1].shape == ours[1].shape
        np.testing.assert_allclose(ours[1], theirs[1], rtol=1e-5, atol=1e-6)
    elif isinstance(theirs, (list, tuple)):
        assert len(theirs) == len(ours)
        for a, b in zip(theirs, ours):
            assert_same_state(a, b)
    else:
        assert theirs == ours


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_the_state_dict_has_pytorchs_keys_order_and_values(name, options):
    theirs = trained(torch, name, options, "float32", 3)[1]
    ours = trained(rushlight, name, options, "float32", 3)[1]
    assert_same_state(as_arrays(theirs.state_dict()), as_arrays(ours.state_dict()))


@pytest.mark.parametrize("name, options", CASES, ids=IDS)
def test_training_continues_from_a_checkpoint_of_pytorch(name, options):
    _, theirs, their_params = trained(torch, name, options, "float32", 4)
    state = to_library(rushlight, as_arrays(theirs.state_dict()))
    params = [rushlight.tensor(p.detach().numpy()).requires_grad_() for p in their_params]
    ours = getattr(optim, name)(params, **options)
    ours.load_state_dict(state)
    expected = trained(torch, name, options, "float32", 4, theirs, their_params)[0]
    got = trained(rushlight, name, options, "float32", 4, ours, params)[0]
    assert_same(expected, got, "float32")


@pytest.mark.parametrize("lr", [0.01, "tensor"])
@pytest.mark.parametrize("name", STATEFUL)
def test_a_changed_rate_takes_effect_at_the_next_step(name, lr):
    results = []
    for lib in (torch, rushlight):
        rate = lib.tensor(0.01) if lr == "tensor" else lr
        params = [lib.tensor(value).requires_grad_() for value in arrays("float32")]
        optimizer = getattr(lib.optim, name)(params, lr=rate)
        path = trained(lib, name, {}, "float32", 2, optimizer, params)[0]
        if lr == "tensor":
            optimizer.param_groups[0]["lr"].fill_(0.1)
        else:
            optimizer.param_groups[0]["lr"] = 0.1
        path += trained(lib, name, {}, "float32", 2, optimizer, params)[0]
        results.append(path)
    assert_same(*results, "float32")


@pytest.mark.parametrize("name", STATEFUL)
def test_parameters_that_missed_steps_have_counts_of_their_own(name):
    results = []
    for lib in (torch, rushlight):
        params = [lib.tensor(value).requires_grad_() for value in arrays("float32")]
        optimizer = getattr(lib.optim, name)(params)
        path = []
        for step, step_gradients in enumerate(gradients("float32", 6)):
            for number, (param, gradient) in enumerate(zip(params, step_gradients)):
                param.grad = None if (step + number) % 3 == 0 else lib.tensor(gradient)
            optimizer.step()
            path.append([param.detach().numpy().copy() for param in params])
        results.append(path)
    assert_same(*results, "float32")


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_views_and_transposed_parameters_are_updated_in_place(name):
    results = []
    for lib in (torch, rushlight):
        base = lib.tensor(np.arange(24, dtype=np.float32).reshape(4, 6))
        param = base.t()[1:5].requires_grad_()
        optimizer = getattr(lib.optim, name)([param], lr=0.1)
        for scale in (1.0, -0.5, 2.0):
            param.grad = lib.tensor(np.full((6, 4), scale, np.float32).T.copy()).t()[1:5]
            optimizer.step()
        results.append([[base.detach().numpy().copy(), param.detach().numpy().copy()]])
    assert_same(*results, "float32")


def test_several_dtypes_in_one_group_are_stepped_apart():
    results = []
    for lib in (torch, rushlight):
        params = [lib.tensor(v).requires_grad_() for v in (np.ones(3, "f4"), np.ones(2, "f8"))]
        optimizer = lib.optim.Adam(params, lr=0.1)
        for param in params:
            param.grad = lib.tensor(np.full(param.shape, 0.3, param.detach().numpy().dtype))
        optimizer.step()
        results.append([[param.detach().numpy().copy() for param in params]])
    assert_same(*results, "float32")


def rosenbrock(lib, params):
    x, y = params
    return ((1 - x) ** 2 + 100 * (y - x**2) ** 2).sum()


@pytest.mark.parametrize(
    "options",
    [
        {"lr": 1e-3},
        {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "history_size": 3, "max_iter": 7},
        {"lr": 0.1, "max_iter": 4, "max_eval": 3},
    ],
)
def test_lbfgs_takes_pytorchs_path(options):
    paths = []
    for lib in (torch, rushlight):
        params = [lib.tensor(np.array(v)).requires_grad_() for v in ([-1.5, 0.5], [2.0, -0.3])]
        optimizer = lib.optim.LBFGS(params, **options)

        def closure(lib=lib, params=params, optimizer=optimizer):
            optimizer.zero_grad()
            loss = rosenbrock(lib, params)
            loss.backward()
            return loss

        path = []
        for _ in range(2):
            loss = optimizer.step(closure)
            path.append(
                [loss.detach().numpy().copy()] + [p.detach().numpy().copy() for p in params]
            )
        state = optimizer.state_dict()["state"][0]
        path.append([np.array([state["n_iter"], state["func_evals"]])])
        paths.append(path)
    # Along the curved valley an ulp grows tenfold every second iteration; the numbers of iterations
    # and evaluations show that every decision was the same.
    for theirs, ours in zip(*paths):
        for a, b in zip(theirs, ours):
            np.testing.assert_allclose(b, a, rtol=1e-4)


def test_lbfgs_refuses_groups_and_unknown_searches():
    params = [rushlight.ones(2).requires_grad_() for _ in range(2)]
    with pytest.raises(ValueError, match="LBFGS doesn't support per-parameter options"):
        optim.LBFGS([{"params": [params[0]]}, {"params": [params[1]]}])
    optimizer = optim.LBFGS(params, line_search_fn="golden")

    def closure():
        loss = (params[0] ** 2 + params[1] ** 2).sum()
        loss.backward()
        return loss

    with pytest.raises(RuntimeError, match="only 'strong_wolfe' is supported"):
        optimizer.step(closure)


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}])
@pytest.mark.parametrize("shape", [(4, 6), (6, 3)])
def test_muon_follows_pytorchs(options, shape):
    start, gradient = np.random.default_rng(0).standard_normal((2, *shape)).astype(np.float32)
    results = []
    for lib in (torch, rushlight):
        param = lib.tensor(start).requires_grad_()
        optimizer = lib.optim.Muon([param], lr=0.1, **options)
        for scale in (1.0, 0.5):
            param.grad = lib.tensor(gradient * np.float32(scale))
            optimizer.step()
        results.append(param.detach().numpy().copy())
    # The iteration runs in bfloat16, whose ulp is 2**-8, on values below 1 scaled by the rate.
    np.testing.assert_allclose(results[1], results[0], atol=0.1 * 2**-5)
