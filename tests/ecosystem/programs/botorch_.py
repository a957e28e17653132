"""botorch: a Gaussian process is fitted, and an acquisition function finds the next points."""

import torch
from botorch.acquisition import LogExpectedImprovement, qLogExpectedImprovement
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from botorch.models.transforms import Standardize
from botorch.optim import optimize_acqf
from botorch.sampling import SobolQMCNormalSampler
from gpytorch.mlls import ExactMarginalLogLikelihood

from tests.ecosystem.report import report

torch.manual_seed(0)
torch.set_default_dtype(torch.float64)


def height(x):
    return -((x - 0.3) ** 2).sum(-1, keepdim=True) + 0.1 * torch.sin(8 * x).sum(-1, keepdim=True)


bounds = torch.tensor([[0.0, 0.0], [1.0, 1.0]])
x = torch.rand(8, 2)
y = height(x)
best = []
for _ in range(3):
    model = SingleTaskGP(x, y, outcome_transform=Standardize(m=1))
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    candidate, value = optimize_acqf(
        LogExpectedImprovement(model, best_f=y.max()), bounds, q=1, num_restarts=2, raw_samples=16
    )
    x = torch.cat([x, candidate])
    y = torch.cat([y, height(candidate)])
    best.append(y.max())
model = SingleTaskGP(x, y, outcome_transform=Standardize(m=1))
sampler = SobolQMCNormalSampler(torch.Size([32]), seed=1)
several = qLogExpectedImprovement(model, y.max(), sampler=sampler)
report(
    best=torch.stack(best),
    posterior=model.posterior(torch.rand(4, 2)).mean,
    several=several(torch.rand(3, 2, 2)),
)
