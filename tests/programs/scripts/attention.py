"""Decoders: one with additive attention and teacher forcing, one causal with shared weights."""

import math
import random

import torch
from torch import nn
from torch.nn import functional as F

torch.manual_seed(11)
random.seed(11)


class Reader(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.table = nn.Embedding(words, width)
        self.rnn = nn.GRU(width, width, batch_first=True)

    def forward(self, x):
        return self.rnn(F.dropout(self.table(x), 0.1, self.training))


class Writer(nn.Module):
    def __init__(self, words, width):
        super().__init__()
        self.table = nn.Embedding(words, width)
        self.query, self.key = nn.Linear(width, width), nn.Linear(width, width, bias=False)
        self.energy = nn.Linear(width, 1)
        self.cell = nn.GRUCell(2 * width, width)
        self.out = nn.Linear(width, words)

    def step(self, word, state, memory):
        energy = self.energy(torch.tanh(self.query(state)[:, None] + self.key(memory)))
        weights = energy.squeeze(-1).softmax(dim=-1)
        context = torch.bmm(weights.unsqueeze(1), memory).squeeze(1)
        state = self.cell(torch.cat((self.table(word), context), dim=1), state)
        return self.out(state).log_softmax(-1), state, weights

    def forward(self, memory, state, length, target=None):
        word = torch.zeros(len(memory), dtype=torch.long)
        scores = []
        for place in range(length):
            score, state, weights = self.step(word, state, memory)
            scores.append(score)
            forced = target is not None and random.random() < 0.5
            word = target[:, place] if forced else score.topk(1)[1].squeeze(1).detach()
        return torch.stack(scores, dim=1), weights


reader, writer = Reader(12, 16), Writer(12, 16)
optimizers = [torch.optim.Adam(part.parameters(), lr=1e-2) for part in (reader, writer)]
source = torch.randint(2, 12, (6, 7))
target = torch.randint(1, 12, (6, 5))
target[:, -1] = 0
for _ in range(4):
    memory, last = reader(source)
    scores, weights = writer(memory, last[0], 5, target)
    loss = F.nll_loss(scores.transpose(1, 2), target, ignore_index=0)
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        optimizer.step()
    print(loss, weights.argmax(1).tolist())


class Layer(nn.Module):
    def __init__(self, width, heads, length):
        super().__init__()
        self.heads = heads
        self.before, self.after = nn.LayerNorm(width), nn.LayerNorm(width)
        self.joint = nn.Linear(width, 3 * width)
        self.mix = nn.Linear(width, width)
        self.wide = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width), nn.Dropout(0.1)
        )
        self.register_buffer("past", torch.tril(torch.ones(length, length)).bool())

    def attend(self, x, fused):
        batch, length, width = x.shape
        parts = self.joint(x).view(batch, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = parts.unbind(0)
        if fused:
            found = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        else:
            scores = q @ k.transpose(-2, -1) / math.sqrt(q.size(-1))
            hidden = ~self.past[:length, :length]
            found = scores.masked_fill(hidden, float("-inf")).softmax(-1) @ v
        return self.mix(found.transpose(1, 2).reshape(batch, length, width))

    def forward(self, x, fused=True):
        x = x + self.attend(self.before(x), fused)
        return x + self.wide(self.after(x))


class Decoder(nn.Module):
    def __init__(self, words=20, width=16, length=12):
        super().__init__()
        self.words, self.places = nn.Embedding(words, width), nn.Embedding(length, width)
        self.layers = nn.ModuleList(Layer(width, 4, length) for _ in range(2))
        self.norm = nn.LayerNorm(width)
        self.out = nn.Linear(width, words, bias=False)
        self.out.weight = self.words.weight
        for name, parameter in self.named_parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02 if "mix" in name else 0.05)

    def forward(self, x):
        h = self.words(x) + self.places(torch.arange(x.shape[1], device=x.device))
        for layer in self.layers:
            h = layer(h)
        return self.out(self.norm(h))


model = Decoder()
print(sum(p.numel() for p in model.parameters()), len(model.state_dict()))
matrices = [p for p in model.parameters() if p.dim() > 1]
vectors = [p for p in model.parameters() if p.dim() == 1]
optimizer = torch.optim.AdamW(
    [{"params": matrices, "weight_decay": 0.1}, {"params": vectors, "weight_decay": 0.0}], lr=3e-3
)
corpus = torch.randint(0, 20, (300,))
for step in range(6):
    for group in optimizer.param_groups:
        group["lr"] = 3e-3 * min(1, (step + 1) / 3)
    optimizer.zero_grad(set_to_none=True)
    for _ in range(2):
        starts = torch.randint(len(corpus) - 12, (4,))
        x = torch.stack([corpus[i : i + 12] for i in starts])
        y = torch.stack([corpus[i + 1 : i + 13] for i in starts])
        loss = F.cross_entropy(model(x).flatten(0, 1), y.flatten()) / 2
        loss.backward()
    norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    print(step, loss, f"{norm:.4f}")
model.eval()
with torch.no_grad():
    text = torch.zeros(1, 1, dtype=torch.long)
    for _ in range(15):
        scores = model(text[:, -12:])[:, -1] / 0.8
        least = torch.topk(scores, 5)[0][:, [-1]]
        scores[scores < least] = -float("inf")
        text = torch.cat((text, torch.multinomial(scores.softmax(-1), 1)), dim=1)
    print(text)
    h = torch.randn(2, 5, 16)
    print(torch.allclose(model.layers[0](h), model.layers[0](h, False), atol=1e-5))
print(model.layers[1])
