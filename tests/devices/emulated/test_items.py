"""Convolutions, sorts and recurrent layers as kernels of the device: the CPU's bits, nothing sent
through the host."""

from __future__ import annotations

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.base.stats import stats
from rushlight.nn import functional as F

GENERATOR = np.random.default_rng(0)


def _normal(*shape: int, dtype: str = "float32"):
    return torch.tensor(GENERATOR.standard_normal(shape).astype(dtype))


def _same(one, other) -> None:
    assert one.shape == other.shape and other.device.type == "cuda"
    assert one.detach().numpy().tobytes() == other.detach().cpu().numpy().tobytes()


def _on_both(function, *tensors) -> None:
    """The results of a function, and gradients of their sum of squares, on both devices."""
    found = []
    for place in ("cpu", "cuda"):
        operands = [t.detach().to(place) for t in tensors]
        for operand in operands:
            operand.requires_grad_(operand.dtype.is_floating_point)
        stats.reset()
        results = function(*operands)
        results = results if isinstance(results, tuple) else (results,)
        given = [r for r in results if r.requires_grad]
        if given:
            sum((r * r).sum() for r in given).backward()
        gradients = [o.grad for o in operands if o.grad is not None]
        values = [*results, *gradients]
        for value in values:
            value.sum().item()
        if place == "cuda":
            assert stats.host_steps == 0, stats.fallback_reasons
        found.append(values)
    for one, other in zip(*found, strict=True):
        _same(one, other)


CONVOLUTIONS = {
    "several tiles": lambda: (F.conv2d, _normal(3, 5, 11, 13), _normal(70, 5, 3, 3), {}),
    "a long sum": lambda: (F.conv1d, _normal(2, 70, 40), _normal(4, 70, 9), {"padding": 4}),
    "groups": lambda: (
        F.conv2d, _normal(2, 6, 9, 8), _normal(9, 2, 2, 3),
        {"groups": 3, "stride": (2, 1), "dilation": (1, 2)},
    ),
    "depthwise": lambda: (F.conv2d, _normal(2, 7, 12, 12), _normal(7, 1, 5, 5), {"groups": 7}),
    "strided": lambda: (F.conv2d, _normal(4, 3, 16, 16), _normal(8, 3, 3, 3), {"stride": 2}),
    "transposed": lambda: (
        F.conv_transpose2d, _normal(2, 4, 5, 6), _normal(4, 3, 3, 3), {"stride": 2, "padding": 1},
    ),
    "volumes": lambda: (F.conv3d, _normal(2, 2, 4, 5, 6), _normal(3, 2, 2, 2, 2), {"padding": 1}),
    "float64": lambda: (
        F.conv2d, _normal(1, 3, 9, 9, dtype="float64"), _normal(4, 3, 3, 3, dtype="float64"), {},
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_a_convolution_and_its_gradients_are_kernels(name: str) -> None:
    function, x, w, options = CONVOLUTIONS[name]()
    _on_both(lambda x, w: function(x, w, **options), x, w)


def _rows(dtype: str, *shape: int):
    values = GENERATOR.integers(-40, 40, shape)
    if "float" not in dtype:
        return torch.tensor(values.astype(dtype))
    values = values.astype(dtype)
    flat = values.reshape(-1)
    flat[::17], flat[1::23], flat[2::29] = np.nan, -0.0, np.inf
    return torch.tensor(values)


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize(
    ("dtype", "shape", "dim"),
    [
        ("float32", (3, 65), 1), ("float32", (2500,), 0), ("float64", (2, 1100), 1),
        ("int64", (1030, 2), 0), ("int16", (4100,), 0), ("uint8", (2, 300, 2), 1),
    ],
)  # fmt: skip
def test_a_sort_of_long_rows_is_kernels(dtype: str, shape, dim: int, descending: bool) -> None:
    x = _rows(dtype, *shape)
    stats.reset()
    order = x.cuda().argsort(dim, descending, stable=True)
    _same(x.argsort(dim, descending, stable=True), order)
    assert stats.host_steps == 0, stats.fallback_reasons


def test_topk_is_kernels() -> None:
    x = _rows("float32", 2, 1500)
    stats.reset()
    found = x.cuda().topk(5)
    for one, other in zip(x.topk(5), found):
        _same(one, other)
    assert stats.host_steps == 0, stats.fallback_reasons


@pytest.mark.parametrize(
    "make",
    [
        lambda: nn.LSTM(5, 130),
        lambda: nn.LSTM(4, 6, bidirectional=True, proj_size=3),
        lambda: nn.GRU(3, 140, bias=False),
        lambda: nn.RNN(3, 7, nonlinearity="relu"),
        lambda: nn.GRU(3, 520),
    ],
    ids=["lstm", "projected", "gru", "relu", "long sums"],
)
def test_a_recurrent_layer_is_kernels(make) -> None:
    torch.manual_seed(0)
    layer = make()
    x = _normal(3, 2, layer.input_size)
    twin = make().to("cuda")
    twin.load_state_dict(layer.state_dict())
    stats.reset()
    for module, given in ((layer, x), (twin, x.cuda())):
        output, _ = module(given)
        (output * output).sum().backward()
    pairs = [(layer(x)[0], twin(x.cuda())[0])]
    pairs += [(p.grad, q.grad) for p, q in zip(layer.parameters(), twin.parameters(), strict=True)]
    for one, other in pairs:
        _same(one, other)
    assert stats.host_steps == 0, stats.fallback_reasons


def test_packed_sequences_are_kernels() -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(3, 4, bidirectional=True)
    twin = nn.LSTM(3, 4, bidirectional=True).to("cuda")
    twin.load_state_dict(layer.state_dict())
    found = []
    for module in (layer, twin):
        place = next(module.parameters()).device
        sequences = [_ramp(n, 3).to(place) for n in (5, 3, 3, 1)]
        packed = nn.utils.rnn.pack_sequence(sequences)
        assert packed.batch_sizes.device.type == "cpu"
        output, (h, c) = module(packed)
        (output.data.sum() + h.sum() + c.sum()).backward()
        found.append([output.data, h, c, *[p.grad for p in module.parameters()]])
    for one, other in zip(*found):
        _same(one, other)


def _ramp(n: int, width: int):
    return torch.arange(n * width, dtype=torch.float32).reshape(n, width).sin()
