"""Averaged models and the recomputation of batch statistics, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch")


def network(lib):
    lib.manual_seed(5)
    return lib.nn.Sequential(lib.nn.Linear(3, 4), lib.nn.BatchNorm1d(4), lib.nn.Linear(4, 2))


def batches(lib):
    generator = np.random.default_rng(1)
    return [lib.tensor(generator.standard_normal((6, 3)).astype(np.float32)) for _ in range(4)]


def averaging(lib, **options):
    """State of an averaged model after three updates, and the average's output."""
    swa = lib.optim.swa_utils
    functions = {
        "ema": swa.get_ema_avg_fn,
        "ema multi": swa.get_ema_multi_avg_fn,
        "swa": swa.get_swa_avg_fn,
        "swa multi": swa.get_swa_multi_avg_fn,
    }
    name = options.pop("average", None)
    if name is not None:
        keyword = "multi_avg_fn" if name.endswith("multi") else "avg_fn"
        options[keyword] = functions[name](0.7) if name.startswith("ema") else functions[name]()
    model = network(lib)
    averaged = swa.AveragedModel(model, **options)
    optimizer = lib.optim.SGD(model.parameters(), lr=0.1)
    for x in batches(lib)[:3]:
        optimizer.zero_grad()
        (model(x) ** 2).sum().backward()
        optimizer.step()
        averaged.update_parameters(model)
    swa.update_bn(batches(lib), averaged)
    averaged.eval()
    result = {name: value.detach().numpy() for name, value in averaged.state_dict().items()}
    result["output"] = averaged(batches(lib)[3]).detach().numpy()
    return result


@pytest.mark.parametrize("average", [None, "ema", "ema multi", "swa", "swa multi"])
@pytest.mark.parametrize("use_buffers", [False, True])
def test_an_averaged_model_equals_pytorchs(average, use_buffers):
    if use_buffers and average == "swa multi":
        pytest.skip("PyTorch refuses to divide the integer buffer of BatchNorm")
    expected = averaging(torch, average=average, use_buffers=use_buffers)
    got = averaging(rushlight, average=average, use_buffers=use_buffers)
    assert list(got) == list(expected)
    for name in expected:
        assert got[name].dtype == expected[name].dtype
        np.testing.assert_allclose(got[name], expected[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_bad_options_are_refused():
    swa = rushlight.optim.swa_utils
    with pytest.raises(ValueError, match=r"Invalid decay value 1\.5"):
        swa.get_ema_avg_fn(1.5)
    with pytest.raises(AssertionError, match="Only one of avg_fn and multi_avg_fn"):
        swa.AveragedModel(network(rushlight), avg_fn=max, multi_avg_fn=max)
