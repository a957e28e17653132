"""Models as ONNX, run by onnxruntime, give what they give here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn
from rushlight.nn import functional as F

runtime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnx")


class Mixed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv1d(4, 8, 3, padding=1, groups=2)
        self.norm = nn.GroupNorm(2, 8)
        self.rnn = nn.GRU(8, 6, 2, batch_first=True, bidirectional=True)
        self.table = nn.Embedding(5, 12)

    def forward(self, x: Any) -> Any:
        x = F.gelu(self.norm(self.conv(x))).transpose(1, 2)
        x, h = self.rnn(x)
        x = x + self.table(rushlight.tensor([1, 3, 0])).mean(0)
        y = x[:, 1:, None].squeeze(2)
        y = y.reshape(y.size(0), -1).clamp(-1, 1)
        y += 0.5
        a, b = y.chunk(2, dim=-1)
        return {"y": F.softplus(a) * b.sigmoid(), "h": h.permute(1, 0, 2)}


class Recurs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 5, bidirectional=True)
        self.plain = nn.RNN(10, 3, nonlinearity="relu")

    def forward(self, x: Any) -> Any:
        y, (h, c) = self.rnn(x)
        return self.plain(y)[0], rushlight.stack([h[0], c[0]], 1), y.max(-1).indices


class Attends(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

    def forward(self, x: Any) -> Any:
        y = self.layer(x)
        z = F.scaled_dot_product_attention(y, y, y, is_causal=True)
        return z.flatten(1), F.normalize(y, dim=-1), y.var(1), y.std()


class Arranges(nn.Module):
    def forward(self, x: Any, mask: Any, at: Any) -> Any:
        y = rushlight.where(mask, x, -x).masked_fill(mask, 2.0)
        z = rushlight.cat([x, y], 1).expand(3, -1, -1).permute(0, 2, 1)
        picked = x.index_select(1, at) + x[:, at]
        top = x.topk(2, dim=-1).values
        return (
            z[..., -1], picked, top, x.flip(-1), x.tril(), F.pad(x, (1, 2), value=1.5),
            (x > 0).float().sum(-1), x.argmax(), x.unbind(1)[1], x.cumsum(1), x.repeat(2, 1, 1),
            rushlight.einsum("bij,bkj->bik", x, x), (x % 2) ** 2 / 3, 1 - x, 1 / (x * x + 1),
            x.amax((0, 2)), x.mean(), x.norm(), x.logsumexp(-1), x.int() == 0, x.split(2, -1)[0],
        )  # fmt: skip


def _image() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, stride=2), nn.BatchNorm2d(6), nn.SiLU(), nn.MaxPool2d(2),
        nn.ConvTranspose2d(6, 4, 2, stride=2), nn.LeakyReLU(0.1), nn.Hardswish(), nn.ELU(),
        nn.Upsample(scale_factor=2), nn.AvgPool2d(2), nn.InstanceNorm2d(4, affine=True), nn.PReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.5), nn.LayerNorm(4), nn.Linear(4, 3),
        nn.LogSoftmax(-1),
    )  # fmt: skip


MODELS: dict[str, tuple[Any, list[Any]]] = {
    "image": (_image, [(2, 3, 12, 12)]),
    "mixed": (Mixed, [(2, 4, 5)]),
    "recurs": (Recurs, [(6, 2, 4)]),
    "attends": (Attends, [(2, 5, 8)]),
    "arranges": (Arranges, [(1, 3, 4), bool, int]),
}


def _input(shape: Any, seed: int = 3) -> Any:
    if shape is bool:
        return rushlight.tensor([[[True], [False], [True]]])
    if shape is int:
        return rushlight.tensor([2, 0])
    generator = np.random.default_rng(seed)
    return rushlight.tensor(generator.normal(size=shape).astype(np.float32))


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [x for part in value.values() for x in _leaves(part)]
    if isinstance(value, (list, tuple)):
        return [x for part in value for x in _leaves(part)]
    return [value]


def _compare(path: Path, model: Any, inputs: list[Any]) -> None:
    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [value.name for value in session.get_inputs()]
    found = session.run(None, {n: x.numpy() for n, x in zip(names, inputs)})
    expected = _leaves(model(*inputs))
    assert len(found) == len(expected)
    for ours, theirs in zip(expected, found):
        array = ours.detach().numpy()
        assert array.dtype == theirs.dtype and array.shape == theirs.shape
        np.testing.assert_allclose(array, theirs, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_models_run_in_onnxruntime(name: str, tmp_path: Path) -> None:
    rushlight.manual_seed(1)
    make, shapes = MODELS[name]
    model = make().eval()
    inputs = [_input(shape) for shape in shapes]
    path = tmp_path / "model.onnx"
    rushlight.onnx.export(model, tuple(inputs), path)
    _compare(path, model, inputs)


@pytest.mark.parametrize("name", ["image", "mixed", "recurs", "attends"])
def test_sizes_may_vary(name: str, tmp_path: Path) -> None:
    rushlight.manual_seed(1)
    make, (shape,) = MODELS[name]
    model = make().eval()
    axis = 1 if name == "recurs" else 0
    path = tmp_path / "model.onnx"
    rushlight.onnx.export(
        model, _input(shape), path, input_names=["x"], output_names=["first"],
        dynamic_axes={"x": {axis: "batch"}, "first": {0: "batch"}},
    )  # fmt: skip
    longer = [n + 3 if place == axis else n for place, n in enumerate(shape)]
    _compare(path, model, [_input(longer, 5)])


def test_names_versions_and_the_program(tmp_path: Path) -> None:
    model = nn.Linear(3, 2)
    assert model.training
    program = rushlight.onnx.export(
        model, (rushlight.ones(1, 3),), str(tmp_path / "x"), input_names=["data"],
        output_names=["score"], opset_version=19,
    )  # fmt: skip
    assert model.training and not rushlight.onnx.is_in_onnx_export()
    graph = program.model_proto.graph
    assert [v.name for v in graph.input] == ["data"] and [v.name for v in graph.output] == ["score"]
    assert {v.name for v in graph.initializer} == {"weight", "bias"}
    assert program.model_proto.opset_import[0].version == 19
    (found,) = program(rushlight.ones(1, 3))
    np.testing.assert_allclose(
        found.numpy(), model(rushlight.ones(1, 3)).detach().numpy(), rtol=1e-5
    )


def test_what_has_no_form_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(rushlight.onnx.UnsupportedOperatorError, match="fft"):
        rushlight.onnx.export(lambda x: rushlight.fft.fft(x).abs(), (rushlight.ones(3),))
    with pytest.raises(rushlight.onnx.OnnxExporterError, match="2 input_names"):
        rushlight.onnx.export(nn.ReLU(), (rushlight.ones(3),), input_names=["a", "b"])
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(rushlight.onnx.OnnxExporterError, match="onnx is not installed"):
        rushlight.onnx.export(nn.ReLU(), (rushlight.ones(3),))
