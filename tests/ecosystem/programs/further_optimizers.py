"""torch-optimizer: each of its optimizers on one problem."""

import torch
import torch_optimizer

from tests.ecosystem.report import report

found = {}
x, y = torch.linspace(-1, 1, 24).reshape(12, 2), torch.linspace(0, 1, 12).reshape(12, 1)
names = """
A2GradExp A2GradInc A2GradUni AccSGD AdaBelief AdaBound Adafactor AdaMod AdamP AggMo Apollo
DiffGrad Lamb LARS MADGRAD NovoGrad PID QHAdam QHM RAdam Ranger RangerQH RangerVA SGDP SGDW SWATS
Yogi
""".split()
for name in names:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    keywords = {} if name in ("Adafactor", "A2GradUni", "A2GradInc", "A2GradExp") else {"lr": 1e-3}
    optimizer = getattr(torch_optimizer, name)(net.parameters(), **keywords)
    for _ in range(8):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(net(x), y).backward()
        optimizer.step()
    found[name] = net(x).mean()
ahead = torch_optimizer.Lookahead(torch_optimizer.Yogi(net.parameters(), lr=0.01), k=3)
for _ in range(7):
    ahead.zero_grad()
    torch.nn.functional.mse_loss(net(x), y).backward()
    ahead.step()
found["ahead"] = net(x).std()
# Roots of matrices of rank one ask for the default epsilon's rounding; a larger one does not.
shampoo = torch_optimizer.Shampoo(net.parameters(), lr=0.1, epsilon=0.1)
for _ in range(3):
    shampoo.zero_grad()
    torch.nn.functional.mse_loss(net(x), y).backward()
    shampoo.step()
report(**found, shampoo=[p.norm() for p in net.parameters()])
