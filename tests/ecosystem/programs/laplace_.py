"""laplace-torch: a trained network gets the uncertainty of its last layer and of all of it."""

import torch
from laplace import Laplace
from torch.utils.data import DataLoader, TensorDataset

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.linspace(-2, 2, 40)[:, None]
y = torch.sin(2 * x) + 0.1 * torch.randn_like(x)
loader = DataLoader(TensorDataset(x, y), batch_size=20)
model = torch.nn.Sequential(torch.nn.Linear(1, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1))
optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
for _ in range(40):
    for inputs, targets in loader:
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(model(inputs), targets).backward()
        optimizer.step()
found = {}
for subset, structure in (("last_layer", "full"), ("all", "kron"), ("all", "diag")):
    la = Laplace(model, "regression", subset_of_weights=subset, hessian_structure=structure)
    la.fit(loader)
    la.optimize_prior_precision(n_steps=5)
    mean, variance = la(x[::8])
    found[f"{subset} {structure}"] = [mean.flatten(), variance.flatten()]
    found[f"{subset} {structure} evidence"] = la.log_marginal_likelihood()
report(**found)
