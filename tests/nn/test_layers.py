"""Every layer starts with PyTorch's values for the same seed, and computes the same."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight

torch = pytest.importorskip("torch")

from tests.nn.matching import (  # noqa: E402
    assert_same_run,
    assert_same_start,
    integers,
    uniform,
)

# (name, how to build it from an `nn`, how to make its inputs)
LAYERS: list[tuple[str, Any, Any]] = [
    ("Identity", lambda nn: nn.Identity(3, x=4), lambda: [uniform(2, 3)]),
    ("Linear", lambda nn: nn.Linear(5, 3), lambda: [uniform(4, 5)]),
    ("Linear without bias", lambda nn: nn.Linear(5, 3, bias=False), lambda: [uniform(2, 4, 5)]),
    ("Bilinear", lambda nn: nn.Bilinear(3, 4, 2), lambda: [uniform(5, 3), uniform(5, 4)]),
    ("Conv1d", lambda nn: nn.Conv1d(4, 6, 3, 2, 1, groups=2), lambda: [uniform(2, 4, 9)]),
    ("Conv2d", lambda nn: nn.Conv2d(3, 4, (3, 2), padding=1), lambda: [uniform(2, 3, 6, 5)]),
    ("Conv2d unbatched", lambda nn: nn.Conv2d(3, 4, 3), lambda: [uniform(3, 6, 5)]),
    ("Conv2d same", lambda nn: nn.Conv2d(2, 3, 3, padding="same", dilation=2),
     lambda: [uniform(1, 2, 7, 6)]),
    ("Conv2d reflect", lambda nn: nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"),
     lambda: [uniform(1, 2, 5, 4)]),
    ("Conv2d circular", lambda nn: nn.Conv2d(2, 2, 3, padding="same", padding_mode="circular"),
     lambda: [uniform(1, 2, 5, 4)]),
    ("Conv3d", lambda nn: nn.Conv3d(2, 3, 2), lambda: [uniform(1, 2, 3, 4, 3)]),
    ("ConvTranspose1d", lambda nn: nn.ConvTranspose1d(3, 2, 3, stride=2, output_padding=1),
     lambda: [uniform(2, 3, 5)]),
    ("ConvTranspose2d", lambda nn: nn.ConvTranspose2d(4, 2, 3, 2, 1, groups=2),
     lambda: [uniform(2, 4, 4, 3)]),
    ("ConvTranspose3d", lambda nn: nn.ConvTranspose3d(2, 2, 2, bias=False),
     lambda: [uniform(1, 2, 2, 3, 2)]),
    ("MaxPool1d", lambda nn: nn.MaxPool1d(2), lambda: [uniform(2, 3, 7)]),
    ("MaxPool2d", lambda nn: nn.MaxPool2d(3, 2, 1), lambda: [uniform(2, 3, 7, 6)]),
    ("MaxPool2d with indices", lambda nn: nn.MaxPool2d(2, return_indices=True),
     lambda: [uniform(1, 2, 4, 4)]),
    ("MaxPool3d", lambda nn: nn.MaxPool3d(2), lambda: [uniform(1, 2, 4, 4, 4)]),
    ("AvgPool1d", lambda nn: nn.AvgPool1d(2, padding=1), lambda: [uniform(2, 3, 7)]),
    ("AvgPool2d", lambda nn: nn.AvgPool2d(2, count_include_pad=False),
     lambda: [uniform(2, 3, 6, 6)]),
    ("AvgPool3d", lambda nn: nn.AvgPool3d(2), lambda: [uniform(1, 2, 4, 4, 4)]),
    ("AdaptiveAvgPool1d", lambda nn: nn.AdaptiveAvgPool1d(3), lambda: [uniform(2, 3, 7)]),
    ("AdaptiveAvgPool2d", lambda nn: nn.AdaptiveAvgPool2d((2, None)),
     lambda: [uniform(2, 3, 7, 5)]),
    ("AdaptiveMaxPool2d", lambda nn: nn.AdaptiveMaxPool2d((2, 3)), lambda: [uniform(2, 3, 7, 5)]),
    ("LPPool2d", lambda nn: nn.LPPool2d(2, 3), lambda: [uniform(1, 2, 6, 6)]),
    ("BatchNorm1d", lambda nn: nn.BatchNorm1d(4), lambda: [uniform(5, 4)]),
    ("BatchNorm1d long", lambda nn: nn.BatchNorm1d(4, momentum=None), lambda: [uniform(5, 4, 3)]),
    ("BatchNorm2d", lambda nn: nn.BatchNorm2d(3, eps=1e-3, momentum=0.2),
     lambda: [uniform(4, 3, 2, 5)]),
    ("BatchNorm2d plain", lambda nn: nn.BatchNorm2d(3, affine=False, track_running_stats=False),
     lambda: [uniform(4, 3, 2, 5)]),
    ("BatchNorm3d", lambda nn: nn.BatchNorm3d(2), lambda: [uniform(3, 2, 2, 2, 3)]),
    ("InstanceNorm1d", lambda nn: nn.InstanceNorm1d(3, affine=True), lambda: [uniform(2, 3, 5)]),
    ("InstanceNorm2d", lambda nn: nn.InstanceNorm2d(3, track_running_stats=True),
     lambda: [uniform(2, 3, 4, 5)]),
    ("LayerNorm", lambda nn: nn.LayerNorm((3, 4)), lambda: [uniform(2, 3, 4)]),
    ("LayerNorm without bias", lambda nn: nn.LayerNorm(4, bias=False), lambda: [uniform(2, 3, 4)]),
    ("GroupNorm", lambda nn: nn.GroupNorm(2, 4), lambda: [uniform(2, 4, 3)]),
    ("RMSNorm", lambda nn: nn.RMSNorm(4), lambda: [uniform(2, 3, 4)]),
    ("LocalResponseNorm", lambda nn: nn.LocalResponseNorm(2), lambda: [uniform(2, 5, 3, 3)]),
    ("Embedding", lambda nn: nn.Embedding(7, 3, padding_idx=-2), lambda: [integers(7, 4, 2)]),
    ("EmbeddingBag", lambda nn: nn.EmbeddingBag(7, 3, mode="sum"), lambda: [integers(7, 4, 2)]),
    ("Flatten", lambda nn: nn.Flatten(), lambda: [uniform(2, 3, 4)]),
    ("Unflatten", lambda nn: nn.Unflatten(1, (2, 3)), lambda: [uniform(4, 6)]),
    ("PixelShuffle", lambda nn: nn.PixelShuffle(2), lambda: [uniform(1, 8, 3, 2)]),
    ("PixelUnshuffle", lambda nn: nn.PixelUnshuffle(2), lambda: [uniform(1, 2, 4, 6)]),
    ("ChannelShuffle", lambda nn: nn.ChannelShuffle(2), lambda: [uniform(1, 6, 3, 3)]),
    ("Upsample", lambda nn: nn.Upsample(scale_factor=2), lambda: [uniform(1, 2, 3, 4)]),
    ("Upsample bilinear", lambda nn: nn.Upsample(size=(5, 7), mode="bilinear"),
     lambda: [uniform(1, 2, 3, 4)]),
    ("Fold", lambda nn: nn.Fold((4, 5), 2), lambda: [uniform(1, 12, 12)]),
    ("Unfold", lambda nn: nn.Unfold(2, padding=1, stride=2), lambda: [uniform(1, 3, 4, 5)]),
    ("CosineSimilarity", lambda nn: nn.CosineSimilarity(), lambda: [uniform(3, 4), uniform(3, 4)]),
    ("PairwiseDistance", lambda nn: nn.PairwiseDistance(),
     lambda: [uniform(3, 4), uniform(1, 4)]),
    ("ZeroPad2d", lambda nn: nn.ZeroPad2d((1, 2, 0, 1)), lambda: [uniform(1, 2, 3, 4)]),
    ("ConstantPad1d", lambda nn: nn.ConstantPad1d(2, 3.5), lambda: [uniform(2, 3, 4)]),
    ("ReflectionPad2d", lambda nn: nn.ReflectionPad2d(1), lambda: [uniform(1, 2, 3, 4)]),
    ("ReplicationPad1d", lambda nn: nn.ReplicationPad1d(2), lambda: [uniform(2, 3, 4)]),
    ("CircularPad2d", lambda nn: nn.CircularPad2d(1), lambda: [uniform(1, 2, 3, 4)]),
    ("MultiheadAttention", lambda nn: nn.MultiheadAttention(6, 2),
     lambda: [uniform(4, 3, 6), uniform(5, 3, 6), uniform(5, 3, 6)]),
    ("MultiheadAttention batch first", lambda nn: nn.MultiheadAttention(6, 3, batch_first=True),
     lambda: [uniform(3, 4, 6), uniform(3, 5, 6), uniform(3, 5, 6)]),
    ("MultiheadAttention of other sizes",
     lambda nn: nn.MultiheadAttention(6, 2, kdim=4, vdim=5, add_bias_kv=True, add_zero_attn=True),
     lambda: [uniform(4, 3, 6), uniform(5, 3, 4), uniform(5, 3, 5)]),
    ("TransformerEncoderLayer", lambda nn: nn.TransformerEncoderLayer(6, 2, 8, dropout=0.0),
     lambda: [uniform(4, 3, 6)]),
    ("TransformerEncoderLayer norm first",
     lambda nn: nn.TransformerEncoderLayer(6, 2, 8, 0.0, "gelu", norm_first=True),
     lambda: [uniform(4, 3, 6)]),
    ("TransformerDecoderLayer",
     lambda nn: nn.TransformerDecoderLayer(6, 2, 8, 0.0, batch_first=True),
     lambda: [uniform(3, 4, 6), uniform(3, 5, 6)]),
    ("Transformer",
     lambda nn: nn.Transformer(4, 2, 1, 2, 8, dropout=0.0, batch_first=True),
     lambda: [uniform(2, 5, 4), uniform(2, 3, 4)]),
    ("RNN", lambda nn: nn.RNN(3, 4, 2, nonlinearity="relu"), lambda: [uniform(5, 2, 3)]),
    ("LSTM", lambda nn: nn.LSTM(3, 4, 2, bidirectional=True, batch_first=True),
     lambda: [uniform(2, 5, 3)]),
    ("LSTM with projection", lambda nn: nn.LSTM(3, 4, proj_size=2, bias=False),
     lambda: [uniform(5, 3), (uniform(1, 2), uniform(1, 4))]),
    ("GRU", lambda nn: nn.GRU(3, 4), lambda: [uniform(5, 2, 3), uniform(1, 2, 4)]),
    ("RNNCell", lambda nn: nn.RNNCell(3, 4), lambda: [uniform(2, 3), uniform(2, 4)]),
    ("LSTMCell", lambda nn: nn.LSTMCell(3, 4), lambda: [uniform(3)]),
    ("GRUCell", lambda nn: nn.GRUCell(3, 4, bias=False), lambda: [uniform(2, 3)]),
    ("Sequential", lambda nn: nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2)),
     lambda: [uniform(5, 3)]),
    ("AdaptiveLogSoftmaxWithLoss", lambda nn: nn.AdaptiveLogSoftmaxWithLoss(16, 20, [5, 10]),
     lambda: [uniform(6, 16), integers(20, 6)]),
]  # fmt: skip

ACTIVATIONS: list[tuple[str, tuple]] = [
    ("Threshold", (0.1, 0.5)), ("ReLU", ()), ("ReLU6", ()), ("Hardtanh", (-0.5, 0.7)),
    ("Sigmoid", ()), ("Hardsigmoid", ()), ("Tanh", ()), ("SiLU", ()), ("Mish", ()),
    ("Hardswish", ()), ("ELU", (0.7,)), ("CELU", (0.7,)), ("SELU", ()), ("GLU", (0,)),
    ("GELU", ()), ("GELU", ("tanh",)), ("Hardshrink", (0.3,)), ("LeakyReLU", (0.2,)),
    ("LogSigmoid", ()), ("Softplus", (2.0,)), ("Softshrink", ()), ("PReLU", (5,)),
    ("Softsign", ()), ("Tanhshrink", ()), ("Softmin", (1,)), ("Softmax", (-1,)),
    ("LogSoftmax", (0,)),
]  # fmt: skip

# (name, constructor keywords, inputs)
LOSSES: list[tuple[str, dict[str, Any], Any]] = [
    ("L1Loss", {}, lambda: [uniform(3, 4), uniform(3, 4)]),
    ("MSELoss", {"reduction": "sum"}, lambda: [uniform(3, 4), uniform(3, 4)]),
    ("SmoothL1Loss", {"beta": 0.5}, lambda: [uniform(3, 4), uniform(3, 4)]),
    ("HuberLoss", {"delta": 0.5}, lambda: [uniform(3, 4), uniform(3, 4)]),
    ("NLLLoss", {"ignore_index": 1}, lambda: [uniform(5, 4), integers(4, 5)]),
    ("CrossEntropyLoss", {"label_smoothing": 0.1}, lambda: [uniform(5, 4), integers(4, 5)]),
    ("CrossEntropyLoss", {"reduction": "none"}, lambda: [uniform(2, 4, 3), integers(4, 2, 3)]),
    ("BCELoss", {}, lambda: [uniform(3, 4).sigmoid().detach().requires_grad_(),
                             uniform(4, 3).sigmoid().detach().t()]),
    ("BCEWithLogitsLoss", {}, lambda: [uniform(3, 4), uniform(4, 3).sigmoid().detach().t()]),
    ("KLDivLoss", {"reduction": "batchmean"},
     lambda: [uniform(3, 4), uniform(4, 3).sigmoid().detach().t()]),
    ("PoissonNLLLoss", {}, lambda: [uniform(3, 4), uniform(4, 3, grad=False).exp().t()]),
    ("GaussianNLLLoss", {}, lambda: [uniform(3, 4), uniform(3, 4), uniform(4, 3).exp().t()]),
    ("HingeEmbeddingLoss", {}, lambda: [uniform(3, 4), uniform(4, 3, grad=False).sign().t()]),
    ("SoftMarginLoss", {}, lambda: [uniform(3, 4), uniform(4, 3, grad=False).sign().t()]),
    ("MultiMarginLoss", {"p": 2}, lambda: [uniform(5, 4), integers(4, 5)]),
    ("MultiLabelSoftMarginLoss", {},
     lambda: [uniform(3, 4), uniform(4, 3, grad=False).sign().relu().t()]),
    ("CosineEmbeddingLoss", {"margin": 0.1},
     lambda: [uniform(3, 4), uniform(3, 4), uniform(3, grad=False).sign()]),
    ("MarginRankingLoss", {}, lambda: [uniform(3), uniform(3), uniform(3, grad=False).sign()]),
    ("TripletMarginLoss", {"swap": True}, lambda: [uniform(3, 4), uniform(3, 4), uniform(1, 4)]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("build", "inputs"), [row[1:] for row in LAYERS], ids=[r[0] for r in LAYERS]
)
@pytest.mark.parametrize("training", [True, False], ids=["train", "eval"])
def test_a_layer_starts_and_computes_as_in_torch(build: Any, inputs: Any, training: bool) -> None:
    ours, theirs = assert_same_start(build, seed=17)
    assert_same_run(ours.train(training), theirs.train(training), *inputs())


@pytest.mark.parametrize(("name", "args"), ACTIVATIONS, ids=str)
def test_an_activation_computes_as_in_torch(name: str, args: tuple) -> None:
    ours, theirs = assert_same_start(lambda nn: getattr(nn, name)(*args))
    shape = (4, 5) if name != "GLU" else (4, 6)
    # PyTorch rounds the constants of these two to float32 in the backward pass.
    rtol = 1e-8 if name in ("CELU", "Hardsigmoid") else 1e-9
    assert_same_run(ours, theirs, uniform(*shape), rtol=rtol)


def name_of(value: object) -> str | None:
    """A test's name; none for functions, whose addresses differ between test processes."""
    return None if callable(value) else str(value)


@pytest.mark.parametrize(("name", "keywords", "inputs"), LOSSES, ids=name_of)
def test_a_loss_computes_as_in_torch(name: str, keywords: dict[str, Any], inputs: Any) -> None:
    ours, theirs = assert_same_start(lambda nn: getattr(nn, name)(**keywords))
    made = [value.detach().requires_grad_(value.requires_grad) for value in inputs()]
    assert_same_run(ours, theirs, *made)


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout"])
def test_dropout_draws_the_mask_of_torch(name: str) -> None:
    rl = pytest.importorskip("rushlight")
    shape = (3, 8, 4) if name == "Dropout1d" else (3, 8, 4, 4)
    shape = (3, 8, 2, 3, 4) if name == "Dropout3d" else shape
    ours, theirs = getattr(rl.nn, name)(0.4), getattr(torch.nn, name)(0.4)
    rl.manual_seed(5)
    torch.manual_seed(5)
    assert_same_run(ours, theirs, uniform(*shape))
    assert_same_run(ours.eval(), theirs.eval(), uniform(*shape))


@pytest.mark.parametrize("size", [2, 5])
def test_the_gradient_of_a_response_norm_across_maps_is_that_of_its_result(size: int) -> None:
    """PyTorch's is not: central differences of its own result tell."""
    layer = rushlight.nn.CrossMapLRN2d(size, alpha=0.9, k=1.0)
    x = rushlight.tensor(uniform(1, 6, 2, 2, grad=False).numpy(), requires_grad=True)
    assert rushlight.autograd.gradcheck(layer, (x,))
