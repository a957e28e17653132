"""torchinfo: the table of a model."""

import torch
from torchinfo import summary

from tests.ecosystem.report import report

torch.manual_seed(0)
nn = torch.nn
model = nn.Sequential(
    nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(2048, 10)
)
found = summary(
    model,
    (2, 3, 16, 16),
    verbose=0,
    col_names=("input_size", "output_size", "num_params", "mult_adds"),
)
lstm = summary(nn.LSTM(4, 8, batch_first=True), (2, 5, 4), verbose=0)
report(
    text=str(found),
    parameters=found.total_params,
    operations=found.total_mult_adds,
    recurrent=str(lstm),
)
