"""e3nn: what rotates with its input: spherical harmonics, tensor products, a network."""

import torch
from e3nn import o3
from e3nn.nn import FullyConnectedNet, Gate
from e3nn.o3 import FullyConnectedTensorProduct, Irreps, Linear

from tests.ecosystem.report import report

torch.manual_seed(0)
given, hidden = Irreps("4x0e + 2x1o"), Irreps("4x0e + 4x0e + 2x1o")
gate = Gate("4x0e", [torch.tanh], "2x0e", [torch.sigmoid], "2x1o")
product = FullyConnectedTensorProduct(given, Irreps.spherical_harmonics(2), gate.irreps_in)
last = Linear(gate.irreps_out, "1x0e")
radial = FullyConnectedNet([1, 8, product.weight_numel], torch.nn.functional.silu)
scale = FullyConnectedTensorProduct(
    given, Irreps.spherical_harmonics(2), gate.irreps_in, shared_weights=False
)
x = given.randn(10, -1)
edges = torch.randn(10, 3)


def found(features, places):
    around = o3.spherical_harmonics([0, 1, 2], places, normalize=True, normalization="component")
    lengths = places.norm(dim=1, keepdim=True)
    mixed = product(features, around) + scale(features, around, radial(lengths))
    return last(gate(mixed)).sum(0)


first = found(x, edges)
rotation = o3.rand_matrix()
turned = found(x @ given.D_from_matrix(rotation).T, edges @ rotation.T)
parameters = [*product.parameters(), *last.parameters(), *radial.parameters()]
optimizer = torch.optim.Adam(parameters, lr=0.01)
losses = []
for _ in range(6):
    loss = (found(x, edges) - 1.0).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
report(
    first=first,
    same=bool(torch.allclose(first, turned, atol=1e-4)),
    losses=losses,
    wigner=o3.wigner_3j(1, 1, 2),
)
