"""torchsde: a stochastic equation along Brownian paths of given entropy, and its adjoint."""

import torch
import torchsde

from tests.ecosystem.report import report


class Equation(torch.nn.Module):
    noise_type, sde_type = "diagonal", "ito"

    def __init__(self):
        super().__init__()
        self.drift, self.spread = torch.nn.Linear(3, 3), torch.nn.Linear(3, 3)

    def f(self, t, y):
        return self.drift(y)

    def g(self, t, y):
        return 0.3 * torch.sigmoid(self.spread(y))


def path(entropy, **options):
    return torchsde.BrownianInterval(t0=0.0, t1=1.0, size=(8, 3), entropy=entropy, **options)


torch.manual_seed(0)
equation, start, times = Equation(), torch.full((8, 3), 0.1), torch.linspace(0, 1, 6)
ends = torchsde.sdeint(equation, start, times, bm=path(1), dt=0.05, method="euler")
ends.pow(2).sum().backward()
gradient = equation.drift.weight.grad.clone()
smooth = torchsde.sdeint(
    equation, start, times, bm=path(2, levy_area_approximation="space-time"), dt=0.1, method="srk"
)
equation.zero_grad()
torchsde.sdeint_adjoint(equation, start, times, bm=path(1), dt=0.1, method="euler").sum().backward()
report(ends=ends[-1], gradient=gradient, smooth=smooth[-1], adjoint=equation.spread.weight.grad)
