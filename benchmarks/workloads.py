"""Training loops and kernels written once against PyTorch's interface; the library is an argument.

Each workload is a function of (library, nn.functional) that builds its state and returns a `Job`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType
from typing import Any

Step = Callable[[], float]


@dataclass
class Job:
    """What one workload does and what it starts from.

    step: one step; its work is complete when it returns the step's value.
    short: the same step on a shorter batch, as at the end of an epoch.
    lower_rate: halves the learning rate.
    arrays: gives initial weights and data by name, for peers that have to be written by hand;
        asked before the first step or not at all.
    """

    step: Step
    short: Step | None = None
    lower_rate: Callable[[], None] | None = None
    arrays: Callable[[], dict[str, Any]] | None = None


Build = Callable[[ModuleType, ModuleType], Job]


def _batch(torch: ModuleType, rows: int, columns: int, classes: int):
    torch.manual_seed(0)
    return torch.randn(rows, columns), torch.randint(0, classes, (rows,))


def _weights(model) -> dict[str, Any]:
    return {name: value.detach().numpy().copy() for name, value in model.named_parameters()}


def as_it_is(step):
    """The step without `torch.compile`."""
    return step


def compiled(torch: ModuleType):
    """What marks a step with `torch.compile` on rushlight.  PyTorch runs it as it is: its own
    compile calls a compiler of C++, which is another comparison."""
    return torch.compile if torch.__name__ == "rushlight" else as_it_is


def classifier(torch, F, model, optimizer, x, y, mark=as_it_is) -> Job:
    """The loop everybody writes: forward, cross-entropy, backward, step.  mark: of the step."""
    rows = max(1, x.shape[0] * 5 // 8)
    short_x, short_y = x[:rows].clone(), y[:rows].clone()

    @mark
    def step(x, y):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    def train(x, y) -> float:
        return step(x, y).item()

    def lower_rate() -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.5

    def arrays() -> dict[str, Any]:
        return {**_weights(model), "x": x.numpy(), "y": y.numpy()}

    return Job(lambda: train(x, y), lambda: train(short_x, short_y), lower_rate, arrays)


def mlp_tiny(torch: ModuleType, F: ModuleType, mark=as_it_is) -> Job:
    """MLP 10-16-2, batch 32, Adam"""
    nn = torch.nn
    x, y = _batch(torch, 32, 10, 2)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))
    return classifier(torch, F, model, torch.optim.Adam(model.parameters()), x, y, mark)


def mlp_tiny_compiled(torch: ModuleType, F: ModuleType) -> Job:
    """MLP 10-16-2, batch 32, Adam, the step under torch.compile"""
    return mlp_tiny(torch, F, compiled(torch))


def logistic_compiled(torch: ModuleType, F: ModuleType) -> Job:
    """logistic regression by hand, 64×8, the step under torch.compile"""
    return logistic_by_hand(torch, F, compiled(torch))


def logistic_by_hand(torch: ModuleType, F: ModuleType, mark=as_it_is) -> Job:
    """logistic regression by hand on plain tensors, 64×8"""
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    y = (x.sum(1) > 0).float()
    w = torch.zeros(8, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)
    short_x, short_y = x[:40].clone(), y[:40].clone()
    rate = 0.1

    @mark
    def step(x, y):
        p = torch.sigmoid(x @ w + b)
        loss = -(y * torch.log(p + 1e-7) + (1 - y) * torch.log(1 - p + 1e-7)).mean()
        loss.backward()
        with torch.no_grad():
            w.sub_(rate * w.grad)
            b.sub_(rate * b.grad)
            w.grad = None
            b.grad = None
        return loss

    def train(x, y) -> float:
        return step(x, y).item()

    def lower_rate() -> None:
        nonlocal rate
        rate *= 0.5

    def arrays() -> dict[str, Any]:
        return {"x": x.numpy(), "y": y.numpy()}

    return Job(lambda: train(x, y), lambda: train(short_x, short_y), lower_rate, arrays)


def _mlp(nn):
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def mlp_784(torch: ModuleType, F: ModuleType) -> Job:
    """MLP 784-512-256-10, batch 64, Adam"""
    x, y = _batch(torch, 64, 784, 10)
    model = _mlp(torch.nn)
    return classifier(torch, F, model, torch.optim.Adam(model.parameters()), x, y)


def mlp_inference(torch: ModuleType, F: ModuleType) -> Job:
    """MLP 784-512-256-10, inference of one row"""
    x, _ = _batch(torch, 1, 784, 10)
    model = _mlp(torch.nn).eval()

    def step() -> float:
        with torch.no_grad():
            return model(x).max().item()

    return Job(step, arrays=lambda: {**_weights(model), "x": x.numpy()})


def _gpt(
    torch, F, layers: int, heads: int, width: int, block: int, batch: int, narrow: bool = False
) -> Job:
    """narrow: whether forward and loss run under autocast to bfloat16."""
    nn = torch.nn
    vocabulary = 65

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1 = nn.LayerNorm(width)
            self.qkv = nn.Linear(width, 3 * width)
            self.project = nn.Linear(width, width)
            self.norm2 = nn.LayerNorm(width)
            self.up = nn.Linear(width, 4 * width)
            self.down = nn.Linear(4 * width, width)

        def forward(self, x):
            b, t, c = x.shape
            q, k, v = self.qkv(self.norm1(x)).split(width, dim=2)
            q = q.view(b, t, heads, c // heads).transpose(1, 2)
            k = k.view(b, t, heads, c // heads).transpose(1, 2)
            v = v.view(b, t, heads, c // heads).transpose(1, 2)
            y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(y.transpose(1, 2).contiguous().view(b, t, c))
            return x + self.down(F.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(vocabulary, width)
            self.position = nn.Embedding(block, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, vocabulary)

        def forward(self, index):
            x = self.token(index) + self.position(torch.arange(index.shape[1]))
            for layer in self.blocks:
                x = layer(x)
            return self.head(self.norm(x))

    torch.manual_seed(0)
    model = GPT()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    data = torch.randint(0, vocabulary, (batch, block + 1))
    x, y = data[:, :-1], data[:, 1:]
    rows = batch * 5 // 8
    short_x, short_y = x[:rows], y[:rows]

    def train(x, y) -> float:
        optimizer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16) if narrow else contextlib.nullcontext():
            loss = F.cross_entropy(model(x).view(-1, vocabulary), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    def lower_rate() -> None:
        for group in optimizer.param_groups:
            group["lr"] *= 0.5

    def arrays() -> dict[str, Any]:
        return {**_weights(model), "data": data.numpy()}

    return Job(lambda: train(x, y), lambda: train(short_x, short_y), lower_rate, arrays)


def gpt_small(torch: ModuleType, F: ModuleType) -> Job:
    """GPT, 4 layers, 4 heads, width 128, block 64, batch 12, AdamW"""
    return _gpt(torch, F, 4, 4, 128, 64, 12)


def gpt_medium(torch: ModuleType, F: ModuleType) -> Job:
    """GPT, 6 layers, 6 heads, width 384, block 256, batch 4, AdamW"""
    return _gpt(torch, F, 6, 6, 384, 256, 4)


def gpt_medium_bf16(torch: ModuleType, F: ModuleType) -> Job:
    """the same under autocast to bfloat16"""
    return _gpt(torch, F, 6, 6, 384, 256, 4, narrow=True)


def chain(torch: ModuleType, F: ModuleType) -> Job:
    """tanh, exp, sigmoid and sum over 4 M elements"""
    torch.manual_seed(0)
    x = torch.rand(4_000_000)

    def step() -> float:
        return (torch.tanh(x * 0.5 + 1.0) * torch.exp(x)).sigmoid().sum().item()

    return Job(step, arrays=lambda: {"x": x.numpy()})


def softmax_layer_norm(torch: ModuleType, F: ModuleType) -> Job:
    """softmax, then LayerNorm, 2048×2048"""
    torch.manual_seed(0)
    x = torch.rand(2048, 2048)

    def step() -> float:
        # Reading one element completes the step; all of the result is kept until then.
        return F.layer_norm(F.softmax(x, -1), (2048,))[0, 0].item()

    return Job(step, arrays=lambda: {"x": x.numpy()})
