"""timm: four models learn for a few steps; features; optimizers."""

import timm
import timm.optim
import torch

from tests.ecosystem.report import report

found = {}
for name, size in [
    ("resnet18", 64),
    ("vit_tiny_patch16_224", 64),
    ("mobilenetv3_small_100", 64),
    ("convnext_atto", 64),
]:
    torch.manual_seed(0)
    options = {"img_size": size} if name.startswith("vit") else {}
    model = timm.create_model(name, num_classes=10, **options)
    x, y = torch.randn(4, 3, size, size), torch.randint(0, 10, (4,))
    optimizer = timm.optim.create_optimizer_v2(model, opt="adamw", lr=1e-4)
    losses = []
    for _ in range(4):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    model.eval()
    with torch.no_grad():
        found[name] = {
            "losses": losses,
            "output": model(x)[0, :5],
            "parts": model.forward_features(x).std(),
        }
report(**found)
