"""Accumulation, averages of weights, hooks, functions of one's own, schedules."""

import copy
import math

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(4)
net = nn.Sequential(nn.Linear(5, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3))
X = torch.randn(32, 5)
Y = torch.randint(0, 3, (32,))
decay, no = [], []
for _n, p in net.named_parameters():
    (no if p.ndim == 1 else decay).append(p)
opt = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": no, "weight_decay": 0.0}], lr=1e-2
)
sch = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: min(1.0, (s + 1) / 3))
ema = copy.deepcopy(net)
for p in ema.parameters():
    p.requires_grad_(False)
acc = 4
opt.zero_grad(set_to_none=True)
for i in range(8):
    l = F.cross_entropy(net(X[i * 4 : i * 4 + 4]), Y[i * 4 : i * 4 + 4]) / acc
    l.backward()
    if (i + 1) % acc == 0:
        tn = torch.norm(torch.stack([p.grad.norm(2) for p in net.parameters()]), 2)
        opt.step()
        sch.step()
        opt.zero_grad()
        with torch.no_grad():
            for pe, p in zip(ema.parameters(), net.parameters()):
                pe.mul_(0.9).add_(p, alpha=0.1)
            for pe, p in zip(ema.buffers(), net.buffers()):
                pe.copy_(p)
        print(i, l, tn, opt.param_groups[0]["lr"])
print(ema(X[:2]))
acts = {}


def hook(name):
    def f(m, i, o):
        acts[name] = o.detach()
        print(name, tuple(i[0].shape), "->", tuple(o.shape))

    return f


hs = [m.register_forward_hook(hook(n)) for n, m in net.named_modules() if n]
net(X[:2])
[h.remove() for h in hs]
print({k: v.mean().item().__format__(".4f") for k, v in acts.items()})
h = net[0].register_full_backward_hook(
    lambda m, gi, go: print(
        "bw", [None if g is None else tuple(g.shape) for g in gi], [tuple(g.shape) for g in go]
    )
)
net(X[:2]).sum().backward()
h.remove()


class MyReLU(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        g = g.clone()
        g[x < 0] = 0
        return g


class P3(torch.autograd.Function):
    @staticmethod
    def forward(ctx, i, w):
        ctx.save_for_backward(i, w)
        ctx.k = 3
        return 0.5 * (5 * i**3 - 3 * i) * w

    @staticmethod
    def backward(ctx, g):
        i, w = ctx.saved_tensors
        return g * 1.5 * (5 * i**2 - 1) * w, (g * 0.5 * (5 * i**3 - 3 * i)).sum_to_size(
            w.shape
        ) if ctx.needs_input_grad[1] else None


x = torch.linspace(-1, 1, 5, requires_grad=True)
y = MyReLU.apply(x)
y.sum().backward()
print(y, x.grad)
w = torch.tensor([2.0], requires_grad=True)
z = P3.apply(x, w)
print(z)
z.sum().backward()
print(x.grad, w.grad)
print(
    torch.autograd.gradcheck(
        P3.apply, (x.double().detach().requires_grad_(), w.double().detach().requires_grad_())
    )
)
xs = torch.linspace(-math.pi, math.pi, 200)
ys = torch.sin(xs)
P = xs.unsqueeze(-1).pow(torch.tensor([1, 2, 3]))
lin = nn.Sequential(nn.Linear(3, 1), nn.Flatten(0, 1))
o = torch.optim.LBFGS(
    lin.parameters(), lr=0.5, max_iter=10, history_size=5, line_search_fn="strong_wolfe"
)


def closure():
    o.zero_grad()
    l = F.mse_loss(lin(P), ys)
    l.backward()
    return l


for _ in range(3):
    print("lbfgs", o.step(closure))
print(f"{lin[0].bias.item():.5f}", lin[0].weight.detach().round(decimals=3))
print(
    torch.autograd.functional.jacobian(
        lambda v: torch.stack([v.prod(), v.sum() ** 2]), torch.tensor([1.0, 2, 3])
    )
)
print(torch.autograd.functional.hessian(lambda v: (v**3).sum() * v[0], torch.tensor([1.0, 2])))
im = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
pt = im.unfold(2, 2, 2).unfold(3, 2, 2).permute(0, 2, 3, 1, 4, 5).reshape(2, 4, -1)
print(pt.shape, pt[0, 0])
print(F.pixel_shuffle(torch.arange(16.0).view(1, 4, 2, 2), 2))
q = torch.randn(2, 5, 12).view(2, 5, 3, 4).transpose(1, 2)
print((q @ q.transpose(-2, -1) / 2).softmax(-1).transpose(1, 2).contiguous().view(2, 5, -1).sum())
print(torch.einsum("bhid,bhjd->bhij", q, q).shape, torch.einsum("ii->i", torch.eye(3)))
hm = nn.Linear(4, 4).half()
print(hm.weight.dtype, hm(torch.ones(1, 4, dtype=torch.half)).dtype)
b16 = nn.Linear(4, 2).to(torch.bfloat16)
print(b16(torch.ones(1, 4, dtype=torch.bfloat16)))
d = nn.Linear(4, 2).double()
print(d(torch.ones(1, 4, dtype=torch.float64)))

sc = torch.optim.lr_scheduler
o = torch.optim.SGD([nn.Parameter(torch.ones(1))], lr=0.1)
for S in (
    lambda: sc.CosineAnnealingLR(o, 5),
    lambda: sc.OneCycleLR(o, 0.1, total_steps=6),
    lambda: sc.ExponentialLR(o, 0.9),
    lambda: sc.MultiStepLR(o, [2, 4]),
    lambda: sc.CosineAnnealingWarmRestarts(o, 2),
    lambda: sc.SequentialLR(
        o, [sc.LinearLR(o, 0.1, total_iters=2), sc.ConstantLR(o)], milestones=[2]
    ),
    lambda: sc.CyclicLR(o, 0.01, 0.1, 2),
    lambda: sc.PolynomialLR(o, 4),
):
    o.param_groups[0]["lr"] = 0.1
    o.param_groups[0].pop("initial_lr", None)
    s = S()
    r = []
    for _ in range(5):
        o.step()
        s.step()
        r.append(round(o.param_groups[0]["lr"], 5))
    print(type(s).__name__, r)
rp = sc.ReduceLROnPlateau(o, patience=1)
[rp.step(1.0) for _ in range(4)]
print(o.param_groups[0]["lr"] < 1)
swa = torch.optim.swa_utils.AveragedModel(net)
swa.update_parameters(net)
print(len(list(swa.parameters())))
net2 = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
print(net2)
