"""Segmentation, residual networks, patches, diffusion; workers and saved models."""

import os
import tempfile

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset, Subset

torch.manual_seed(21)


def double(i, o):
    return nn.Sequential(
        nn.Conv2d(i, o, 3, padding=1),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
        nn.Conv2d(o, o, 3, padding=1),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(s):
        super().__init__()
        s.d1, s.d2, s.b = double(1, 4), double(4, 8), double(8, 16)
        s.pool = nn.MaxPool2d(2)
        s.u2 = nn.ConvTranspose2d(16, 8, 2, 2)
        s.c2 = double(16, 8)
        s.u1 = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        s.c1 = double(12, 4)
        s.o = nn.Conv2d(4, 2, 1)

    def forward(s, x):
        a = s.d1(x)
        b = s.d2(s.pool(a))
        c = s.b(s.pool(b))
        u = s.u2(c)
        dy = b.size(2) - u.size(2)
        dx = b.size(3) - u.size(3)
        u = F.pad(u, [dx // 2, dx - dx // 2, dy // 2, dy - dy // 2])
        u = s.c2(torch.cat([b, u], 1))
        return s.o(s.c1(torch.cat([a, F.interpolate(u, size=a.shape[2:], mode="nearest")], 1)))


def dice(p, t, eps=1.0):
    p = p.softmax(1)[:, 1]
    i = (p * t).sum((1, 2))
    return 1 - ((2 * i + eps) / (p.sum((1, 2)) + t.sum((1, 2)) + eps)).mean()


net = UNet()
opt = torch.optim.RMSprop(net.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-8)
x = torch.rand(2, 1, 10, 10)
y = (x[:, 0] > 0.5).long()
for i in range(3):
    o = net(x)
    l = F.cross_entropy(o, y) + dice(o, y.float())
    opt.zero_grad()
    l.backward()
    opt.step()
    print(i, l, o.argmax(1).eq(y).float().mean())


class BasicBlock(nn.Module):
    expansion = 1

    def __init__(s, i, o, stride=1):
        super().__init__()
        s.conv1 = nn.Conv2d(i, o, 3, stride, 1, bias=False)
        s.bn1 = nn.BatchNorm2d(o)
        s.conv2 = nn.Conv2d(o, o, 3, 1, 1, bias=False)
        s.bn2 = nn.BatchNorm2d(o)
        s.shortcut = nn.Sequential()
        if stride != 1 or i != o:
            s.shortcut = nn.Sequential(nn.Conv2d(i, o, 1, stride, bias=False), nn.BatchNorm2d(o))

    def forward(s, x):
        out = F.relu(s.bn1(s.conv1(x)))
        out = s.bn2(s.conv2(out))
        out += s.shortcut(x)
        return F.relu(out)


r = nn.Sequential(
    nn.Conv2d(3, 8, 3, 1, 1),
    BasicBlock(8, 8),
    BasicBlock(8, 16, 2),
    nn.AvgPool2d(4),
    nn.Flatten(),
    nn.Linear(16 * 4, 10),
)
for m in r.modules():
    if isinstance(m, nn.Conv2d):
        nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
    elif isinstance(m, (nn.BatchNorm2d, nn.GroupNorm)):
        nn.init.constant_(m.weight, 1)
        nn.init.constant_(m.bias, 0)


class Toy(Dataset):
    def __init__(s, n, tf=None):
        s.n, s.tf = n, tf

    def __len__(s):
        return s.n

    def __getitem__(s, i):
        g = torch.Generator().manual_seed(i)
        x = torch.rand(3, 16, 16, generator=g)
        return (s.tf(x) if s.tf else x), i % 10


class Norm:
    def __call__(s, x):
        return (x - x.mean((1, 2), keepdim=True)) / x.std((1, 2), keepdim=True)


tr = DataLoader(
    ConcatDataset([Toy(20, Norm()), Subset(Toy(20), range(5, 15))]),
    batch_size=10,
    shuffle=True,
    num_workers=2,
)
opt = torch.optim.SGD(r.parameters(), lr=0.05, momentum=0.9, nesterov=True, weight_decay=5e-4)
sch = torch.optim.lr_scheduler.OneCycleLR(opt, 0.1, epochs=2, steps_per_epoch=len(tr))


for ep in range(2):
    for i, (a, b) in enumerate(tr):
        o = r(a)
        l = F.cross_entropy(o, b)
        opt.zero_grad()
        l.backward()
        opt.step()
        sch.step()
        print(
            ep, i, f"{l.item():.4f}", o.argmax(1).eq(b).sum().item(), f"{sch.get_last_lr()[0]:.5f}"
        )


class Patch(nn.Module):
    def __init__(s):
        super().__init__()
        s.proj = nn.Conv2d(3, 16, 4, 4)
        s.cls = nn.Parameter(torch.zeros(1, 1, 16))
        s.pos = nn.Parameter(torch.randn(1, 17, 16) * 0.02)
        s.enc = nn.TransformerEncoder(
            nn.TransformerEncoderLayer(
                16, 4, 32, batch_first=True, norm_first=True, activation="gelu", dropout=0.0
            ),
            2,
            enable_nested_tensor=False,
        )
        s.head = nn.Linear(16, 5)
        nn.init.trunc_normal_(s.cls, std=0.02)

    def forward(s, x):
        x = s.proj(x).flatten(2).transpose(1, 2)
        x = torch.cat([s.cls.expand(x.shape[0], -1, -1), x], 1) + s.pos
        return s.head(s.enc(x)[:, 0])


v = Patch()
opt = torch.optim.AdamW(v.parameters(), 1e-3)
xs = torch.rand(4, 3, 16, 16)
for _ in range(3):
    l = F.cross_entropy(v(xs), torch.tensor([0, 1, 2, 3]), label_smoothing=0.1)
    opt.zero_grad()
    l.backward()
    opt.step()
    print(l)
T = 20
beta = torch.linspace(1e-4, 0.02, T)
ab = torch.cumprod(1 - beta, 0)
eps = nn.Sequential(nn.Linear(3, 32), nn.SiLU(), nn.Linear(32, 2))
o = torch.optim.Adam(eps.parameters(), 1e-3)
d = torch.randn(64, 2)
for _ in range(3):
    t = torch.randint(0, T, (64,))
    n = torch.randn_like(d)
    xt = ab[t].sqrt()[:, None] * d + (1 - ab[t]).sqrt().unsqueeze(1) * n
    l = (eps(torch.cat([xt, t[:, None] / T], 1)) - n).pow(2).mean()
    o.zero_grad()
    l.backward()
    o.step()
    print(l)
with torch.no_grad():
    x = torch.randn(3, 2)
    for t in reversed(range(T)):
        e = eps(torch.cat([x, torch.full((3, 1), t / T)], 1))
        x = (x - beta[t] / (1 - ab[t]).sqrt() * e) / (1 - beta[t]).sqrt() + (
            beta[t].sqrt() * torch.randn_like(x) if t else 0
        )
    print(x)


class Stream(IterableDataset):
    def __iter__(s):
        w = torch.utils.data.get_worker_info()
        lo, st = (0, 1) if w is None else (w.id, w.num_workers)
        for i in range(lo, 8, st):
            yield torch.tensor(i), {"k": i * 2.0}


print(
    [
        (a.tolist(), b["k"].tolist(), b["k"].dtype)
        for a, b in DataLoader(Stream(), batch_size=3, num_workers=2)
    ]
)
with tempfile.TemporaryDirectory() as dd:
    p = os.path.join(dd, "m.pt")
    torch.save(r.state_dict(), p)
    s = torch.load(p, map_location="cpu", weights_only=True)
    r2 = nn.Sequential(*list(r))
    print(r2.load_state_dict(s, strict=False))
    torch.save(r, p)
    r3 = torch.load(p, weights_only=False)
    r.eval()
    r3.eval()
    print(torch.equal(r(xs), r3(xs)))
pixels = xs.clone().requires_grad_()
F.nll_loss(r(pixels).log_softmax(1), torch.tensor([1, 2, 3, 4])).backward()
moved = (pixels + 0.1 * pixels.grad.sign()).clamp(0, 1)
print(r(moved).argmax(1), pixels.grad.abs().amax(1).mean())
