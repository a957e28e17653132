"""neuraloperator: a Fourier neural operator's first steps."""

import torch
from neuralop.models import FNO

from tests.ecosystem.report import report

torch.manual_seed(0)
model = FNO(
    n_modes=(6, 6), hidden_channels=8, in_channels=1, out_channels=1, projection_channel_ratio=2
)
x, y = torch.randn(2, 1, 16, 16), torch.randn(2, 1, 16, 16)
optimizer = torch.optim.Adam(model.parameters(), 1e-3)
losses = []
for _ in range(4):
    loss = torch.nn.functional.mse_loss(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(losses=losses, out=model(x))
