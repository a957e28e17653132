"""torchdiffeq: a spiral's equation is learnt, directly and by the adjoint."""

import torch
from torchdiffeq import odeint, odeint_adjoint

from tests.ecosystem.report import report

true = torch.tensor([[-0.1, 2.0], [-2.0, -0.1]])
start, times = torch.tensor([[2.0, 0.0]]), torch.linspace(0.0, 3.0, 20)
with torch.no_grad():
    target = odeint(lambda t, y: (y**3) @ true, start, times, method="dopri5")


class Equation(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(2, 16), torch.nn.Tanh(), torch.nn.Linear(16, 2)
        )

    def forward(self, t, y):
        return self.net(y**3)


found = {"target": target[-1]}
for solve in (odeint, odeint_adjoint):
    torch.manual_seed(0)
    equation = Equation()
    optimizer = torch.optim.RMSprop(equation.parameters(), lr=1e-3)
    losses = []
    for _ in range(5):
        loss = (solve(equation, start, times, method="rk4") - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found[solve.__name__] = losses
report(**found)
