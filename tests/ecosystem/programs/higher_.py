"""higher: a learning rate is learned through steps of an optimizer."""

import higher
import torch

from tests.ecosystem.report import report

torch.manual_seed(0)
nn = torch.nn
model = nn.Sequential(nn.Linear(4, 8), nn.Tanh(), nn.Linear(8, 1))
x, y = torch.randn(16, 4), torch.randn(16, 1)
rate = torch.tensor(0.05, requires_grad=True)
outer = torch.optim.Adam([rate, *model.parameters()], lr=0.01)
losses = []
for _ in range(5):
    inner = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
    outer.zero_grad()
    with higher.innerloop_ctx(model, inner, override={"lr": [rate]}) as (copy, steps):
        for _ in range(3):
            steps.step(nn.functional.mse_loss(copy(x), y))
        loss = nn.functional.mse_loss(copy(x), y)
        loss.backward()
    outer.step()
    losses.append(loss.item())
report(losses=losses, rate=rate, gradient=rate.grad)
