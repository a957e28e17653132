"""vit-pytorch: ViT and SimpleViT learn for a few steps."""

import torch
from vit_pytorch import SimpleViT, ViT

from tests.ecosystem.report import report

options = {
    "image_size": 32,
    "patch_size": 8,
    "num_classes": 5,
    "dim": 32,
    "depth": 2,
    "heads": 4,
    "mlp_dim": 64,
}
found = {}
for kind, more in ((ViT, {"dropout": 0.1, "emb_dropout": 0.1}), (SimpleViT, {})):
    torch.manual_seed(0)
    model = kind(**options, **more)
    x, y = torch.randn(4, 3, 32, 32), torch.randint(0, 5, (4,))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(20):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    found[kind.__name__] = losses
report(**found)
