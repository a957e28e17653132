"""Losses on pairs and triplets; samplers and batches of dictionaries."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import (
    BatchSampler,
    DataLoader,
    Dataset,
    Sampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)

torch.manual_seed(8)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.f = nn.Sequential(nn.Linear(10, 16), nn.PReLU(), nn.Linear(16, 4))

    def forward(self, x):
        return F.normalize(self.f(x), p=2, dim=-1)


def contrastive(a, b, y, m=1.0):
    d = F.pairwise_distance(a, b, keepdim=True)
    return torch.mean((1 - y) * d.pow(2) + y * torch.clamp(m - d, min=0.0).pow(2))


def info_nce(a, b, t=0.1):
    s = a @ b.T / t
    y = torch.arange(len(a), device=a.device)
    return (F.cross_entropy(s, y) + F.cross_entropy(s.t(), y)) / 2


def nt_xent(z, t=0.5):
    n = z.shape[0]
    s = F.cosine_similarity(z.unsqueeze(1), z.unsqueeze(0), dim=2) / t
    s = s.masked_fill(torch.eye(n, dtype=torch.bool), float("-inf"))
    y = torch.arange(n).roll(n // 2)
    return F.cross_entropy(s, y)


class Pairs(Dataset):
    def __init__(self):
        self.x = torch.randn(30, 10)
        self.y = torch.randint(0, 3, (30,))

    def __getitem__(self, i):
        j = (i * 7 + 3) % 30
        return {
            "a": self.x[i],
            "b": self.x[j],
            "same": float(self.y[i] != self.y[j]),
            "name": f"s{i}",
            "idx": (i, j),
        }

    def __len__(self):
        return 30


ds = Pairs()
net = Net()
opt = torch.optim.AdamW(net.parameters(), lr=1e-2)
w = WeightedRandomSampler(torch.where(ds.y == 0, 2.0, 1.0), 24, replacement=True)
for b in DataLoader(ds, batch_size=8, sampler=w):
    a, c = net(b["a"]), net(b["b"])
    y = b["same"].float().unsqueeze(1)
    l = contrastive(a, c, y)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(l, b["name"][:3], b["idx"][1][:3], b["same"].dtype)
print(info_nce(net(ds.x[:6]), net(ds.x[6:12])))
print(nt_xent(net(ds.x[:8])))
tl = nn.TripletMarginLoss(margin=0.5)
print(tl(net(ds.x[:4]), net(ds.x[4:8]), net(ds.x[8:12])))
print(nn.CosineEmbeddingLoss()(net(ds.x[:4]), net(ds.x[4:8]), torch.tensor([1.0, -1, 1, -1])))
for idx in BatchSampler(SubsetRandomSampler(range(10)), 4, False):
    print(idx)


class Every(Sampler):
    def __init__(self, n):
        self.n = n

    def __iter__(self):
        return iter(range(0, self.n, 3))

    def __len__(self):
        return self.n // 3


print([b["name"] for b in DataLoader(ds, batch_size=5, sampler=Every(30), drop_last=True)])
print(
    [
        b["name"]
        for b in DataLoader(
            ds,
            batch_sampler=BatchSampler(Every(30), 4, True),
            num_workers=2,
            persistent_workers=True,
        )
    ]
)
