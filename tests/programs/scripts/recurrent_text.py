"""Sentences of many lengths, packed, through every recurrent layer."""

import math
import random
from collections import Counter

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

torch.manual_seed(1)
random.seed(1)
lines = [
    "the cat sat on the mat",
    "dogs like bones",
    "a bird flew over the old house",
    "fish swim",
    "the dog sat on the cat",
]
counter = Counter(w for l in lines for w in l.split())
vocab = {w: i + 1 for i, (w, _) in enumerate(counter.most_common())}


class Text(Dataset):
    def __init__(self):
        self.data = [(torch.tensor([vocab[w] for w in l.split()]), len(l) % 2) for l in lines]

    def __len__(self):
        return len(self.data)

    def __getitem__(self, i):
        return self.data[i]


def collate(batch):
    xs, ys = zip(*sorted(batch, key=lambda b: -len(b[0])))
    return (
        pad_sequence(xs, batch_first=True),
        torch.tensor([len(x) for x in xs]),
        torch.tensor(ys, dtype=torch.float32),
    )


class Model(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.emb = nn.Embedding(len(vocab) + 1, 8, padding_idx=0)
        self.rnn = getattr(nn, kind)(
            8, 6, num_layers=2, batch_first=True, bidirectional=True, dropout=0.0
        )
        self.out = nn.Linear(12, 1)

    def forward(self, x, n):
        p = pack_padded_sequence(self.emb(x), n, batch_first=True)
        o, h = self.rnn(p)
        if isinstance(h, tuple):
            h = h[0]
        o, lens = pad_packed_sequence(o, batch_first=True)
        h = torch.cat((h[-2], h[-1]), dim=1)
        return self.out(h).squeeze(1), o, lens


for kind in ("LSTM", "GRU", "RNN"):
    m = Model(kind)
    opt = torch.optim.Adam(m.parameters(), lr=0.01)
    print(m)
    for ep in range(3):
        tot = 0
        for x, n, y in DataLoader(Text(), batch_size=2, shuffle=True, collate_fn=collate):
            logit, o, lens = m(x, n)
            loss = F.binary_cross_entropy_with_logits(logit, y)
            opt.zero_grad()
            loss.backward()
            g = nn.utils.clip_grad_norm_(m.parameters(), 0.5)
            opt.step()
            tot += loss.item()
        print(kind, ep, round(tot, 4), o.shape, lens.tolist(), f"{g:.4f}")
    print(m.emb.weight.grad[0])


# char-level, teacher forcing, hidden state carried
class Char(nn.Module):
    def __init__(self, n, h=16):
        super().__init__()
        self.e = nn.Embedding(n, h)
        self.cell = nn.LSTMCell(h, h)
        self.o = nn.Linear(h, n)

    def forward(self, x, s=None):
        outs = []
        for t in range(x.size(1)):
            s = self.cell(self.e(x[:, t]), s)
            outs.append(self.o(s[0]))
        return torch.stack(outs, 1), s


text = " ".join(lines)
chars = sorted(set(text))
ids = torch.tensor([chars.index(c) for c in text])
m = Char(len(chars))
opt = torch.optim.RMSprop(m.parameters(), lr=0.01)
state = None
for i in range(0, 60, 20):
    x, y = ids[i : i + 20][None], ids[i + 1 : i + 21][None]
    out, state = m(x, state)
    state = tuple(s.detach() for s in state)
    loss = F.cross_entropy(out.view(-1, len(chars)), y.view(-1))
    opt.zero_grad()
    loss.backward()
    opt.step()
    print(f"{loss.item():.4f} ppl {math.exp(loss.item()):.3f}")
with torch.no_grad():
    c = torch.zeros(1, 1, dtype=torch.long)
    s = None
    res = ""
    for _ in range(15):
        o, s = m(c, s)
        c = torch.multinomial(F.softmax(o[:, -1] / 0.8, dim=-1), 1)
        res += chars[c.item()]
    print(repr(res))
