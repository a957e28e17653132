"""Static quantization in eager mode gives PyTorch's scales and, with those, its codes."""

import io
import subprocess
import sys
import warnings

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

import rushlight as rl
from rushlight.ao.quantization.histogram_observer import HistogramObserver

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")


def network(T):
    nn = T.nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            Q = T.ao.quantization
            self.quant, self.dequant = Q.QuantStub(), Q.DeQuantStub()
            self.conv, self.norm, self.relu = (
                nn.Conv2d(3, 8, 3, padding=1),
                nn.BatchNorm2d(8),
                (nn.ReLU()),
            )
            self.second = nn.Conv2d(8, 8, 3, padding=1, groups=2, bias=False)
            self.add = T.ao.nn.quantized.FloatFunctional()
            self.pool, self.mean = nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(2)
            self.lin, self.relu2, self.drop = nn.Linear(32, 16), nn.ReLU(), nn.Dropout()
            self.out = nn.Linear(16, 5)

        def forward(self, x):
            x = self.relu(self.norm(self.conv(self.quant(x))))
            x = self.pool(self.add.add(x, self.second(x)))
            x = self.drop(self.relu2(self.lin(T.flatten(self.mean(x), 1))))
            return self.dequant(self.out(x))

    T.manual_seed(0)
    return Net().eval()


def batches():
    values = np.random.RandomState(0).randn(4, 2, 3, 8, 8)
    return (values * np.arange(1, 5).reshape(4, 1, 1, 1, 1)).astype(np.float32)


def converted(T, backend):
    Q = T.ao.quantization
    model = network(T)
    model.qconfig = Q.default_qconfig if backend is None else Q.get_default_qconfig(backend)
    fused = Q.fuse_modules(model, [["conv", "norm", "relu"], ["lin", "relu2"]])
    prepared = Q.prepare(fused)
    for batch in batches():
        prepared(T.tensor(batch))
    return Q.convert(prepared)


@pytest.mark.parametrize("backend", [None, "x86", "qnnpack"])
def test_a_network_is_quantized_as_pytorch_does(backend):
    ours, theirs = converted(rl, backend), converted(torch, backend)
    mine, his = ours.state_dict(), theirs.state_dict()
    assert list(mine) == list(his)
    for name, value in his.items():
        if name.endswith("zero_point"):
            assert int(mine[name]) == int(value), name
        elif name.endswith("scale"):  # of what float layers gave, which round differently
            assert float(mine[name]) == pytest.approx(float(value), rel=1e-6), name
    assert [type(m).__name__ for m in ours.modules()] == [
        type(m).__name__ for m in theirs.modules()
    ]
    x = batches()[1]
    found, wanted = ours(rl.tensor(x)).numpy(), theirs(torch.tensor(x)).numpy()
    assert np.abs(found - wanted).max() <= theirs.out.scale * 1.001


def as_ours(x):
    codes = rl.from_numpy(x.int_repr().numpy())
    if x.qscheme() in (torch.per_tensor_affine, torch.per_tensor_symmetric):
        return rl._make_per_tensor_quantized_tensor(codes, x.q_scale(), x.q_zero_point())
    return rl._make_per_channel_quantized_tensor(
        codes, rl.from_numpy(x.q_per_channel_scales().numpy()),
        rl.from_numpy(x.q_per_channel_zero_points().numpy()), x.q_per_channel_axis(),
    )  # fmt: skip


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("kind", ["linear", "conv1d", "conv2d", "conv3d", "grouped"])
def test_layers_give_pytorchs_codes(kind, relu, per_channel):
    torch.manual_seed(1)
    nnq, nniq = torch.ao.nn.quantized, torch.ao.nn.intrinsic.quantized
    mine, mineq = rl.ao.nn.quantized, rl.ao.nn.intrinsic.quantized
    if kind == "linear":
        x, made = torch.randn(5, 40), (nniq.LinearReLU if relu else nnq.Linear, (40, 30))
        other = mineq.LinearReLU if relu else mine.Linear
    else:
        axes = {"conv1d": 1, "conv3d": 3}.get(kind, 2)
        name = f"ConvReLU{axes}d" if relu else f"Conv{axes}d"
        x = torch.randn(2, 8, *[9, 7, 5][:axes])
        options = (8, 6, 3, 2, 1, 1, 2 if kind == "grouped" else 1)
        made = getattr(nniq if relu else nnq, name), options
        other = getattr(mineq if relu else mine, name)
    theirs, ours = made[0](*made[1]), other(*made[1])
    weight = torch.randn(theirs.weight().shape) * 0.3
    if per_channel:
        scales = weight.flatten(1).abs().amax(1) / 127.5
        packed = torch.quantize_per_channel(
            weight, scales, torch.zeros(len(scales), dtype=torch.long), 0, torch.qint8
        )
    else:
        packed = torch.quantize_per_tensor(
            weight, float(weight.abs().max()) / 127.5, 0, torch.qint8
        )
    bias = torch.randn(weight.shape[0])
    theirs.set_weight_bias(packed, bias)
    ours.set_weight_bias(as_ours(packed), rl.from_numpy(bias.numpy()))
    for layer in (ours, theirs):
        layer.scale, layer.zero_point = 0.11, 61
    codes = torch.quantize_per_tensor(x, 0.05, 59, torch.quint8)
    found, wanted = ours(as_ours(codes)), theirs(codes)
    assert found.q_scale() == wanted.q_scale() and found.q_zero_point() == wanted.q_zero_point()
    np.testing.assert_array_equal(found.int_repr().numpy(), wanted.int_repr().numpy())
    # bias is in float32 units of one product: no code may differ, and the text is the same
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize("name", ["max_pool2d", "avg_pool2d", "adaptive_avg_pool2d",
                                  "interpolate", "leaky_relu", "relu6", "hardtanh"])  # fmt: skip
def test_functions_of_codes_give_pytorchs(name):
    torch.manual_seed(0)
    x = torch.quantize_per_tensor(torch.randn(2, 3, 8, 8) * 3, 0.03, 61, torch.quint8)
    args = {"interpolate": (None, 2.0, "bilinear"), "leaky_relu": (0.2,), "relu6": (),
            "hardtanh": (-1.0, 1.0)}.get(name, (2,))  # fmt: skip
    wanted = getattr(torch.nn.functional, name)(x, *args)
    found = getattr(rl.nn.functional, name)(as_ours(x), *args)
    np.testing.assert_array_equal(found.int_repr().numpy(), wanted.int_repr().numpy())


def test_functions_of_codes_need_no_quantized_layer_before():
    program = """
import rushlight as torch
x = torch.quantize_per_tensor(torch.arange(16.0).reshape(1, 1, 4, 4), 0.5, 3, torch.quint8)
print(torch.nn.functional.avg_pool2d(x, 2).int_repr().tolist())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "[[[[8, 12], [24, 28]]]]\n", done.stderr


@pytest.mark.parametrize("symmetric", [False, True])
def test_a_histogram_chooses_pytorchs_range(symmetric):
    for seed in range(3):
        values = np.random.RandomState(seed).standard_cauchy((5, 300)).astype(np.float32)
        found = []
        for T in (rl, torch):
            scheme = T.per_tensor_symmetric if symmetric else T.per_tensor_affine
            observer = T.ao.quantization.HistogramObserver(qscheme=scheme)
            for row in values:
                observer(T.tensor(row))
            found.append([float(part) for part in observer.calculate_qparams()])
        assert found[0] == pytest.approx(found[1], rel=1e-6)


def test_a_constant_before_a_wider_batch_is_kept():
    observer = HistogramObserver()
    observer(rl.ones(7))
    observer(rl.tensor([0.0, 4.0]))
    assert float(observer.histogram.sum()) == 9.0
    assert (observer.min_val.item(), observer.max_val.item()) == (0.0, 4.0)


def test_a_quantized_network_is_saved_and_loaded():
    made = converted(rl, "x86")
    buffer = io.BytesIO()
    rl.save(made.state_dict(), buffer)
    buffer.seek(0)
    other = converted(rl, None)
    other.load_state_dict(rl.load(buffer))
    x = rl.tensor(batches()[2])
    assert bool((other(x) == made(x)).all())


def test_what_cannot_be_quantized_says_so():
    Q = rl.ao.quantization
    with pytest.raises(NotImplementedError, match="Cannot fuse modules: ReLU, Linear"):
        Q.fuse_modules(rl.nn.Sequential(rl.nn.ReLU(), rl.nn.Linear(2, 2)), ["0", "1"])
    training = rl.nn.Sequential(rl.nn.Conv2d(1, 1, 1), rl.nn.BatchNorm2d(1))
    with pytest.raises(AssertionError, match="must be in evaluation"):
        Q.fuse_modules(training, ["0", "1"])
    with pytest.raises(NotImplementedError, match="put a QuantStub before"):
        rl.ao.nn.quantized.Linear(2, 2)(rl.ones(1, 2))
    with pytest.raises(AssertionError, match="backend: cuda not supported"):
        Q.get_default_qconfig("cuda")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        Q.prepare(rl.nn.Linear(2, 2))
    assert "None of the submodule got qconfig" in str(caught[-1].message)


def test_a_wrapper_and_layers_left_in_numbers():
    Q = rl.ao.quantization
    model = Q.QuantWrapper(rl.nn.Sequential(rl.nn.Linear(4, 4), rl.nn.ReLU())).eval()
    model.qconfig = Q.default_qconfig
    prepared = Q.prepare(model)
    x = rl.randn(6, 4)
    before = prepared(x)
    made = Q.convert(prepared)
    assert type(made.module[0]) is rl.ao.nn.quantized.Linear
    assert float((made(x) - before).abs().max()) < 0.1
    assert not [m for m in made.modules() if "Observer" in type(m).__name__]
