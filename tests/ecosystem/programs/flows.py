"""zuko, nflows, normflows: densities that are learned, and samples of them."""

import nflows.distributions
import nflows.flows
import nflows.transforms
import normflows as nf
import torch
import zuko

from tests.ecosystem.report import report

torch.manual_seed(0)
x = torch.randn(64, 2) @ torch.tensor([[1.0, 0.5], [0.0, 0.3]]) + 1


def trained(parameters, loss_of, kind=torch.optim.Adam):
    optimizer = kind(parameters, lr=5e-3)
    losses = []
    for _ in range(8):
        loss = loss_of()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


spline = zuko.flows.NSF(2, context=1, transforms=2, hidden_features=(16, 16))
context = torch.ones(64, 1)
found = {
    "zuko": trained(spline.parameters(), lambda: -spline(context).log_prob(x).mean()),
}
affine = zuko.flows.MAF(2, transforms=2, hidden_features=(16,))
found["maf"] = trained(affine.parameters(), lambda: -affine().log_prob(x).mean())
found["zuko samples"] = affine().sample((3,))
steps = []
for _ in range(2):
    steps.append(nflows.transforms.ReversePermutation(features=2))
    steps.append(
        nflows.transforms.MaskedAffineAutoregressiveTransform(features=2, hidden_features=16)
    )
flow = nflows.flows.Flow(
    nflows.transforms.CompositeTransform(steps), nflows.distributions.StandardNormal([2])
)
found["nflows"] = trained(flow.parameters(), lambda: -flow.log_prob(x).mean())
found["nflows samples"] = flow.sample(3)
layers = []
for _ in range(2):
    layers.append(nf.flows.AffineCouplingBlock(nf.nets.MLP([1, 16, 2], init_zeros=True)))
    layers.append(nf.flows.Permute(2, mode="swap"))
    layers.append(nf.flows.ActNorm(2))
real = nf.NormalizingFlow(nf.distributions.DiagGaussian(2), layers)
# ActNorm begins where its gradients are 0 but for rounding, of which Adam would make steps.
found["normflows"] = trained(real.parameters(), lambda: real.forward_kld(x), torch.optim.SGD)
found["normflows samples"] = real.sample(3)[0]
report(**found)
