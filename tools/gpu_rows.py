"""What `tools/on_gpu.py` asks of a card: checks against the CPU, and rows that are measured.

Each is a function of a library, rushlight or PyTorch, and the sizes; nothing here starts a process.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rushlight
from rushlight.tensor.flush import synchronize

# What is computed of a library and a device, and the largest error relative to the largest number.
Check = tuple[Callable[[Any, str], Any], float]


@dataclass(frozen=True)
class Sizes:
    """elements: of rows; product, large: sides of matrices; images; steps: of a recurrence.

    sorted: elements; attention: batch, heads, length, width; gpt: layers, width, heads, tokens,
    vocabulary, batch of a language model.
    """

    elements: int
    product: int
    large: int
    images: int
    steps: int
    sorted: int
    attention: tuple[int, int, int, int]
    gpt: tuple[int, int, int, int, int, int]


FULL = Sizes(
    1 << 26, 4096, 8192, 32, 100, 1 << 20, (8, 12, 2048, 64), (12, 768, 12, 1024, 50304, 8)
)
QUICK = Sizes(1 << 22, 1024, 2048, 8, 20, 1 << 16, (2, 4, 512, 64), (2, 256, 4, 128, 1000, 4))
TINY = Sizes(1 << 10, 64, 64, 1, 2, 1 << 8, (1, 1, 16, 16), (1, 16, 2, 8, 20, 1))
SIZES = {"full": FULL, "quick": QUICK, "tiny": TINY}


# ---- checks --------------------------------------------------------------------------------------


def _drawn(library: Any, place: str, *shape: int) -> Any:
    """Numbers that are the same everywhere."""
    count = 1
    for size in shape:
        count *= size
    numbers = library.arange(count, dtype=library.int64) * 7919 % 1013
    return ((numbers.float() - 506) / 256).reshape(shape).to(place)


def _product(dtype: str, m: int, n: int, k: int, turned: bool) -> Callable[[Any, str], Any]:
    def work(library: Any, place: str) -> Any:
        kind = getattr(library, dtype)
        x, y = _drawn(library, place, m, k).to(kind), _drawn(library, place, n, k).to(kind)
        return x @ (y.T if turned else y.T.contiguous())

    return work


def _attention(dtype: str) -> Callable[[Any, str], Any]:
    def work(library: Any, place: str) -> Any:
        kind = getattr(library, dtype)
        q, k, v = (_drawn(library, place, 1, 2, n, 64).to(kind) for n in (150, 150, 150))
        q = (q / 4).detach().requires_grad_()
        y = library.nn.functional.scaled_dot_product_attention(q, k / 4, v, is_causal=True)
        y.float().square().sum().backward()
        return library.cat([y.float(), q.grad.float()])

    return work


def _convolved(library: Any, place: str) -> Any:
    x, w = _drawn(library, place, 2, 16, 20, 20), _drawn(library, place, 24, 16, 3, 3)
    w.requires_grad_()
    library.nn.functional.conv2d(x, w, padding=1).square().mean().backward()
    return w.grad


def _updated(library: Any, place: str) -> Any:
    shapes = [(300, 70), (70,), (9000,), (64, 64)]
    parameters = [_drawn(library, place, *s).detach().requires_grad_() for s in shapes]
    optimizer = library.optim.AdamW(parameters, lr=0.01)
    for _ in range(3):
        for p in parameters:
            p.grad = p.detach().cos()
        optimizer.step()
    return library.cat([p.detach().reshape(-1) for p in parameters])


def _recurrent(library: Any, place: str) -> Any:
    library.manual_seed(0)
    layer = library.nn.LSTM(24, 40).to(place)
    return layer(_drawn(library, place, 9, 3, 24))[0]


def _rows(library: Any, place: str) -> Any:
    x = _drawn(library, place, 700, 300)
    return library.cat([x.softmax(-1), library.nn.functional.layer_norm(x, (300,)), x.cumsum(1)])


def _columns(library: Any, place: str) -> Any:
    x = _drawn(library, place, 3000, 70)
    return library.cat([x.sum(0), x.std(0), x.amax(0), x.exp().mean(0)])


def _sorted(library: Any, place: str) -> Any:
    x = _drawn(library, place, 5000)
    return library.cat([x.sort().values, x[library.arange(4999, -1, -3).to(place)]])


def _unary(library: Any, place: str) -> Any:
    x = _drawn(library, place, 100_000)
    functional = library.nn.functional
    return library.cat([functional.gelu(x), x.tanh(), x.sin(), x.abs().log1p(), x.double().exp()])


# Those of tensor cores are compared with the CPU's float32 sums, rounded once.
CHECKS: dict[str, Check] = {
    "elementwise": (_unary, 1e-6),
    "rows": (_rows, 1e-5),
    "columns": (_columns, 1e-5),
    "sort and gather": (_sorted, 0.0),
    "float32 product": (_product("float32", 300, 200, 500, True), 1e-5),
    "float64 product": (_product("float64", 100, 70, 50, False), 1e-12),
    "convolution and its gradient": (_convolved, 1e-4),
    "AdamW in one launch": (_updated, 1e-5),
    "LSTM": (_recurrent, 1e-5),
    "attention, float32": (_attention("float32"), 1e-4),
    # From here on instructions that only a card has.
    "bfloat16 product, mma.sync": (_product("bfloat16", 130, 90, 100, False), 1e-2),
    "float16 product, mma.sync": (_product("float16", 130, 90, 100, False), 2e-3),
    "attention, bfloat16": (_attention("bfloat16"), 3e-2),
    "bfloat16 product along k": (_product("bfloat16", 300, 200, 512, True), 1e-2),
    "float16 product along k": (_product("float16", 300, 200, 512, True), 2e-3),
}


def error_of(name: str) -> tuple[float, float]:
    """(largest difference between device and CPU relative to the largest number, what may be)."""
    work, allowed = CHECKS[name]
    expected = work(rushlight, "cpu").detach().double().numpy()
    found = work(rushlight, "cuda").detach().cpu().double().numpy()
    if expected.shape != found.shape:
        return float("inf"), allowed
    scale = max(float(abs(expected).max()), 1e-30)
    error = float(abs(expected - found).max()) / scale
    return (error if error == error else float("inf")), allowed


# ---- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Measured:
    """A row.

    make: the work of one call, and what one call moves or computes, in the unit's numerator (None:
    the unit is a time).  part: rows of one process.  goal: what it should reach, for people; share:
    of which row, in the same library, or of PyTorch's where that is empty; reach: how much of it.
    """

    part: str
    unit: str
    make: Callable[[Any, Sizes], tuple[Callable[[], Any], float]]
    goal: str = ""
    share: str = ""
    reach: float = 0.0
    rounds: int = 5
    repeats: int = 5


_PER_SECOND = {"GB/s": 1e-9, "TFLOP/s": 1e-12}
_TIMES = {"us": 1e6, "ms": 1e3}


def value_of(row: Measured, library: Any, sizes: Sizes) -> float:
    """The figure of one library."""
    work, amount = row.make(library, sizes)
    best = _seconds(library, work, row.rounds, row.repeats)
    if row.unit in _TIMES:
        return _TIMES[row.unit] * best
    return _PER_SECOND[row.unit] * amount / best


def _seconds(library: Any, work: Callable[[], Any], rounds: int, repeats: int) -> float:
    """The best time of one call, with the device waited for at the end of each round."""
    for _ in range(3):  # compiled, then a graph
        kept = work()
        _flush(library)
    library.cuda.synchronize()
    best = float("inf")
    for _ in range(rounds):
        started = time.perf_counter()
        for _ in range(repeats):
            kept = work()
            _flush(library)  # or equal operations would be computed once
        library.cuda.synchronize()
        best = min(best, (time.perf_counter() - started) / repeats)
    del kept
    return best


def _flush(library: Any) -> None:
    if library is rushlight:
        synchronize()


def _streaming(
    passes: int, work: Callable[[Any, Any, Any], Any]
) -> Callable[[Any, Sizes], tuple[Callable[[], Any], float]]:
    def make(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
        x, y = (library.randn(sizes.elements, device="cuda") for _ in range(2))
        return functools.partial(work, library, x, y), 4.0 * passes * sizes.elements

    return make


def _to_host(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    x = library.randn(sizes.elements, device="cuda")
    return x.cpu, 4.0 * sizes.elements


def _from_host(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    pinned = library.randn(sizes.elements).pin_memory()
    return functools.partial(pinned.to, "cuda", non_blocking=True), 4.0 * sizes.elements


def _multiplied(
    dtype: str, large: bool, turned: bool, tf32: bool = False
) -> Callable[[Any, Sizes], tuple[Callable[[], Any], float]]:
    def make(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
        side = sizes.large if large else sizes.product
        library.backends.cuda.matmul.allow_tf32 = tf32
        kind = getattr(library, dtype)
        x, w = (library.randn(side, side, device="cuda").to(kind) for _ in range(2))
        return (lambda: x @ w.T if turned else x @ w), 2.0 * side**3

    return make


def _attended(backward: bool) -> Callable[[Any, Sizes], tuple[Callable[[], Any], float]]:
    def make(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
        batch, heads, length, width = sizes.attention
        q, k, v = (
            library.randn(*sizes.attention, device="cuda").bfloat16().requires_grad_(backward)
            for _ in range(3)
        )
        attend = library.nn.functional.scaled_dot_product_attention

        def work() -> Any:
            y = attend(q, k, v, is_causal=True)
            if not backward:
                return y
            return library.autograd.grad(y.float().sum(), (q, k, v))

        # Half of the scores are hidden; backward has five products to forward's two.
        return work, batch * heads * length**2 * width * 2.0 * (7 if backward else 2)

    return make


def _images(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    images = library.randn(sizes.images, 64, 56, 56, device="cuda")
    kernel = library.randn(64, 64, 3, 3, device="cuda")
    convolve = functools.partial(library.nn.functional.conv2d, images, kernel, padding=1)
    return convolve, 2.0 * sizes.images * 64 * 64 * 9 * 56 * 56


def _lstm(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    layer = library.nn.LSTM(256, 256).cuda()
    steps = library.randn(sizes.steps, 32, 256, device="cuda")

    def work() -> Any:
        with library.no_grad():
            return layer(steps)[0]

    return work, 0.0


def _sorting(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    row = library.randn(sizes.sorted, device="cuda")
    return (lambda: row.sort().values), 0.0


def _small(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    small = library.ones(16, device="cuda")
    return (lambda: small + small), 0.0


def _mlp(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    nn = library.nn
    library.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 2)).cuda()
    optimizer = library.optim.Adam(model.parameters())
    x = library.randn(32, 10, device="cuda")
    y = library.randint(0, 2, (32,), device="cuda")

    def step() -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step, 0.0


def _gpt(library: Any, sizes: Sizes) -> tuple[Callable[[], Any], float]:
    return gpt_step(library, *sizes.gpt), 0.0


def gpt_step(
    library: Any, layers: int, width: int, heads: int, length: int, words: int, batch: int
) -> Callable[[], Any]:
    """A training step of GPT-2's shape under bfloat16, of random words."""
    nn, functional = library.nn, library.nn.functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norms = nn.ModuleList([nn.LayerNorm(width) for _ in range(2)])
            self.attend, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.wide, self.narrow = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            parts = self.attend(self.norms[0](x)).view(batch, length, 3, heads, width // heads)
            q, k, v = parts.permute(2, 0, 3, 1, 4)
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.project(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.narrow(functional.gelu(self.wide(self.norms[1](x))))

    library.manual_seed(0)
    embed = nn.ModuleList([nn.Embedding(words, width), nn.Embedding(length, width)]).cuda()
    body = nn.Sequential(*[Block() for _ in range(layers)], nn.LayerNorm(width)).cuda()
    head = nn.Linear(width, words, bias=False).cuda()
    weights = [p for part in (embed, body, head) for p in part.parameters()]
    optimizer = library.optim.AdamW(weights, lr=1e-4)
    tokens = library.randint(0, words, (batch, length), device="cuda")
    places = library.arange(length, device="cuda")

    def step() -> Any:
        optimizer.zero_grad()
        with library.autocast("cuda", dtype=library.bfloat16):
            scores = head(body(embed[0](tokens) + embed[1](places)))
            loss = functional.cross_entropy(scores.view(-1, words), tokens.view(-1))
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def _gelu(library: Any, x: Any, y: Any) -> Any:
    return library.nn.functional.gelu(x)


def _softmax(library: Any, x: Any, y: Any) -> Any:
    return library.softmax(x.reshape(-1, 1024) if x.numel() >= 1024 else x, -1)


_NORMED = _streaming(
    2, lambda lib, x, y: lib.nn.functional.layer_norm(x.reshape(-1, 1024), (1024,))
)
# In the order of what they decide; parts are processes.
ROWS: dict[str, Measured] = {
    "copy": Measured("rows", "GB/s", _streaming(2, lambda lib, x, y: x.clone()), repeats=10),
    "add": Measured("rows", "GB/s", _streaming(3, lambda lib, x, y: x + y), "85 % of copy",
                    "copy", 0.85, repeats=10),
    "gelu": Measured("rows", "GB/s", _streaming(2, _gelu), "85 % of copy", "copy", 0.85,
                     repeats=10),
    "sum": Measured("rows", "GB/s", _streaming(1, lambda lib, x, y: x.sum()), "85 % of copy",
                    "copy", 0.85, repeats=10),
    "softmax": Measured("rows", "GB/s", _streaming(2, _softmax), "85 % of copy", "copy", 0.85,
                        repeats=10),
    "layer norm": Measured("rows", "GB/s", _NORMED, "85 % of copy", "copy", 0.85, repeats=10),
    "float32 product": Measured("products", "TFLOP/s", _multiplied("float32", False, False),
                                "0.8 of PyTorch", "", 0.8, 3, 3),
    "bfloat16 product": Measured("products", "TFLOP/s", _multiplied("bfloat16", True, True),
                                 "600 TFLOP/s on an H100 or H200", rounds=3, repeats=3),
    "bfloat16 product of rows": Measured("products", "TFLOP/s",
                                         _multiplied("bfloat16", True, False), rounds=3, repeats=3),
    "TF32 product": Measured("products", "TFLOP/s", _multiplied("float32", False, False, True),
                             rounds=3, repeats=3),
    "small add": Measured("steps", "us", _small, repeats=100),
    "training step of an MLP": Measured("steps", "us", _mlp, "a third of PyTorch's time", "", 3.0,
                                        5, 50),
    "training step of a GPT in bfloat16": Measured("gpt", "ms", _gpt, "PyTorch's time", "", 1.0,
                                                   3, 3),
    "attention in bfloat16": Measured("attention", "TFLOP/s", _attended(False), rounds=3,
                                      repeats=5),
    "attention and its gradient": Measured("attention", "TFLOP/s", _attended(True), rounds=3,
                                           repeats=3),
    "convolution": Measured("others", "TFLOP/s", _images, repeats=3),
    "LSTM": Measured("others", "ms", _lstm, rounds=3, repeats=2),
    "sort": Measured("others", "ms", _sorting, rounds=3, repeats=2),
    "to the host": Measured("others", "GB/s", _to_host, rounds=3, repeats=1),
    "from page-locked memory": Measured("others", "GB/s", _from_host, rounds=3, repeats=1),
}  # fmt: skip
