"""Layers and models scripted here give the same in PyTorch, and here again."""

# ruff: noqa: UP006, UP035, UP045 - what TorchScript code writes
from __future__ import annotations

import io
import math
from typing import Any, Dict, Optional, Tuple

import pytest

pytest.importorskip("torch")

import rushlight
import rushlight as torch
import rushlight.nn.functional as F
from rushlight import Tensor, nn
from rushlight.vision import models
from tests.jit.written import archive_of, assert_same, check, rand, theirs

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning")

_IMAGE, _ROWS = (2, 4, 8, 8), (3, 6)
LAYERS: list[tuple[Any, tuple[int, ...]]] = [
    (lambda: nn.Linear(6, 3), _ROWS), (lambda: nn.Linear(6, 3, bias=False), _ROWS),
    (lambda: nn.Identity(), _ROWS), (lambda: nn.Bilinear(6, 6, 2), (3, 6)),
    (lambda: nn.Conv1d(4, 2, 3, padding="same"), (2, 4, 8)),
    (lambda: nn.Conv2d(4, 6, 3, stride=2, padding=1, groups=2), _IMAGE),
    (lambda: nn.Conv2d(4, 2, 3, padding=1, padding_mode="reflect", bias=False), _IMAGE),
    (lambda: nn.Conv3d(2, 2, 2), (1, 2, 3, 4, 4)),
    (lambda: nn.ConvTranspose2d(4, 2, 3, stride=2, output_padding=1), _IMAGE),
    (lambda: nn.ConvTranspose1d(4, 2, 3), (2, 4, 8)),
    (lambda: nn.BatchNorm2d(4), _IMAGE), (lambda: nn.BatchNorm1d(6, momentum=None), _ROWS),
    (lambda: nn.BatchNorm1d(6, affine=False, track_running_stats=False), _ROWS),
    (lambda: nn.InstanceNorm2d(4, affine=True), _IMAGE), (lambda: nn.GroupNorm(2, 4), _IMAGE),
    (lambda: nn.LayerNorm(6), _ROWS), (lambda: nn.RMSNorm(6), _ROWS),
    (lambda: nn.LocalResponseNorm(3), _IMAGE),
    (lambda: nn.MaxPool2d(2), _IMAGE), (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), _IMAGE),
    (lambda: nn.AvgPool2d(2), _IMAGE), (lambda: nn.AvgPool1d(2), (2, 4, 8)),
    (lambda: nn.AdaptiveAvgPool2d(1), _IMAGE), (lambda: nn.AdaptiveAvgPool2d((2, 3)), _IMAGE),
    (lambda: nn.AdaptiveAvgPool1d(2), (2, 4, 8)),
    (lambda: nn.LPPool2d(2, 2), _IMAGE), (lambda: nn.LPPool1d(1, 3), (2, 4, 9)),
    (lambda: nn.AdaptiveMaxPool2d(2), _IMAGE), (lambda: nn.Unfold(3, padding=1), _IMAGE),
    (lambda: nn.Fold((4, 4), 2, stride=2), (2, 8, 4)), (lambda: nn.Softmin(1), _ROWS),
    (lambda: nn.Upsample(scale_factor=2), _IMAGE),
    (lambda: nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False), _IMAGE),
    (lambda: nn.PixelShuffle(2), _IMAGE), (lambda: nn.Flatten(), _IMAGE),
    (lambda: nn.Unflatten(1, (2, 3)), _ROWS), (lambda: nn.ZeroPad2d(1), _IMAGE),
    (lambda: nn.ReflectionPad2d((1, 2, 0, 1)), _IMAGE), (lambda: nn.ConstantPad1d(2, 1.5), _ROWS),
    (lambda: nn.Dropout(0.5).eval(), _ROWS), (lambda: nn.Dropout2d(0.5).eval(), _IMAGE),
    (lambda: nn.Softmax(-1), _ROWS), (lambda: nn.LogSoftmax(1), _ROWS),
    (lambda: nn.Threshold(0.1, 20.0), _ROWS), (lambda: nn.PReLU(), _ROWS),
    (lambda: nn.LeakyReLU(0.2, inplace=True), _ROWS), (lambda: nn.ReLU6(), _ROWS),
    *[((lambda kind=kind: getattr(nn, kind)()), _ROWS) for kind in (
        "ReLU", "GELU", "SiLU", "Mish", "ELU", "CELU", "SELU", "Tanh", "Sigmoid", "Hardswish",
        "Hardsigmoid", "Hardtanh", "Softplus", "Softsign", "Tanhshrink", "LogSigmoid", "GLU",
        "Hardshrink", "Softshrink")],
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(LAYERS)))
def test_a_layer_is_compiled(place: int) -> None:
    make, shape = LAYERS[place]
    rushlight.manual_seed(0)
    layer = make()
    given = (rand(*shape), rand(*shape)) if isinstance(layer, nn.Bilinear) else (rand(*shape),)
    check(layer.eval(), given)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
@pytest.mark.parametrize("options", [{}, {"batch_first": True, "bidirectional": True,
                                          "num_layers": 2}])  # fmt: skip
def test_recurrent_layers_are_compiled(kind: str, options: dict) -> None:
    rushlight.manual_seed(0)
    layer = getattr(nn, kind)(4, 5, **options)
    count = 4 if options else 1
    size = 3 if options else 2
    state: Any = rand(count, size, 5)
    if kind == "LSTM":
        state = (state, rand(count, size, 5))
    check(layer, (rand(3, 2, 4),), (rand(3, 2, 4), state), (rand(3, 4),))


LOSSES: list[tuple[Any, Any]] = [
    (lambda: nn.MSELoss(), None), (lambda: nn.L1Loss(reduction="sum"), None),
    (lambda: nn.SmoothL1Loss(beta=0.5), None), (lambda: nn.HuberLoss(delta=0.7), None),
    (lambda: nn.BCEWithLogitsLoss(pos_weight=torch.ones(6) * 2), "share"),
    (lambda: nn.CrossEntropyLoss(label_smoothing=0.1), "class"),
    (lambda: nn.NLLLoss(ignore_index=1), "class"), (lambda: nn.KLDivLoss(reduction="sum"), "share"),
    (lambda: nn.SoftMarginLoss(), None), (lambda: nn.MultiMarginLoss(p=2), "class"),
    (lambda: nn.PoissonNLLLoss(), "share"), (lambda: nn.HingeEmbeddingLoss(margin=2), None),
]  # fmt: skip


@pytest.mark.parametrize("place", range(len(LOSSES)))
def test_losses_are_compiled(place: int) -> None:
    make, kind = LOSSES[place]
    target = {None: rand(3, 6), "share": rand(3, 6).sigmoid(),
              "class": torch.tensor([0, 1, 5])}[kind]  # fmt: skip
    check(make(), (rand(3, 6), target))


def test_embedding_and_attention_are_compiled() -> None:
    rushlight.manual_seed(0)
    check(nn.Embedding(7, 3, padding_idx=1), (torch.tensor([[1, 2], [6, 0]]),))
    bag = nn.EmbeddingBag(7, 3, mode="sum")
    check(bag, (torch.tensor([[1, 2], [6, 0]]),),
          (torch.tensor([1, 2, 6, 0]), torch.tensor([0, 3]), rand(4)))  # fmt: skip
    for options in ({}, {"batch_first": True}, {"bias": False, "kdim": 8, "vdim": 8},
                    {"add_bias_kv": True, "add_zero_attn": True}):  # fmt: skip
        layer = nn.MultiheadAttention(8, 2, **options).eval()
        x = rand(3, 3, 8)
        mask = torch.ones(3, 3).triu(1).bool()
        padding = torch.tensor([[False, False, True]] * 3)
        check(layer, (x, x, x), (x, x, x, padding, True, mask), (x, x, x, None, False),
              (x, x, x, None, True, rand(3, 3), False))  # fmt: skip


def test_transformers_of_the_library_are_compiled() -> None:
    rushlight.manual_seed(0)
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True).eval()
    encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(8)).eval()
    x = rand(2, 3, 8)
    mask = nn.Transformer.generate_square_subsequent_mask(3)
    check(encoder, (x,), (x, mask))
    post = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu").eval()
    check(post, (x,), (x, torch.zeros(2, 2)))
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, 16), 2).eval()
    check(decoder, (x, x), (x, x, torch.zeros(2, 2)))


class Attention(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(size, 3 * size)
        self.out = nn.Linear(size, size)
        self.register_buffer("mask", torch.tril(torch.ones(16, 16)).view(1, 1, 16, 16))

    def forward(self, x: Tensor, padding: Optional[Tensor] = None) -> Tensor:
        B, T, C = x.size()
        q, k, v = self.qkv(x).split(C, dim=2)
        q, k, v = [t.view(B, T, self.heads, C // self.heads).transpose(1, 2) for t in (q, k, v)]
        scores = (q @ k.transpose(-2, -1)) * (1.0 / math.sqrt(k.size(-1)))
        scores = scores.masked_fill(self.mask[:, :, :T, :T] == 0, float("-inf"))
        if padding is not None:
            scores = scores.masked_fill(padding[:, None, None, :], float("-inf"))
        y = F.softmax(scores, dim=-1) @ v
        return self.out(y.transpose(1, 2).contiguous().view(B, T, C))


class Block(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.attention = Attention(size, heads)
        self.mlp = nn.Sequential(nn.Linear(size, 4 * size), nn.GELU(), nn.Linear(4 * size, size))

    def forward(self, x: Tensor, padding: Optional[Tensor] = None) -> Tensor:
        x = x + self.attention(self.norm1(x), padding)
        return x + self.mlp(self.norm2(x))


class Language(nn.Module):
    """A small GPT with dictionaries at its borders."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.ModuleDict({"token": nn.Embedding(11, 8), "place": nn.Embedding(16, 8)})
        self.blocks = nn.ModuleList([Block(8, 2) for _ in range(2)])
        self.head = nn.Linear(8, 11, bias=False)
        self.head.weight = self.embed["token"].weight

    def forward(self, batch: Dict[str, Tensor]) -> Dict[str, Tensor]:
        tokens = batch["tokens"]
        padding: Optional[Tensor] = None
        if "padding" in batch:
            padding = batch["padding"]
        x = self.embed["token"](tokens)
        x = x + self.embed["place"](torch.arange(tokens.size(1), device=tokens.device))
        for block in self.blocks:
            x = block(x, padding)
        logits = self.head(x)
        result = {"logits": logits}
        if "targets" in batch:
            flat = logits.view(-1, logits.size(-1))
            result["loss"] = F.cross_entropy(flat, batch["targets"].view(-1))
        return result


def test_a_language_model_with_masks_and_dictionaries_is_compiled() -> None:
    rushlight.manual_seed(0)
    tokens = torch.randint(0, 11, (2, 5))
    padding = torch.tensor([[False] * 5, [False, False, False, True, True]])
    there = check(
        Language(), ({"tokens": tokens},), ({"tokens": tokens, "padding": padding},),
        ({"tokens": tokens, "targets": tokens},),
    )  # fmt: skip
    state = dict(there.named_parameters(remove_duplicate=False))
    assert state["head.weight"].data_ptr() == state["embed.token.weight"].data_ptr()


class Tagger(nn.Module):
    """A recurrent network that is run step by step where the data asks for it."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(4, 6, num_layers=2, batch_first=True)
        self.cell = nn.GRUCell(6, 6)
        self.head = nn.Linear(6, 3)

    def forward(
        self, x: Tensor, state: Optional[Tuple[Tensor, Tensor]] = None
    ) -> Tuple[Tensor, Tuple[Tensor, Tensor]]:
        y, state = self.rnn(x, state)
        h = y[:, -1]
        steps = 0
        while steps < 5 and bool(h.abs().mean() > 0.05):
            h = self.cell(h, h) * 0.5
            steps += 1
        return self.head(h) + steps, state


def test_a_recurrent_network_with_a_loop_on_data_is_compiled() -> None:
    rushlight.manual_seed(0)
    state = (rand(2, 2, 6), rand(2, 2, 6))
    check(Tagger(), (rand(2, 3, 4),), (rand(2, 3, 4), state))


def test_training_changes_what_the_archive_does() -> None:
    module = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Dropout(0.5))
    there = check(module.eval(), (rand(4, 3),))
    there.train()
    import torch as other

    before = there.state_dict()["1.num_batches_tracked"].item()
    first = there(other.ones(4, 3))
    assert there.state_dict()["1.num_batches_tracked"].item() == before + 1
    assert float((first == 0).sum()) > 0


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "swin_t", "googlenet"])
def test_models_of_vision_are_compiled(name: str) -> None:
    rushlight.manual_seed(0)
    options = {"init_weights": False} if name == "googlenet" else {}
    model = getattr(models, name)(weights=None, num_classes=5, **options).eval()
    x = rand(1, 3, 64, 64)
    with rushlight.no_grad():
        if name != "googlenet":
            check(model, (x,))
            return
        import torch as other

        # Compiled, it returns one type: a tuple with what only training has.
        there = other.jit.load(io.BytesIO(archive_of(model)))
        assert_same(model(x), there(theirs(x))[0])
