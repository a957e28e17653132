"""torchode: a batch of differential equations, each with its own steps; gradients through them."""

import torch
import torchode as to

from tests.ecosystem.report import report

torch.manual_seed(0)
rate = torch.tensor([0.5], requires_grad=True)


def change(t, y):
    return -rate * y + torch.sin(t)[:, None]


y0 = torch.tensor([[1.2], [5.0], [-2.0]])
times = torch.linspace(0, 3, 8).repeat(3, 1)
term = to.ODETerm(change)
solver = to.AutoDiffAdjoint(
    to.Dopri5(term=term), to.IntegralController(atol=1e-6, rtol=1e-3, term=term)
)
solution = solver.solve(to.InitialValueProblem(y0=y0, t_eval=times))
solution.ys.square().sum().backward()
report(ys=solution.ys, steps=solution.stats["n_steps"], gradient=rate.grad)
