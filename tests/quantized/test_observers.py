"""Observers, QConfigs and fake quantization find PyTorch's parameters and print as its own."""

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import rushlight as rl

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def batches():
    rng = np.random.default_rng(0)
    return [(rng.standard_normal((3, 4)) * 2 + 0.3).astype(np.float32) for _ in range(4)]


def _per_channel(T, **options):
    return T.ao.quantization.PerChannelMinMaxObserver(**options)


OBSERVERS = {
    "smallest and largest": lambda T: T.ao.quantization.MinMaxObserver(),
    "symmetric": lambda T: T.ao.quantization.MinMaxObserver(
        dtype=T.qint8, qscheme=T.per_tensor_symmetric
    ),
    "symmetric unsigned": lambda T: T.ao.quantization.MinMaxObserver(
        qscheme=T.per_tensor_symmetric
    ),
    "reduced": lambda T: T.ao.quantization.MinMaxObserver(reduce_range=True),
    "reduced signed": lambda T: T.ao.quantization.MinMaxObserver(dtype=T.qint8, reduce_range=True),
    "a range": lambda T: T.ao.quantization.MinMaxObserver(quant_min=0, quant_max=15),
    "a symmetric range": lambda T: T.ao.quantization.MinMaxObserver(
        quant_min=0, quant_max=15, qscheme=T.per_tensor_symmetric
    ),
    "averages": lambda T: T.ao.quantization.MovingAverageMinMaxObserver(averaging_constant=0.1),
    "channels": lambda T: _per_channel(T, dtype=T.qint8, qscheme=T.per_channel_symmetric),
    "columns": lambda T: _per_channel(T, ch_axis=1),
    "averages of channels": lambda T: T.ao.quantization.MovingAveragePerChannelMinMaxObserver(),
    "fixed": lambda T: T.ao.quantization.FixedQParamsObserver(0.5, 3),
}


def assert_alike(ours, theirs):
    assert repr(ours) == repr(theirs)
    found, expected = ours.state_dict(), theirs.state_dict()
    assert list(found) == list(expected)
    for name in found:
        np.testing.assert_array_equal(found[name].numpy(), expected[name].numpy(), err_msg=name)
    for x, y in zip(ours.calculate_qparams(), theirs.calculate_qparams()):
        np.testing.assert_array_equal(x.numpy(), y.numpy())


@pytest.mark.parametrize("name", OBSERVERS)
def test_observers_find_pytorchs_parameters(name):
    ours, theirs = (OBSERVERS[name](T) for T in (rl, torch))
    assert (ours.quant_min, ours.quant_max) == (theirs.quant_min, theirs.quant_max)
    for x in batches():
        given = rl.tensor(x)
        assert ours(given) is given
        theirs(torch.tensor(x))
        assert_alike(ours, theirs)
    fresh = OBSERVERS[name](rl)
    fresh.load_state_dict(ours.state_dict())
    assert_alike(fresh, theirs)


@pytest.mark.parametrize("name", ["smallest and largest", "channels"])
def test_an_observer_forgets_and_warns_that_it_saw_nothing(name):
    observer = OBSERVERS[name](rl)
    observer(rl.randn(3, 4))
    observer.reset_min_max_vals()
    with pytest.warns(UserWarning, match="must run observer before"):
        scale, zero_point = observer.calculate_qparams()
    assert (scale.tolist(), zero_point.tolist()) == ([1.0], [0])


def test_other_observers():
    Q = rl.ao.quantization
    recording = Q.RecordingObserver()
    recording(rl.ones(2))
    assert recording.get_tensor_value()[0].tolist() == [1.0, 1.0]
    for observer in (recording, Q.PlaceholderObserver(), Q.NoopObserver()):
        with pytest.raises(Exception, match="should not be called"):
            observer.calculate_qparams()
    for T in (rl, torch):
        with pytest.raises(NotImplementedError, match="qscheme only support"):
            T.ao.quantization.MinMaxObserver(qscheme=T.per_channel_affine)
        with pytest.raises(AssertionError, match="must include 0"):
            T.ao.quantization.MinMaxObserver(quant_min=3, quant_max=9)


QCONFIGS = [
    "default_dynamic_qconfig", "per_channel_dynamic_qconfig", "float16_dynamic_qconfig",
    "default_qconfig", "default_per_channel_qconfig", "default_debug_qconfig",
]  # fmt: skip


@pytest.mark.parametrize("name", QCONFIGS)
def test_a_qconfig_reads_as_pytorchs(name):
    ours, theirs = (repr(getattr(T.ao.quantization, name)) for T in (rl, torch))
    assert ours.replace("rushlight.", "torch.") == theirs


def test_a_qconfig_takes_ways_to_make_observers():
    Q = rl.ao.quantization
    with pytest.raises(ValueError, match="received observer instance"):
        Q.QConfig(activation=Q.MinMaxObserver(), weight=Q.MinMaxObserver)
    made = Q.MinMaxObserver.with_args(quant_min=0, quant_max=7).with_args(dtype=rl.qint8)()
    assert (made.quant_max, made.dtype) == (7, rl.qint8)
    counted = Q.MinMaxObserver.with_callable_args(quant_max=lambda: 31, quant_min=lambda: 0)
    assert counted().quant_max == 31


FAKES = {
    "by default": lambda T: T.ao.quantization.FakeQuantize(),
    "activations": lambda T: T.ao.quantization.default_fake_quant(),
    "weights": lambda T: T.ao.quantization.default_weight_fake_quant(),
    "channels": lambda T: T.ao.quantization.default_per_channel_weight_fake_quant(),
}


@pytest.mark.parametrize("name", FAKES)
def test_fake_quantization_follows_pytorch(name):
    modules = [FAKES[name](T) for T in (rl, torch)]
    for step, x in enumerate(batches()):
        outputs = []
        for T, module in zip((rl, torch), modules):
            if step == 2:
                module.disable_observer()
            if step == 3:
                module.disable_fake_quant()
            given = T.tensor(x, requires_grad=True)
            y = module(given)
            (y * T.arange(4.0)).sum().backward()
            outputs.append((y.detach().numpy(), given.grad.numpy()))
        for found, expected in zip(*outputs):
            np.testing.assert_array_equal(found, expected)
        assert_alike(*modules)


def test_the_older_name_is_the_same():
    assert rl.quantization.quantize_dynamic is rl.ao.quantization.quantize_dynamic
    assert rl.quantization.QConfig is rl.ao.quantization.QConfig
