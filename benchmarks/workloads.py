"""Training loops and kernels written once against PyTorch's interface; the library is an argument.

Each workload is a function of (library, nn.functional) that builds its state and returns a function
doing one step; a step's work is complete when the step's value has been read.
"""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType

Step = Callable[[], float]


def _batch(torch: ModuleType, rows: int, columns: int, classes: int):
    torch.manual_seed(0)
    return torch.randn(rows, columns), torch.randint(0, classes, (rows,))


def _training_step(torch, F, model, optimizer, x, y) -> Step:
    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def mlp_tiny(torch: ModuleType, F: ModuleType) -> Step:
    """MLP 10-16-2, batch 32, Adam, cross-entropy."""
    nn = torch.nn
    x, y = _batch(torch, 32, 10, 2)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2))
    return _training_step(torch, F, model, torch.optim.Adam(model.parameters()), x, y)


def logistic_by_hand(torch: ModuleType, F: ModuleType) -> Step:
    """Logistic regression on plain tensors (64x8), updates under no_grad."""
    torch.manual_seed(0)
    x = torch.randn(64, 8)
    y = (x.sum(1) > 0).float()
    w = torch.zeros(8, requires_grad=True)
    b = torch.zeros(1, requires_grad=True)

    def step() -> float:
        p = torch.sigmoid(x @ w + b)
        loss = -(y * torch.log(p + 1e-7) + (1 - y) * torch.log(1 - p + 1e-7)).mean()
        loss.backward()
        with torch.no_grad():
            w.sub_(0.1 * w.grad)
            b.sub_(0.1 * b.grad)
            w.grad = None
            b.grad = None
        return loss.item()

    return step


def mlp_784(torch: ModuleType, F: ModuleType) -> Step:
    """MLP 784-512-256-10, batch 64, Adam."""
    nn = torch.nn
    x, y = _batch(torch, 64, 784, 10)
    model = nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )
    return _training_step(torch, F, model, torch.optim.Adam(model.parameters()), x, y)


def _gpt(torch, F, layers: int, heads: int, width: int, block: int, batch: int) -> Step:
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

    def step() -> float:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x).view(-1, vocabulary), y.reshape(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return step


def gpt_small(torch: ModuleType, F: ModuleType) -> Step:
    """Character GPT: 4 layers, 4 heads, width 128, block 64, batch 12, AdamW."""
    return _gpt(torch, F, 4, 4, 128, 64, 12)


def gpt_medium(torch: ModuleType, F: ModuleType) -> Step:
    """Character GPT: 6 layers, 6 heads, width 384, block 256, batch 4, AdamW."""
    return _gpt(torch, F, 6, 6, 384, 256, 4)


def chain(torch: ModuleType, F: ModuleType) -> Step:
    """tanh, exp and sigmoid over 4 M elements, summed."""
    torch.manual_seed(0)
    x = torch.rand(4_000_000)
    return lambda: (torch.tanh(x * 0.5 + 1.0) * torch.exp(x)).sigmoid().sum().item()


def softmax_layer_norm(torch: ModuleType, F: ModuleType) -> Step:
    """softmax then LayerNorm over 2048x2048."""
    torch.manual_seed(0)
    x = torch.rand(2048, 2048)
    # Reading one element completes the step; all of the result is kept until then.
    return lambda: F.layer_norm(F.softmax(x, -1), (2048,))[0, 0].item()


def matmul_1024(torch: ModuleType, F: ModuleType) -> Step:
    """float32 1024x1024 @ 1024x1024."""
    torch.manual_seed(0)
    x, y = torch.rand(1024, 1024), torch.rand(1024, 1024)

    def step() -> float:
        z = x @ y
        return z[0, 0].item()

    return step


WORKLOADS = {
    f.__name__: f
    for f in (
        mlp_tiny, logistic_by_hand, mlp_784, gpt_small, gpt_medium, chain, softmax_layer_norm,
        matmul_1024,
    )
}  # fmt: skip
