"""pytorch-optimizer, lion-pytorch and torch-ema: further rules of optimizers."""

import pytorch_optimizer
import torch
from lion_pytorch import Lion
from torch_ema import ExponentialMovingAverage

from tests.ecosystem.report import report

NAMES = (
    "AdaBelief RAdam Lamb AdamP DiffGrad MADGRAD NovoGrad AdaBound Yogi SGDP Adan Prodigy Tiger"
    " CAME ScheduleFreeAdamW AdEMAMix Grams ADOPT LARS QHAdam Fromage PID SM3 SOAP Shampoo"
).split()
found = {}
for name in [*NAMES, "Lion"]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    x, y = torch.randn(32, 4), torch.randn(32, 1)
    kind = Lion if name == "Lion" else getattr(pytorch_optimizer, name)
    optimizer = kind(model.parameters(), lr=1e-2)
    if hasattr(optimizer, "train"):
        optimizer.train()
    average = ExponentialMovingAverage(model.parameters(), decay=0.9)
    for _ in range(5):
        loss = torch.nn.functional.mse_loss(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        average.update()
    with average.average_parameters():
        found[name] = [loss.item(), torch.nn.functional.mse_loss(model(x), y).item()]
report(**found)
