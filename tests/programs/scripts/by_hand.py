"""Optimizers, updates and derivatives written by hand; a walk through the tensor functions."""

import copy
import io
import pickle
import random
import warnings
from collections import OrderedDict

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

seed = 42
torch.manual_seed(seed)
torch.cuda.manual_seed_all(seed)
np.random.seed(seed)
random.seed(seed)
torch.backends.cudnn.deterministic = True
torch.backends.cudnn.benchmark = False
torch.set_default_dtype(torch.float64)
print(torch.ones(2).dtype, torch.tensor(1.5).dtype)
torch.set_default_dtype(torch.float32)


class Sgd(torch.optim.Optimizer):
    def __init__(s, params, lr=0.1, mom=0.9):
        super().__init__(params, {"lr": lr, "mom": mom})

    @torch.no_grad()
    def step(s, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for g in s.param_groups:
            for p in g["params"]:
                if p.grad is None:
                    continue
                st = s.state[p]
                if len(st) == 0:
                    st["buf"] = torch.zeros_like(p, memory_format=torch.preserve_format)
                    st["n"] = 0
                st["n"] += 1
                st["buf"].mul_(g["mom"]).add_(p.grad)
                p.add_(st["buf"], alpha=-g["lr"])
                p.data.clamp_(-1, 1)
        return loss


m = nn.Linear(3, 1)
o = Sgd(m.parameters())
X = torch.randn(10, 3)
y = X @ torch.tensor([1.0, -2, 0.5]) + 0.1
for _i in range(4):
    l = F.mse_loss(m(X).squeeze(-1), y)
    o.zero_grad()
    l.backward()
    o.step()
    print(l, m.weight)
print(list(o.state_dict()["state"].keys()), o.state_dict()["param_groups"])
# manual
w = torch.zeros(3, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for _ep in range(3):
    loss = ((X @ w + b - y) ** 2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        b -= 0.1 * b.grad
    w.grad.zero_()
    b.grad = None
    print(loss)


# higher-order, maml
def fwd(x, ps):
    return F.linear(torch.tanh(F.linear(x, ps[0], ps[1])), ps[2], ps[3])


ps = [
    torch.randn(8, 1, requires_grad=True),
    torch.zeros(8, requires_grad=True),
    torch.randn(1, 8, requires_grad=True),
    torch.zeros(1, requires_grad=True),
]
mo = torch.optim.Adam(ps, 1e-2)
for _it in range(3):
    ml = 0.0
    for task in range(2):
        x = torch.rand(5, 1) * 4
        t = torch.sin(x + task)
        g = torch.autograd.grad(F.mse_loss(fwd(x, ps), t), ps, create_graph=True)
        fast = [p - 0.1 * gi for p, gi in zip(ps, g)]
        ml = ml + F.mse_loss(fwd(x, fast), t)
    mo.zero_grad()
    ml.backward()
    mo.step()
    print(ml, ps[0].grad.flatten()[:3])
# pinn
net = nn.Sequential(nn.Linear(1, 16), nn.Tanh(), nn.Linear(16, 1))
xx = torch.linspace(0, 1, 10).view(-1, 1).requires_grad_()
u = net(xx)
du = torch.autograd.grad(u, xx, torch.ones_like(u), create_graph=True)[0]
d2 = torch.autograd.grad(du.sum(), xx, create_graph=True)[0]
l = ((d2 + u) ** 2).mean()
l.backward()
print(l, net[0].weight.grad.flatten()[:4])
# hooks on tensors, retain_grad, anomaly, detach, no_grad
x = torch.randn(3, requires_grad=True)
h = x * 2
h.retain_grad()
hd = h.register_hook(lambda g: g * 10)
h.sum().backward()
print(x.grad, h.grad)
hd.remove()
try:
    with warnings.catch_warnings(), torch.autograd.detect_anomaly(check_nan=True):
        warnings.simplefilter("ignore")
        z = torch.tensor([-1.0], requires_grad=True)
        torch.sqrt(z).sum().backward()
except RuntimeError as e:
    print(str(e)[:60])
a = torch.ones(3, requires_grad=True)
c = a * 2
d = c**2
c.add_(1)
try:
    d.sum().backward()
except RuntimeError as e:
    print(str(e)[:90])
# params & modules
lin = nn.Linear(2, 2)
lin.weight = nn.Parameter(torch.eye(2))
lin.bias.data.fill_(3)
print(lin(torch.ones(2)), lin.weight.requires_grad)
tied = nn.Linear(2, 2)
tied.weight = lin.weight
print(tied.weight is lin.weight, len(list(nn.ModuleList([lin, tied]).parameters())))
mm = nn.ModuleDict({"relu": nn.ReLU(), "lin": nn.Linear(2, 3)})
print(mm, "lin" in mm, list(mm))
seq = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
seq.append(nn.Linear(2, 1))
seq.add_module("sig", nn.Sigmoid())
print(seq, seq[-1], len(seq), seq[:2])
print(nn.Sequential(OrderedDict([("a", nn.Linear(1, 1)), ("b", nn.Tanh())])))
st = seq.state_dict()
st["extra"] = torch.ones(1)
del st["0.bias"]
try:
    seq.load_state_dict(st)
except RuntimeError as e:
    print(e)
print(seq.load_state_dict(st, strict=False))
bio = io.BytesIO()
torch.save({"a": [torch.arange(3), "x", 1.5]}, bio)
bio.seek(0)
print(torch.load(bio))
print(pickle.loads(pickle.dumps(torch.arange(3.0))))
dc = copy.deepcopy(seq)
dc[0].weight.data.zero_()
print(seq[0].weight.abs().sum() > 0)
vec = nn.utils.parameters_to_vector(lin.parameters())
print(vec)
nn.utils.vector_to_parameters(vec * 2, lin.parameters())
print(lin.bias)
sn = nn.utils.spectral_norm(nn.Linear(3, 2))
sn(torch.ones(1, 3))
print(sn)
p = nn.Linear(3, 2).requires_grad_(False)
print(any(q.requires_grad for q in p.parameters()))
# numerics, dates, matrices
A = torch.randn(4, 4)
A = A @ A.T + torch.eye(4)
L = torch.linalg.cholesky(A)
print(
    torch.allclose(L @ L.T, A, atol=1e-5),
    torch.linalg.eigvalsh(A),
    torch.linalg.solve(A, torch.ones(4)),
    torch.det(A),
    torch.linalg.matrix_rank(A),
    torch.linalg.norm(A),
)
U, S, V = torch.linalg.svd(A)
print(S, torch.trace(A), torch.inverse(A)[0], torch.linalg.pinv(A)[0])
print(
    torch.fft.fft(torch.arange(4.0)),
    torch.histc(torch.tensor([1.0, 2, 1]), 4, 0, 3),
    torch.bincount(torch.tensor([0, 1, 1, 3])),
    torch.meshgrid(torch.arange(2), torch.arange(3), indexing="ij")[1],
    torch.triu(torch.ones(3, 3), 1),
    torch.cdist(torch.eye(2), torch.zeros(1, 2)),
    torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([2, 5])),
    torch.quantile(torch.arange(5.0), 0.3),
    torch.median(torch.arange(4.0)),
    torch.cov(torch.arange(6.0).view(2, 3)),
    torch.kron(torch.eye(2), torch.ones(1, 2)),
    torch.cartesian_prod(torch.arange(2), torch.arange(2)),
    torch.combinations(torch.arange(3)),
    torch.diff(torch.tensor([1, 4, 9])),
    torch.tensor([5, 7]) // 2,
    torch.tensor([-5, 7]) % 3,
    torch.bucketize(torch.tensor([0.5, 2.5]), torch.arange(4.0)),
    torch.rot90(torch.arange(4).view(2, 2)),
    torch.logsumexp(torch.ones(3), 0),
    torch.nn.functional.one_hot(torch.tensor([0, 2])),
    torch.tensor([1, 2, 3]).float().var(unbiased=False),
    torch.isclose(torch.tensor([1.0]), torch.tensor([1.0001])),
    torch.nonzero(torch.tensor([0, 1, 2])),
    torch.argwhere(torch.tensor([0, 1])),
    torch.scatter_add(torch.zeros(3), 0, torch.tensor([0, 0, 2]), torch.ones(3)),
    torch.take_along_dim(torch.arange(4).view(2, 2), torch.tensor([[1], [0]]), 1),
)
for lab in ("sum", "mean", "none"):
    print(
        F.kl_div(torch.tensor([[0.3, 0.7]]).log(), torch.tensor([[0.5, 0.5]]), reduction=lab)
        if lab != "mean"
        else "",
        F.gaussian_nll_loss(torch.ones(2), torch.zeros(2), torch.ones(2), reduction=lab),
        F.poisson_nll_loss(torch.ones(2), torch.ones(2), reduction=lab),
    )
print(
    nn.CTCLoss()(
        torch.randn(10, 2, 5).log_softmax(2),
        torch.randint(1, 5, (2, 3)),
        torch.full((2,), 10),
        torch.full((2,), 3),
    ),
    F.binary_cross_entropy_with_logits(torch.zeros(2), torch.ones(2), pos_weight=torch.tensor(3.0)),
    F.cross_entropy(
        torch.randn(2, 3, generator=torch.Generator().manual_seed(1)),
        torch.tensor([[0.2, 0.3, 0.5], [1.0, 0, 0]]),
    ),
    F.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 2]), weight=torch.tensor([1.0, 2, 3])),
    F.hinge_embedding_loss(torch.ones(2), torch.tensor([1.0, -1])),
)
x = torch.randn(2, 3)
x[x < 0] = 0
x[:, 1] += 1
x[0, [0, 2]] = torch.tensor([9.0, 8.0])
print(x)
x.index_fill_(1, torch.tensor([0]), -1)
print(
    x,
    x.tolist(),
    x.numel(),
    x.nelement(),
    x.dim(),
    x.ndim,
    x.element_size(),
    len(x),
    x.size(-1),
    x.size(),
)
bool(x.any())
print(x.apply_(lambda v: v * 2) if hasattr(x, "apply_") else "", x.map_ if False else "")
print(
    x.new_zeros(2),
    x.new_tensor([1, 2]),
    torch.zeros_like(x, dtype=torch.long),
    torch.rand_like(x),
    x.type(),
    x.T.is_contiguous(),
    torch.is_tensor(x),
    f"{x[0, 0]:.2f}",
    f"{x[0, 1]:.3f}",
    format(x.sum().item(), ".1e"),
    round(x[1, 1].item(), 2),
    x[0, 0] == -2,
    hash(x) == id(x),
    [float(v) for v in x[0]],
    max(x[0]),
    sum(x[0]),
    sorted(x[1].tolist()),
    np.mean(x.numpy()),
    torch.tensor(np.float64(2)),
    x + np.float32(1),
    2 ** x[0],
    1 / x[0],
    x[0] // 1,
    -x[0],
    abs(x[0]),
    ~(x[0] > 0),
    x[0].bool() & True,
)
