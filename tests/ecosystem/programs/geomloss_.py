"""geomloss: distances between clouds of points, and a cloud that follows them."""

import torch
from geomloss import SamplesLoss

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.randn(40, 2, requires_grad=True)
y = torch.randn(50, 2) + 2
found = {}
for name in ("sinkhorn", "energy", "gaussian", "laplacian"):
    loss = SamplesLoss(name, p=2, blur=0.2, backend="tensorized")(x, y)
    (gradient,) = torch.autograd.grad(loss, x)
    found[name] = [loss, gradient.abs().sum()]
rule = SamplesLoss("sinkhorn", p=2, blur=0.1, backend="tensorized")
moving = x.detach().clone().requires_grad_()
optimizer = torch.optim.SGD([moving], lr=10.0)
losses = []
for _ in range(8):
    loss = rule(moving, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(**found, losses=losses)
