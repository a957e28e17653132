"""Programs whose shapes are new at nearly every step, written once against PyTorch's interface.

    python -m benchmarks.varying [torch|rushlight] [NAMES] [--steps N] [--threads N]

Prints for each program a line of JSON: milliseconds a step (median, mean and longest, of the steps
after the first few), plans made and kernels compiled after them, and resident megabytes.  Workloads
of `Job`'s kind, so that `benchmarks.measure` can run them too.
"""

from __future__ import annotations

import argparse
import importlib
import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from benchmarks.workloads import Job

# Steps in which programs may still be made.
FIRST_STEPS = 20
_VOCABULARY = 64


def lstm_varying(torch: ModuleType, F: ModuleType) -> Job:
    """LSTM classifier 32-32, batch 1-32 and length 3-40 drawn anew each step, Adam"""
    nn = torch.nn

    class Reader(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.lstm = nn.LSTM(32, 32, batch_first=True)
            self.head = nn.Linear(32, 10)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    torch.manual_seed(0)
    model = Reader()
    optimizer = torch.optim.Adam(model.parameters())
    draw = random.Random(0)

    def step() -> float:
        batch, length = draw.randint(1, 32), draw.randint(3, 40)
        x, y = torch.randn(batch, length, 32), torch.randint(0, 10, (batch,))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(step)


def _gpt(torch: ModuleType, F: ModuleType, layers: int, width: int, heads: int, context: int):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.attend = nn.Linear(width, 3 * width)
            self.project = nn.Linear(width, width)
            self.mlp = nn.Sequential(
                nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
            )

        def forward(self, x, cache=None, place=None, end=0):
            batch, length, _ = x.shape
            q, k, v = self.attend(self.norm1(x)).split(width, dim=2)
            q, k, v = (
                t.view(batch, length, heads, width // heads).transpose(1, 2) for t in (q, k, v)
            )
            if cache is not None and place is None:
                if cache:
                    k, v = torch.cat([cache[0], k], dim=2), torch.cat([cache[1], v], dim=2)
                cache[:] = [k, v]
            elif cache is not None:
                cache[0].index_copy_(2, place, k)
                cache[1].index_copy_(2, place, v)
                k, v = cache[0][:, :, :end], cache[1][:, :, :end]
            mixed = F.scaled_dot_product_attention(q, k, v, is_causal=length > 1)
            x = x + self.project(mixed.transpose(1, 2).reshape(batch, length, width))
            return x + self.mlp(self.norm2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.token = nn.Embedding(_VOCABULARY, width)
            self.position = nn.Embedding(context, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, _VOCABULARY, bias=False)

        def forward(self, tokens, start=0, caches=None, reserved=False):
            end = start + tokens.shape[1]
            places = torch.arange(start, end)
            x = self.token(tokens) + self.position(places)
            place = places if reserved else None
            for number, block in enumerate(self.blocks):
                x = block(x, None if caches is None else caches[number], place, end)
            return self.head(self.norm(x))

    torch.manual_seed(0)
    return GPT()


def gpt_varying(torch: ModuleType, F: ModuleType) -> Job:
    """GPT of 2 layers, width 64, batch 1-16 and length 4-64 drawn anew each step, AdamW"""
    model = _gpt(torch, F, 2, 64, 4, 64)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    draw = random.Random(0)

    def step() -> float:
        batch, length = draw.randint(1, 16), draw.randint(4, 64)
        tokens = torch.randint(0, _VOCABULARY, (batch, length))
        optimizer.zero_grad()
        logits = model(tokens)
        loss = F.cross_entropy(logits.view(-1, _VOCABULARY), tokens.view(-1))
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(step)


def unrolled_varying(torch: ModuleType, F: ModuleType) -> Job:
    """LSTMCell 32-64 called in a loop, batch 16, length 3-60 drawn anew each step, Adam"""
    torch.manual_seed(0)
    cell, head = torch.nn.LSTMCell(32, 64), torch.nn.Linear(64, 10)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()])
    draw = random.Random(0)

    def step() -> float:
        length = draw.randint(3, 60)
        x, y = torch.randn(length, 16, 32), torch.randint(0, 10, (16,))
        h = c = torch.zeros(16, 64)
        for t in range(length):
            h, c = cell(x[t], (h, c))
        optimizer.zero_grad()
        loss = F.cross_entropy(head(h), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(step)


def episodes_varying(torch: ModuleType, F: ModuleType) -> Job:
    """REINFORCE with 10-120 decisions an episode, each of them read, Adam"""
    nn = torch.nn
    torch.manual_seed(0)
    policy = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 2), nn.Softmax(dim=-1))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-3)
    draw = random.Random(0)

    def step() -> float:
        log_probs, rewards = [], []
        for _ in range(draw.randint(10, 120)):
            state = torch.tensor([[draw.gauss(0.0, 1.0) for _ in range(4)]])
            choices = torch.distributions.Categorical(policy(state))
            action = choices.sample()
            log_probs.append(choices.log_prob(action))
            rewards.append(float(action.item() == (state[0, 0].item() > 0)))
        returns = torch.tensor(rewards)
        returns = (returns - returns.mean()) / (returns.std() + 1e-6)
        losses = [-chance * value for chance, value in zip(log_probs, returns)]
        optimizer.zero_grad()
        loss = torch.cat(losses).sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(step)


def images_varying(torch: ModuleType, F: ModuleType) -> Job:
    """Segmentation network of 5 convolutions, batch 1-4, height and width 24-64 drawn anew, SGD"""
    nn = torch.nn

    class Segmenter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False)
            self.norm1, self.norm2 = nn.BatchNorm2d(16), nn.BatchNorm2d(32)
            self.down = nn.Conv2d(16, 32, 3, padding=1, bias=False)
            self.deep = nn.Conv2d(32, 32, 3, padding=1)
            self.lateral = nn.Conv2d(16, 32, 1)
            self.head = nn.Conv2d(32, 8, 1)

        def forward(self, x):
            fine = F.relu(self.norm1(self.stem(x)))
            coarse = F.relu(self.norm2(self.down(F.max_pool2d(fine, 2, ceil_mode=True))))
            coarse = F.relu(self.deep(coarse))
            size = fine.shape[2:]
            mixed = self.lateral(fine) + F.interpolate(coarse, size=size, mode="nearest")
            logits = self.head(F.relu(mixed))
            return F.interpolate(logits, size=x.shape[2:], mode="bilinear", align_corners=False)

    torch.manual_seed(0)
    model = Segmenter()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    draw = random.Random(0)

    def step() -> float:
        batch, height, width = draw.randint(1, 4), draw.randint(24, 64), draw.randint(24, 64)
        x = torch.randn(batch, 3, height, width)
        y = torch.randint(0, 8, (batch, height, width))
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return loss.item()

    return Job(step)


def generation(torch: ModuleType, F: ModuleType) -> Job:
    """63 tokens by a GPT of 2 layers, width 64, sequence growing by one"""
    model = _gpt(torch, F, 2, 64, 4, 64)
    model.eval()

    def step() -> float:
        tokens = torch.zeros(1, 1, dtype=torch.int64)
        with torch.no_grad():
            for _ in range(63):
                logits = model(tokens)[:, -1]
                tokens = torch.cat([tokens, logits.argmax(-1, keepdim=True)], dim=1)
        return float(tokens.sum())

    return Job(step)


def generation_cached(torch: ModuleType, F: ModuleType) -> Job:
    """256 tokens by a GPT of 6 layers, width 384, with a key-value cache that is joined to"""
    model = _gpt(torch, F, 6, 384, 6, 256)
    model.eval()

    def step() -> float:
        token = torch.zeros(1, 1, dtype=torch.int64)
        caches: list[list] = [[] for _ in model.blocks]
        total = 0
        with torch.no_grad():
            for place in range(256):
                logits = model(token, place, caches)[:, -1]
                token = logits.argmax(-1, keepdim=True)
                total += token.item()
        return float(total)

    return Job(step)


def generation_preallocated(torch: ModuleType, F: ModuleType) -> Job:
    """256 tokens by a GPT of 6 layers, width 384, with a key-value cache that is written to"""
    model = _gpt(torch, F, 6, 384, 6, 256)
    model.eval()

    def step() -> float:
        token = torch.zeros(1, 1, dtype=torch.int64)
        caches = [[torch.zeros(1, 6, 256, 64) for _ in range(2)] for _ in model.blocks]
        total = 0
        with torch.no_grad():
            for place in range(256):
                logits = model(token, place, caches, True)[:, -1]
                token = logits.argmax(-1, keepdim=True)
                total += token.item()
        return float(total)

    return Job(step)


VARYING: dict[str, Callable[[ModuleType, ModuleType], Job]] = {
    f.__name__: f
    for f in (
        lstm_varying,
        gpt_varying,
        unrolled_varying,
        episodes_varying,
        images_varying,
        generation,
        generation_cached,
        generation_preallocated,
    )
}


def resident_megabytes() -> float:
    """Of this process, now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def measured(library: str, name: str, steps: int, threads: int) -> dict:
    """One program's figures."""
    torch = importlib.import_module(library)
    torch.set_num_threads(threads)
    job = VARYING[name](torch, importlib.import_module(f"{library}.nn.functional"))
    first = min(FIRST_STEPS, max(1, steps // 3))
    losses = [job.step() for _ in range(first)]
    before = dict(torch.stats()) if library == "rushlight" else {}
    times: list[float] = []
    used: list[float] = []
    memory = []
    for number in range(steps - first):
        started, began = time.perf_counter(), time.process_time()
        losses.append(job.step())
        times.append(1e3 * (time.perf_counter() - started))
        used.append(1e3 * (time.process_time() - began))
        if number % max(1, (steps - first) // 4) == 0:
            memory.append(round(resident_megabytes()))
    found = {
        "library": library, "program": name, "median_ms": round(statistics.median(times), 2),
        "mean_ms": round(statistics.mean(times), 2), "longest_ms": round(max(times), 1),
        "cpu_median_ms": round(statistics.median(used), 2),
        "cpu_mean_ms": round(statistics.mean(used), 2), "cpu_longest_ms": round(max(used), 1),
        "resident_mb": [*memory, round(resident_megabytes())],
        "last": losses[-1],
    }  # fmt: skip
    if before:
        after = torch.stats()
        for count in ("plans_made", "kernels_compiled", "kernels_from_disk", "memo_evictions"):
            found[count] = after[count] - before[count]
    return found


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.varying")
    parser.add_argument("library", choices=("torch", "rushlight"))
    parser.add_argument("names", nargs="*", default=list(VARYING))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    for name in options.names:
        print(json.dumps(measured(options.library, name, options.steps, options.threads)))


if __name__ == "__main__":
    main()
