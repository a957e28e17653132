"""Learning-rate schedules against PyTorch: rates, momenta, saved state, warnings and errors."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import rushlight
from rushlight import optim

torch = pytest.importorskip("torch")

SCHEDULES = {
    "LambdaLR": lambda ns, o: ns.LambdaLR(o, [lambda e: 0.95**e, lambda e: 1 / (1 + e)]),
    "MultiplicativeLR": lambda ns, o: ns.MultiplicativeLR(o, lambda e: 0.95),
    "StepLR": lambda ns, o: ns.StepLR(o, 3, 0.5),
    "MultiStepLR": lambda ns, o: ns.MultiStepLR(o, [2, 5, 5, 9], 0.3),
    "ConstantLR": lambda ns, o: ns.ConstantLR(o, 0.5, 4),
    "LinearLR": lambda ns, o: ns.LinearLR(o, 0.1, 0.8, 7),
    "ExponentialLR": lambda ns, o: ns.ExponentialLR(o, 0.9),
    "PolynomialLR": lambda ns, o: ns.PolynomialLR(o, 8, 1.7),
    "CosineAnnealingLR": lambda ns, o: ns.CosineAnnealingLR(o, 5, 1e-3),
    "CosineAnnealingWarmRestarts": lambda ns, o: ns.CosineAnnealingWarmRestarts(o, 3, 2, 1e-4),
    "CyclicLR": lambda ns, o: ns.CyclicLR(o, 1e-3, 0.1, 3, 4, mode="triangular2"),
    "CyclicLR by function": lambda ns, o: ns.CyclicLR(
        o, 1e-3, [0.1, 0.2], 3, scale_fn=lambda x: 0.9**x, scale_mode="iterations"
    ),
    "CyclicLR exp_range": lambda ns, o: ns.CyclicLR(o, 1e-3, 0.1, 4, mode="exp_range", gamma=0.97),
    "OneCycleLR": lambda ns, o: ns.OneCycleLR(o, 0.1, total_steps=20),
    "OneCycleLR three phases": lambda ns, o: ns.OneCycleLR(
        o, [0.1, 0.2], epochs=4, steps_per_epoch=5, anneal_strategy="linear", three_phase=True
    ),
    "SequentialLR": lambda ns, o: ns.SequentialLR(
        o,
        [ns.ConstantLR(o, 0.1, 3), ns.ExponentialLR(o, 0.9), ns.StepLR(o, 2)],
        milestones=[4, 9],
    ),
    "ChainedScheduler": lambda ns, o: ns.ChainedScheduler(
        [ns.LinearLR(o, 0.2, total_iters=6), ns.ExponentialLR(o, 0.95)]
    ),
    "ReduceLROnPlateau": lambda ns, o: ns.ReduceLROnPlateau(o, patience=1, cooldown=1),
    "ReduceLROnPlateau max": lambda ns, o: ns.ReduceLROnPlateau(
        o, "max", 0.5, 1, threshold_mode="abs", min_lr=[1e-3, 1e-4]
    ),
}
METRIC = [5, 4, 4, 4.1, 4, 4, 3, 3, 3, 3.5, 3, 3, 2, 2, 2, 2, 2, 2]


def optimizer_of(lib, kind="SGD", tensor_rate=False):
    params = [lib.tensor([1.0]).requires_grad_() for _ in range(2)]
    rates = (0.05, 0.02)
    groups = [
        {"params": [p], "lr": lib.tensor(lr) if tensor_rate else lr} for p, lr in zip(params, rates)
    ]
    more = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(lib.optim, kind)(groups, lr=0.05, **more)


def values(optimizer):
    return [
        (float(group["lr"]), float(group.get("momentum", group.get("betas", (0,))[0])))
        for group in optimizer.param_groups
    ]


def run(lib, name, kind="SGD", steps=18, tensor_rate=False):
    optimizer = optimizer_of(lib, kind, tensor_rate)
    scheduler = SCHEDULES[name](lib.optim.lr_scheduler, optimizer)
    path = []
    for metric in METRIC[:steps]:
        path.append(values(optimizer) + [(float(lr), 0.0) for lr in scheduler.get_last_lr()])
        optimizer.step()
        scheduler.step(*([metric] if "Plateau" in name else []))
    return np.array(path), scheduler, optimizer


@pytest.mark.parametrize("kind", ["SGD", "Adam"])
@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_and_momenta_equal_pytorchs(name, kind):
    np.testing.assert_allclose(
        run(rushlight, name, kind)[0], run(torch, name, kind)[0], rtol=1e-12, atol=1e-15
    )


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates_in_tensors_equal_pytorchs(name):
    if name.startswith(("CyclicLR", "OneCycleLR")):
        pytest.skip("covered by numbers; these set the rate from their own bounds")
    ours, _, optimizer = run(rushlight, name, tensor_rate=True)
    assert all(isinstance(group["lr"], rushlight.Tensor) for group in optimizer.param_groups)
    np.testing.assert_allclose(ours, run(torch, name, tensor_rate=True)[0], rtol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_saved_state_has_pytorchs_keys_and_continues(name):
    _, theirs, _ = run(torch, name, steps=6)
    path = run(rushlight, name)[0]
    _, ours_midway, optimizer_midway = run(rushlight, name, steps=6)
    saved = ours_midway.state_dict()
    expected = set(theirs.state_dict()) - {"_is_initial"}
    assert set(saved) - {"_is_initial"} == expected
    fresh_optimizer = optimizer_of(rushlight)
    fresh = SCHEDULES[name](rushlight.optim.lr_scheduler, fresh_optimizer)
    fresh_optimizer.load_state_dict(optimizer_midway.state_dict())
    fresh.load_state_dict(saved)
    for step in range(6, len(path)):
        assert values(fresh_optimizer) == [tuple(v) for v in path[step][:2]]
        fresh_optimizer.step()
        fresh.step(*([METRIC[step]] if "Plateau" in name else []))


@pytest.mark.parametrize("name", ["StepLR", "MultiStepLR", "CosineAnnealingLR", "LinearLR"])
def test_the_deprecated_epoch_gives_the_closed_form(name):
    paths = []
    for lib in (torch, rushlight):
        optimizer = optimizer_of(lib)
        scheduler = SCHEDULES[name](lib.optim.lr_scheduler, optimizer)
        optimizer.step()
        with pytest.warns(UserWarning, match="The epoch parameter in `scheduler.step\\(\\)`"):
            scheduler.step(6)
        paths.append(values(optimizer))
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-12)


def test_warm_restarts_take_fractions_of_epochs():
    paths = []
    for lib in (torch, rushlight):
        optimizer = optimizer_of(lib)
        scheduler = SCHEDULES["CosineAnnealingWarmRestarts"](lib.optim.lr_scheduler, optimizer)
        path = []
        for epoch in (0, 0.5, 2.9, 3.0, 5.5, 9.25, 30):
            scheduler.step(epoch)
            path.append(values(optimizer))
        paths.append(path)
    np.testing.assert_allclose(paths[1], paths[0], rtol=1e-12)


def test_stepping_the_schedule_first_is_warned_of():
    optimizer = optimizer_of(rushlight)
    scheduler = optim.lr_scheduler.StepLR(optimizer, 2)
    with pytest.warns(UserWarning, match="`lr_scheduler.step\\(\\)` before `optimizer.step\\(\\)`"):
        scheduler.step()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        optimizer.step()
        scheduler.step()


def test_get_lr_outside_a_step_is_warned_of():
    scheduler = optim.lr_scheduler.ExponentialLR(optimizer_of(rushlight), 0.9)
    with pytest.warns(UserWarning, match="please use `get_last_lr\\(\\)`"):
        scheduler.get_lr()


def test_resuming_needs_initial_rates():
    with pytest.raises(KeyError, match="param 'initial_lr' is not specified in param_groups"):
        optim.lr_scheduler.StepLR(optimizer_of(rushlight), 2, last_epoch=3)


NS = optim.lr_scheduler


@pytest.mark.parametrize(
    "make, error, message",
    [
        (lambda o: NS.StepLR(3, 2), TypeError, "int is not an Optimizer"),
        (lambda o: NS.LambdaLR(o, [lambda e: e]), ValueError, "Expected 2 lr_lambdas, but got 1"),
        (lambda o: NS.MultiplicativeLR(o, 0.5), TypeError, "lr_lambda should be a function"),
        (lambda o: NS.ConstantLR(o, 1.5), ValueError, "expected to be between 0 and 1"),
        (lambda o: NS.LinearLR(o, 0.0), ValueError, "expected to be greater than 0"),
        (lambda o: NS.ReduceLROnPlateau(o, factor=1.0), ValueError, "Factor should be < 1.0"),
        (lambda o: NS.ReduceLROnPlateau(o, "best"), ValueError, "mode best is unknown"),
        (lambda o: NS.ReduceLROnPlateau(o, min_lr=[0]), ValueError, "expected 2 min_lrs, got 1"),
        (lambda o: NS.OneCycleLR(o, 0.1), ValueError, "You must define either total_steps"),
        (lambda o: NS.OneCycleLR(o, 0.1, 0), ValueError, "Expected positive integer total_steps"),
        (lambda o: NS.CyclicLR(o, 0.1, [1]), ValueError, "must have the same length"),
        (lambda o: NS.CyclicLR(o, 0.1, 1, mode="no"), ValueError, "mode is invalid"),
        (lambda o: NS.CosineAnnealingWarmRestarts(o, 0), ValueError, "Expected positive integer"),
        (lambda o: NS.SequentialLR(o, [], []), ValueError, "expects at least one scheduler"),
        (lambda o: NS.ChainedScheduler([]), ValueError, "expects at least one scheduler"),
    ],
)
def test_bad_options_are_refused(make, error, message):
    with pytest.raises(error, match=message):
        make(optimizer_of(rushlight))


def test_one_cycle_cannot_be_stepped_past_its_end():
    optimizer = optimizer_of(rushlight)
    scheduler = NS.OneCycleLR(optimizer, 0.1, total_steps=2)
    with pytest.raises(ValueError, match="Tried to step 3 times"):
        for _ in range(3):
            optimizer.step()
            scheduler.step()
